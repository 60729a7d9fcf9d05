"""Processes under measurement: started on one core, their CPU time and memory read from /proc, stopped."""

import compileall
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SERVER_CORE = 0
LOAD_CORE = 1
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 10.0


class BenchError(Exception):
    """One line that says what is missing or went wrong."""


def find(name: str) -> str | None:
    """The path of a program beside this Python, on PATH or in a system folder; None where absent."""
    folders = [
        str(Path(sys.executable).parent),
        os.environ.get("PATH", ""),
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
    ]
    return shutil.which(name, path=os.pathsep.join(folders))


def require(name: str, package: str) -> str:
    """The path of a program; BenchError with the package that has it where absent."""
    path = find(name)
    if path is None:
        raise BenchError(f"{name} not found: install {package}")
    return path


def compile_package() -> None:
    """Compile what is measured, as pip does when it installs it.

    Where PYTHONDONTWRITEBYTECODE is set, every start compiled all of it: 0.15 s.
    """
    compileall.compile_dir(Path(__file__).parent.parent / "skydns_py", quiet=1)


class Process:
    """A started program, on ``core`` only, its output in ``log``; it ends with the ``with``."""

    def __init__(self, command: Sequence[str], log: Path, core: int = SERVER_CORE) -> None:
        self.command = command
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                ["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; taskset replaces itself by the program, so it is the program's own."""
        return self._popen.pid

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def cpu_seconds(self) -> float:
        """User and system time so far, of all its threads and of the workers it forked, in steps of 10 ms."""
        return sum(map(_ticks, _family(self.pid))) / _TICKS_PER_SECOND

    def rss_bytes(self) -> int:
        """Resident memory just now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak_rss_bytes(self) -> int:
        """The most memory it has had resident (VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise BenchError(f"/proc/{self.pid}/status has no VmHWM")

    def wait_until(self, probe: Callable[[], bool], seconds: float, interval: float = 0.02) -> float:
        """Seconds from start until ``probe`` held; BenchError where it ends or ``seconds`` pass first."""
        while not probe():
            if self._popen.poll() is not None:
                raise BenchError(
                    f"{self.command[0]} ended with {self._popen.returncode}: {self._last_words()}"
                )
            if time.monotonic() - self.started > seconds:
                raise BenchError(f"{self.command[0]} was not ready after {seconds:g} s: {self._last_words()}")
            time.sleep(interval)
        return time.monotonic() - self.started

    def stop(self) -> None:
        """Ask it to end, then kill it."""
        self._popen.terminate()
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _last_words(self) -> str:
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-3:]) or "no output"


def _family(pid: int) -> Iterator[int]:
    """A process and those it started, and theirs; NSD answers from such a child."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _family(int(child))


def _ticks(pid: int) -> int:
    """The utime and stime of a process, fields 14 and 15 of /proc/PID/stat (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
