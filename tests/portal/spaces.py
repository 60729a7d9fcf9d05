"""Network namespaces for tests: each name holds this process's id, and ``drop`` removes them.

``inside`` moves the calling thread into one for a moment; a socket that is opened there stays there.
"""

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator

from tests import needs

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def make(label: str) -> str:
    """A new namespace with its loopback up; returns its name."""
    name = f"skydns-{label}-{os.getpid()}-{next(_numbers)}"
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    return name


def drop(*names: str) -> None:
    for name in names:
        run("ip", "netns", "delete", name)


def run(*argv: str, space: str = "", stdin: str = "") -> str:
    """Runs a program, in a namespace where one is named; its output. Fails the test where it fails."""
    program = needs.which(argv[0])
    assert program, argv[0]
    prefix = [str(needs.which("ip")), "netns", "exec", space] if space else []
    done = subprocess.run(
        [*prefix, program, *argv[1:]], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """The calling thread's network namespace is ``name``."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as space:
        _enter(space.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
