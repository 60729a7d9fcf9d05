"""``skydns portal`` as a process in the node's namespace, and what it has put into the kernel there."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.portal.lab import CLUSTER_CIDR, NODE_NAME, Net, network
from tests.portal.store import Etcd, Store
from tests.system.netns import Namespace

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
BACKENDS = {
    "nftables": {"backend": "nftables"},
    "iptables-nft": {"backend": "iptables", "iptables": "nft"},
    "iptables-legacy": {"backend": "iptables", "iptables": "legacy"},
}
"""The settings below ``portal`` that choose each backend."""
_COUNTERS = re.compile(r" ?\[\d+:\d+\] ?")
TIDY_SECONDS = 1.3
"""Longer than what nothing refers to any more stays in the kernel."""
IPTABLES = {
    "iptables-nft": ("iptables-nft", "ip6tables-nft"),
    "iptables-legacy": ("iptables-legacy", "ip6tables-legacy"),
}


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again, for at most so long; ``what`` is said where it never holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


class Programmer:
    """The program with settings as in a file; ``source`` is the file's."""

    def __init__(self, home: Namespace, folder: Path, source: Mapping[str, Any]) -> None:
        self._home = home
        self.folder = folder
        self._file = folder / "portal.yaml"
        self._source = source
        self.log: list[str] = []
        self._heard = threading.Condition()
        self._process: subprocess.Popen[str] | None = None

    def start(self, portal: Mapping[str, Any], *, wait: bool = True) -> None:
        """Start it and, unless told not to, wait until all is programmed."""
        self.configure(portal)
        self.log = []
        self._process = subprocess.Popen(self.command(), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, args=(self._process, self.log), daemon=True).start()
        if wait:
            self.wait_for("ready:")

    def configure(self, portal: Mapping[str, Any]) -> None:
        """Write the file; ``portal`` is what lies below that key."""
        self._file.write_text(yaml.safe_dump({"source": dict(self._source), "portal": dict(portal)}))

    def command(self, *flags: str) -> list[str]:
        """The command line, in the node's namespace, with the settings of the last start."""
        words = (sys.executable, "-m", "skydns_py", "portal", "-c", str(self._file), *flags)
        return self._home.command(*words)

    def run(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Another one with the same settings, to its end."""
        return subprocess.run(
            self.command(*flags), cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(START_SECONDS)
            finally:
                process.kill()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait_for(self, text: str) -> None:
        """Wait for a line of its log that contains ``text``, one that is there already included."""
        with self._heard:
            self._heard.wait_for(lambda: self.said(text) or not self.running, START_SECONDS)
        assert self.said(text), f"no {text!r} in the log:\n{''.join(self.log)}"

    def said(self, text: str) -> bool:
        """Whether its log has such a line by now."""
        return any(text in line for line in self.log)

    def _read(self, process: "subprocess.Popen[str]", log: list[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._heard:
                log.append(line)
                self._heard.notify_all()
        process.wait()  # it closed its log: it ends
        with self._heard:
            self._heard.notify_all()


@dataclass
class Lab:
    """A network whose node runs the programmer; ``kind`` is one of ``BACKENDS``."""

    kind: str
    net: Net
    store: Store
    programmer: Programmer

    @property
    def settings(self) -> dict[str, Any]:
        """What lies below ``portal`` in the file unless a test asks for more."""
        return {**BACKENDS[self.kind], "node_name": NODE_NAME, "cluster_cidr": CLUSTER_CIDR}

    @contextmanager
    def configured(self, **portal: Any) -> Iterator[None]:
        """The programmer with other settings, and afterwards with the usual ones again."""
        self.programmer.end()
        try:
            self.programmer.start({**self.settings, **portal})
            yield
        finally:
            self.restart()

    def restart(self) -> None:
        """End the programmer, if it runs, and start it with the usual settings."""
        self.programmer.end()
        self.programmer.start(self.settings)

    def rules(self) -> list[str]:
        """Everything in the node's kernel, ours and others', comparable: sorted, without counters."""
        if self.kind == "nftables":
            return _nft_rules(self.on_node("nft", "-s", "list", "ruleset"))
        return [
            f"{tool} {line}"
            for tool in IPTABLES[self.kind]
            for line in sorted(_without_counters(self.on_node(f"{tool}-save")))
        ]

    def tidy_rules(self) -> list[str]:
        """``rules``, once nothing is left that is only waiting to be deleted."""
        found, since = self.rules(), time.monotonic()
        while time.monotonic() < since + TIDY_SECONDS:
            time.sleep(TIDY_SECONDS / 3)
            if (now := self.rules()) != found:
                found, since = now, time.monotonic()
        return found

    def on_node(self, *words: str) -> str:
        """What a command in the node's namespace prints."""
        done = self.net.node.namespace.run(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout


def _without_counters(saved: str) -> Iterator[str]:
    """The lines of iptables-save, each chain and rule with its table, but for the kernel's own chains."""
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith("-A") or (line.startswith(":") and " ACCEPT " not in line):
            yield f"{table} {_COUNTERS.sub('', line)}"


def _nft_rules(listed: str) -> list[str]:
    """The listing's chains, sets and maps, each with its table, in order; so are a set's elements."""
    found, table, block = list[str](), "", list[str]()
    for line in re.sub(r"\n\t+ +", " ", listed).splitlines():
        if line.startswith("table "):
            table = line
        elif line == "\t}":
            found.append("\n".join([table, *block]))
            block = []
        elif line.startswith("\t"):
            block.append(_sorted_elements(line))
    return sorted(found)


def _sorted_elements(line: str) -> str:
    head, equals, rest = line.partition("elements = {")
    if not equals:
        return line
    return head + equals + ", ".join(sorted(each.strip() for each in rest.rstrip(" }").split(",")))


@contextmanager
def laboratory(kind: str, folder: Path) -> Iterator[Lab]:
    """A network, an etcd and a programmer that is ready."""
    with ExitStack() as stack:
        net = stack.enter_context(network(kind))
        etcd = stack.enter_context(Etcd(folder / "etcd", net.node))
        source = {"etcd": {"endpoints": [etcd.url]}}
        programmer = Programmer(net.node.namespace, folder, source)
        stack.callback(programmer.end)
        lab = Lab(kind, net, Store(etcd, net.node), programmer)
        programmer.start(lab.settings)
        yield lab
