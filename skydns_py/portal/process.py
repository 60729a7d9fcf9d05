"""Runs commands: without blocking the reactor, or there and then where nothing else is to be done."""

import os
import shutil
import subprocess
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from skydns_py.errors import SkydnsError
from skydns_py.portal.backend import Command

_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
SECONDS = 120
"""A transaction that takes longer is killed: 20 000 Services take a few seconds at worst."""
SHOWN = 300
"""Characters of a program's complaint that are passed on."""


class CommandFailed(SkydnsError):
    """A program could not be started, complained, or took too long."""


def which(name: str) -> str:
    """The path of a program, also in folders that the PATH of a plain user lacks; "" where there is none."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])) or ""


def run(command: Command, reactor: Any) -> "Deferred[str]":
    """What the command prints, once it ended well; fails with CommandFailed otherwise."""
    ended: Deferred[str] = Deferred()
    program = which(command.argv[0])
    if not program:
        ended.errback(CommandFailed(f"{command.argv[0]}: not found; install it"))
        return ended
    watched = _Watched(command, reactor, ended)
    with _whole(command.stdin) as stdin:
        try:
            files = {0: stdin.fileno(), 1: "r", 2: "r"}
            reactor.spawnProcess(watched, program, command.argv, env=None, childFDs=files)
        except OSError as error:
            ended.errback(CommandFailed(f"{command.argv[0]}: {error.strerror}"))
    return ended


def _whole(text: str) -> IO[bytes]:
    """A file in memory that reads ``text``.

    Through a pipe, a program whose feeder is killed would see the end of its input in the middle, and commit
    what it has.
    """
    file = open(os.memfd_create("transaction"), "w+b")  # noqa: SIM115 -- the caller closes it
    file.write(text.encode())
    file.seek(0)
    return file


def run_now(command: Command) -> str:
    """What the command prints; CommandFailed where it did not end well."""
    program = which(command.argv[0])
    if not program:
        raise CommandFailed(f"{command.argv[0]}: not found; install it")
    try:
        done = subprocess.run(  # noqa: S603 -- the command is ours
            (program, *command.argv[1:]),
            input=command.stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"{command.argv[0]}: {error}") from None
    if done.returncode:
        raise CommandFailed(f"{command.argv[0]}: {_one_line(done.stderr) or f'ended with {done.returncode}'}")
    return done.stdout


def read_now(command: Command) -> str:
    """What the command prints; "" where it fails, because there is nothing to list."""
    try:
        return run_now(command)
    except CommandFailed:
        return ""


def _one_line(complaint: str) -> str:
    return " | ".join(line.strip() for line in complaint.strip()[:SHOWN].splitlines())


class _Watched(ProcessProtocol):
    """One process: it is listened to, and given up when its time is over."""

    transport: Any

    def __init__(self, command: Command, reactor: Any, ended: "Deferred[str]") -> None:
        self._command = command
        self._ended = ended
        self._printed: list[bytes] = []
        self._complaint = b""
        self._deadline = reactor.callLater(SECONDS, self._give_up)

    def outReceived(self, data: bytes) -> None:  # noqa: N802  # the name is Twisted's
        self._printed.append(data)

    def errReceived(self, data: bytes) -> None:  # noqa: N802  # the name is Twisted's
        if len(self._complaint) < SHOWN:
            self._complaint += data

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # the name is Twisted's
        if self._deadline.active():
            self._deadline.cancel()
        if reason.check(ProcessDone):
            self._ended.callback(b"".join(self._printed).decode(errors="replace"))
        else:
            self._ended.errback(CommandFailed(f"{self._command.argv[0]}: {self._why(reason)}"))

    def _give_up(self) -> None:
        self._complaint = b"took longer than %d s" % SECONDS
        self.transport.signalProcess("KILL")

    def _why(self, reason: Failure) -> str:
        return _one_line(self._complaint.decode(errors="replace")) or reason.getErrorMessage()
