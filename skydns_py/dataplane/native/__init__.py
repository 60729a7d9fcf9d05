"""The data plane in C: tables, threads and packets without a Python object; see docs/native.md.

Import ``skydns_py.dataplane.native.table`` only where ``available`` says yes.
"""

import importlib
import sys


def available() -> tuple[bool, str]:
    """Whether the native data plane can serve here, and in one line why, or what would mend it."""
    if not sys.platform.startswith("linux"):
        return False, f"the native data plane needs Linux, not {sys.platform}"
    try:
        importlib.import_module("_cffi_backend")
    except ImportError:
        return False, "the native data plane needs cffi: pip install cffi"
    try:
        importlib.import_module("skydns_py.dataplane.native._plane")
    except ImportError as error:
        built = isinstance(error, ModuleNotFoundError)
        reason = (
            "was not built: install a C compiler, then this package again" if built else f"fails: {error}"
        )
        return False, f"the native data plane {reason}"
    return True, "the native data plane is built"
