"""What a test needs from the machine.

Each function returns a mark to use as a decorator, or in ``pytestmark``.  Where the need is not met
the test skips with the reason; where the environment says ``CI=true`` it fails instead, so that a
machine which should have everything cannot pass by skipping.  ``tests/conftest.py`` acts on the mark.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps administrators' programs; a plain user's PATH lacks them."""


def which(name: str) -> str | None:
    """The path of a program: beside this Python, on PATH, or in a system folder; None where absent."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", ""), *SYSTEM_FOLDERS]))


def program(*names: str) -> pytest.MarkDecorator:
    """The test runs these programs."""
    missing = [name for name in names if which(name) is None]
    return _mark(f"{', '.join(missing)} not found: install it" if missing else "")


def root() -> pytest.MarkDecorator:
    """The test needs to be root."""
    return _mark("" if os.geteuid() == 0 else "needs root: run the tests as root")


def netns() -> pytest.MarkDecorator:
    """The test makes network namespaces and links between them: root, ``ip``, and a kernel that lets it."""
    return _mark(_netns_missing())


def _mark(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.needs(reason)


@functools.cache
def _netns_missing() -> str:
    ip = which("ip")
    if os.geteuid() != 0:
        return "needs root to make a network namespace: run the tests as root"
    if ip is None:
        return "ip not found: install iproute2"
    name = f"skydns-probe-{os.getpid()}"
    made = subprocess.run([ip, "netns", "add", name], capture_output=True, text=True, timeout=10, check=False)
    if made.returncode != 0:
        return f"cannot make a network namespace: {made.stderr.strip()}"
    subprocess.run([ip, "netns", "delete", name], capture_output=True, timeout=10, check=False)
    return ""
