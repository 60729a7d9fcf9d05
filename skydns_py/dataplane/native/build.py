"""How the extension module ``_plane`` is made from the C files beside this one; setup.py names ``ffi``.

1. ``api.h`` is read as it is: what Python may call is written down once.
2. The extension is optional: without a C compiler, or where Linux's ``recvmmsg`` is not, the package installs
   without it, and ``available`` says so at start.
3. It uses only Python's stable ABI, so that one build serves all versions from 3.11 on.

``python setup.py build_ext --inplace`` in the checkout builds it in place, for work on the C files.
"""

from pathlib import Path

import cffi  # type: ignore[import-untyped]  # cffi ships no types

FOLDER = Path("skydns_py/dataplane/native")
"""Relative to the checkout, where setuptools runs and wants its sources named from."""

SOURCES = ("existence", "miss", "packet", "plane", "reclaim", "ring", "serve", "short", "table", "zones")
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra"]

_HERE = Path(__file__).resolve().parent if "__file__" in globals() else FOLDER.resolve()

ffi = cffi.FFI()
ffi.cdef((_HERE / "api.h").read_text())
ffi.set_source(
    "skydns_py.dataplane.native._plane",
    '#include "plane.h"\n',
    sources=[str(FOLDER / f"{name}.c") for name in SOURCES],
    depends=sorted(str(FOLDER / header.name) for header in _HERE.glob("*.h")),
    include_dirs=[str(FOLDER)],
    extra_compile_args=FLAGS,
    libraries=["pthread"],
    optional=True,
)
