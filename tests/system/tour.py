"""Runs a document as a reader does: its commands one after the other in one shell, its outputs compared.

1. A fenced block marked ``sh`` is commands; one marked ``text`` right after it is what they print, standard
   error included.  Commands without such a block print nothing.  A block marked
   ``console``, or not at all, is only to be read.
2. In what they print, ``…`` stands for any text within a line, and a line that is ``…`` alone for any lines.
3. A command that fails has failed the step, wherever it stands, unless its status is looked at (``if``,
   ``&&``, ``!``): bash's ERR trap prints it.
4. The shell has namespaces of its own: mounts, so /run/netns and /etc/netns are empty and nobody else's;
   processes, so all that was started ends with the shell, even with this process killed; network, so the
   machine's is out of reach.
"""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests import needs

STEP_SECONDS = 90.0
END_SECONDS = 30.0
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TO_READ = ("", "console")
_FILES = Path("/etc/netns")
_MARK = "=== step ended:"
_START = """\
mkdir -p /run/netns && mount -t tmpfs none /run/netns && mount -t tmpfs none /etc/netns || exit
exec bash --noprofile --norc
"""
_TRAP = """set -E; trap 'echo "failed with $?: $BASH_COMMAND"' ERR"""


class Failed(AssertionError):
    """A step that did not go as written."""


class Step(NamedTuple):
    """Commands, where in the document they begin, and the lines that they print."""

    line: int
    commands: str
    expected: tuple[str, ...]


def steps(document: str) -> list[Step]:
    """The document's steps in order; Failed where its blocks do not fit together."""
    found = list[Step]()
    may_print = False
    for fence in _FENCE.finditer(document):
        kind, text = fence.groups()
        line = document.count("\n", 0, fence.start()) + 2
        if kind == "sh":
            found.append(Step(line, text, ()))
        elif kind == "text" and may_print:
            found[-1] = found[-1]._replace(expected=tuple(text.splitlines()))
        elif kind not in _TO_READ:
            raise Failed(f"line {line}: a block of kind {kind!r} cannot stand here")
        may_print = kind == "sh"
    return found


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether that was printed; see rule 2."""
    parts = []
    for line in expected:
        words = ".*".join(re.escape(each) for each in line.split("…"))
        parts.append(r"(.*\n)*" if line == "…" else f"{words}\n")
    return re.fullmatch("".join(parts), printed) is not None


class Shell:
    """A bash that keeps its variables and functions from step to step."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._input, self._output = process.stdin, process.stdout
        assert self._output is not None
        os.set_blocking(self._output.fileno(), False)
        self.run(_TRAP)

    def run(self, commands: str, seconds: float = STEP_SECONDS) -> str:
        """What they print; Failed where they are not done in time, or the shell has ended."""
        assert self._input is not None
        self._input.write(f"{{\n{commands}\n}} </dev/null\necho; echo '{_MARK}'\n".encode())
        self._input.flush()
        return self._read(f"\n{_MARK}\n".encode(), seconds).decode()

    def check(self, step: Step) -> None:
        """Run a step; Failed where it prints something else than the document says."""
        try:
            printed = self.run(step.commands)
        except Failed as error:
            raise Failed(f"line {step.line}: {error}") from None
        if not matches(step.expected, printed):
            wanted = "".join(f"{line}\n" for line in step.expected)
            raise Failed(f"line {step.line}:\n{step.commands}\nprinted:\n{printed}\nand not:\n{wanted}")

    def _read(self, end: bytes, seconds: float) -> bytes:
        assert self._output is not None
        read, deadline = b"", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while not read.endswith(end):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise Failed(f"not done within {seconds:.0f} s; it printed:\n{read.decode()}")
                if not (more := self._output.read()):
                    raise Failed(f"the shell ended; it printed:\n{read.decode()}")
                read += more
        return read.removesuffix(end)


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell as rule 4 says, in ``folder``; afterwards nothing is left of what was started in it."""
    unshare = [needs.which("unshare") or "unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc"]
    with (
        _kept_folder(),
        subprocess.Popen(
            [*unshare, "--kill-child", "bash", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        ) as process,
    ):
        try:
            yield Shell(process)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the first process of the namespace, whose end waits for that of all others (pid_namespaces(7))."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        for child in children.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait(END_SECONDS)
    finally:
        process.kill()


@contextmanager
def _kept_folder() -> Iterator[None]:
    """/etc/netns is there to be mounted on, and no other test removes it meanwhile: it is not empty."""
    _FILES.mkdir(exist_ok=True)
    keep = Path(tempfile.mkdtemp(prefix="tour-keep-", dir=_FILES))
    try:
        yield
    finally:
        keep.rmdir()
        with suppress(OSError):
            _FILES.rmdir()
