"""A client, a node, three backends and a pod, each a network namespace, with real packets between them.

Each is linked with the node by a veth pair of its own and host routes, not through a bridge, where answers
could pass beside the node's connection tracking.  The node forwards, has a default route (without one, what
it sends itself to a portal IP is "unreachable" before it could be translated), and does not limit its ICMP
errors (or a refusal could look like a time-out).

``client`` is outside the pods' network and has a second address; ``pod`` and the backends are inside it.
"""

import json
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.portal.objects import PORT
from tests.system.netns import Namespace

NODE, NODE6, NODE_SECOND = "198.51.100.1", "2001:db8:51::1", "198.51.100.2"
CLIENT, CLIENT6, CLIENT_SECOND = "192.0.2.10", "2001:db8:2::10", "192.0.2.66"
POD, POD6 = "10.244.1.20", "fd00:244:1::20"
BACKENDS = {"b1": "10.244.1.11", "b2": "10.244.2.12", "b3": "10.244.3.13"}
BACKENDS6 = {"b1": "fd00:244:1::11", "b2": "fd00:244:2::12", "b3": "fd00:244:3::13"}
ADDRESSES = {"client": (CLIENT, CLIENT6), "pod": (POD, POD6)} | {
    name: (address, BACKENDS6[name]) for name, address in BACKENDS.items()
}
CLUSTER_CIDR = ["10.244.0.0/16", "fd00:244::/32"]
NODE_NAME = "node-1"
"""By what the portal programmer knows the node; ``b1`` runs on it, as the tests write their endpoints."""

PORTS = (PORT, 53)
"""What every namespace's process answers on, unless told otherwise; 53 where DNS would be."""
AGENT = Path(__file__).with_name("peers.py")
AGENT_SECONDS = 60.0
_talks = count()
SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}
NO_DAD = "ipv6/conf/default/accept_dad"
"""Looking for a double of each address costs the first packets a second; there is none here."""


@dataclass
class Result:
    """What came of many connections or datagrams: how often each, and the slowest one's seconds."""

    names: dict[str, int]
    seen: dict[str, int]
    errors: dict[str, int]
    pairs: list[list[str]]
    slowest: float

    @property
    def good(self) -> int:
        """How many were answered."""
        return sum(self.names.values())


class Peer:
    """A namespace and the process in it that answers and asks; see ``peers``."""

    def __init__(self, net: str, name: str, address: str, ports: Sequence[int] = PORTS) -> None:
        self.name = name
        self.namespace = Namespace(f"{net}-{name}", address)
        self._ports = [str(port) for port in ports]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start its process; ``wait_ready`` once all have been started."""
        command = self.namespace.command(sys.executable, "-S", "-E", str(AGENT), self.name, *self._ports)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> None:
        assert self._line() == "ready"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self.namespace.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have one of ``peers.Commands`` done; what it answers."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(AGENT_SECONDS), f"no answer from {self.name}"
        return json.loads(self._process.stdout.readline())

    def connect(
        self,
        address: str,
        port: int = 80,
        count: int = 1,
        *,
        kind: str = "tcp",
        timeout: float = 3.0,
        source: str = "",
    ) -> Result:
        """``count`` new connections (or datagrams from new sockets), one after the other."""
        places = [[address, port]] * count
        return Result(**self.ask("many", kind=kind, places=places, timeout=timeout, source=source))

    @contextmanager
    def talk(
        self, address: str, port: int = 80, *, kind: str = "tcp", timeout: float = 3.0
    ) -> Iterator["Talk"]:
        """One socket that is kept; for a datagram socket every ``say`` is of the same flow."""
        talk = Talk(self, f"{kind} {address} {port}")
        try:
            talk.greeting = self.ask(
                "open", id=talk.id, kind=kind, address=address, port=port, timeout=timeout
            )
            yield talk
        finally:
            self.ask("close", id=talk.id)


@dataclass
class Talk:
    """A kept socket; what is said over it comes back as [name, seen address], or as an exception's name."""

    peer: Peer
    id: str
    greeting: list[str] | str = ""

    def say(self) -> list[str] | str:
        found: list[str] | str = self.peer.ask("say", id=self.id)
        return found


@dataclass
class Net:
    """The namespaces, ready to use."""

    node: Peer
    others: dict[str, Peer] = field(default_factory=dict)

    @property
    def client(self) -> Peer:
        return self.others["client"]

    @property
    def pod(self) -> Peer:
        return self.others["pod"]

    @property
    def backends(self) -> dict[str, Peer]:
        return {name: self.others[name] for name in BACKENDS}


@contextmanager
def network(label: str, ports: Sequence[int] = PORTS) -> Iterator[Net]:
    """Set it up; ``label`` tells it from others that exist at the same time; ``ports`` are served by all."""
    with ExitStack() as stack:
        peers = [Peer(label, "node", NODE, ports)]
        stack.callback(peers[0].close)
        for name, (address, _) in ADDRESSES.items():
            peers.append(Peer(label, name, address, ports))
            stack.callback(peers[-1].close)
        for peer in peers:
            peer.start()
        for peer in peers:
            peer.wait_ready()
            peer.ask("write", path=f"/proc/sys/net/{NO_DAD}", text="0")
        node, *others = peers
        for peer in others:
            _link(node.namespace, peer)
        client = _end("client")
        node.namespace.configure_all(
            *(f"address add {each} dev lo" for each in (f"{NODE}/32", f"{NODE_SECOND}/32")),
            f"address add {NODE6}/128 dev lo nodad",
            f"route add default dev {client} src {NODE}",
            f"route add ::/0 dev {client} src {NODE6}",
        )
        others[0].namespace.configure("address", "add", f"{CLIENT_SECOND}/32", "dev", "eth0")
        node.namespace.configure("route", "add", f"{CLIENT_SECOND}/32", "dev", client, "src", NODE)
        for name, value in SYSCTLS.items():
            node.ask("write", path=f"/proc/sys/net/{name}", text=value)
        yield Net(node, {peer.name: peer for peer in others})


def _end(name: str) -> str:
    """The node's end of the link with a peer."""
    return f"to-{name}"


def _link(node: Namespace, peer: Peer) -> None:
    """A veth pair, host routes either way, and everything else through the node; IPv4 and IPv6."""
    name, (address, address6) = peer.name, ADDRESSES[peer.name]
    far = peer.namespace
    node.configure_all(
        f"link add name {_end(name)} type veth peer name eth0 netns {far.name}",
        f"address add {NODE}/32 dev {_end(name)}",
        f"address add {NODE6}/128 dev {_end(name)} nodad",
        f"link set {_end(name)} up",
    )
    far.configure_all(
        f"address add {address}/32 dev eth0",
        f"address add {address6}/128 dev eth0 nodad",
        "link set eth0 up",
        f"route add {NODE}/32 dev eth0",
        f"route add default via {NODE} dev eth0",
        f"route add {NODE6}/128 dev eth0",
        f"route add ::/0 via {NODE6} dev eth0",
    )
    node.configure_all(
        f"route add {address}/32 dev {_end(name)} src {NODE}",
        f"route add {address6}/128 dev {_end(name)} src {NODE6}",
    )
