"""Network namespaces for tests: one for the server, one for each pod, a veth pair between them.

Everything lies inside namespaces of the test's own, so addresses and port 53 of the machine stay
untouched; ``/etc/netns/NAME`` gives each its ``resolv.conf`` (ip-netns(8)).  All of it is taken down when
the ``with`` ends, however it ends.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests import needs

COMMAND_SECONDS = 30.0
_FILES = Path("/etc/netns")


class Namespace:
    """A network namespace with files of its own below /etc; leave with ``close``."""

    def __init__(self, label: str, address: str) -> None:
        self.name = f"skydns-{os.getpid()}-{label}"
        self.address = address
        self._stack = ExitStack()
        self._stack.callback(_ip, "netns", "delete", self.name, check=False)
        _ip("netns", "add", self.name)
        self._stack.callback(self._forget_files)
        self.write("nsswitch.conf", "hosts: files dns\n")
        _ip("-n", self.name, "link", "set", "lo", "up")

    def close(self) -> None:
        """Take it away, with its links and files."""
        self._stack.close()

    def write(self, file: str, text: str) -> None:
        """What programs in here read as ``/etc/FILE`` from now on."""
        folder = _FILES / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)

    def command(self, *words: str) -> list[str]:
        """The command that runs ``words`` in here; it replaces itself by them, so the process is theirs."""
        return [_program("ip"), "netns", "exec", self.name, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``words`` in here to their end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )

    def configure(self, *words: str) -> None:
        """One ``ip`` command in here."""
        _ip("-n", self.name, *words)

    def configure_all(self, *commands: str) -> None:
        """Several ``ip`` commands in here, one text each, in one process."""
        _run([_program("ip"), "-n", self.name, "-batch", "-"], stdin="\n".join(commands))

    def _forget_files(self) -> None:
        shutil.rmtree(_FILES / self.name, ignore_errors=True)
        if _FILES.is_dir() and not any(_FILES.iterdir()):
            _FILES.rmdir()


def connect(hub: Namespace, pod: Namespace, link: str) -> None:
    """A veth pair and a host route either way; the hub's end is called ``link``."""
    pair = ("type", "veth", "peer", "name", "eth0", "netns", pod.name)
    _ip("link", "add", "name", link, "netns", hub.name, *pair)
    pod.configure("address", "add", f"{pod.address}/32", "dev", "eth0")
    for side, device, other in ((hub, link, pod), (pod, "eth0", hub)):
        side.configure("link", "set", device, "up")
        side.configure("route", "add", f"{other.address}/32", "dev", device, "src", side.address)


def _ip(*words: str, check: bool = True) -> None:
    _run([_program("ip"), *words], check=check)


def _run(command: Sequence[str], *, check: bool = True, stdin: str = "") -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False, input=stdin
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _program(name: str) -> str:
    return needs.which(name) or name
