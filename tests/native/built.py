"""The extension, built before anything here runs; ``needed`` marks tests that cannot do without it."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import needs

ROOT = Path(__file__).parent.parent.parent
NATIVE = ROOT / "skydns_py/dataplane/native"
BUILD_SECONDS = 300


def _stale() -> bool:
    built = max((file.stat().st_mtime for file in NATIVE.glob("_plane*.so")), default=0.0)
    sources = [*NATIVE.glob("*.c"), *NATIVE.glob("*.h"), NATIVE / "build.py"]
    return built < max(file.stat().st_mtime for file in sources)


def _missing() -> str:
    """Why the extension cannot be used here; "" where it can. One older than its sources is built anew."""
    if _stale():
        if needs.which("cc") is None:
            return "cc not found: install gcc and libc6-dev"
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"]
        made = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        if made.returncode:
            return f"the extension does not build: {made.stderr.strip()[-300:]}"
    from skydns_py.dataplane.native import available  # noqa: PLC0415  # after the build

    usable, reason = available()
    return "" if usable else reason


MISSING = _missing()
needed = pytest.mark.needs(MISSING)
plane: Any = None if MISSING else importlib.import_module("skydns_py.dataplane.native._plane")
NativeTable: Any = (
    None if MISSING else importlib.import_module("skydns_py.dataplane.native.table").NativeTable
)
NativeExistence: Any = (
    None if MISSING else importlib.import_module("skydns_py.dataplane.native.existence").NativeExistence
)
