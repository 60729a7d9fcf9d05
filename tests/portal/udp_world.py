"""A client, a node and backends in namespaces, whose UDP flows the tests follow one datagram at a time."""

import select
import socket
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from pyroute2 import NFCTSocket

from skydns_py.portal import netlink
from skydns_py.portal.flows import flush
from skydns_py.portal.plan.model import Target
from skydns_py.portal.stale import Fronts
from tests.portal import spaces


def address(text: str) -> bytes:
    return ip_address(text).packed


@dataclass
class Plan:
    """The addresses of one family."""

    family: int
    client: str
    node: str
    inner: str
    backends: tuple[str, str]
    portal: str
    other: str
    bits: int

    def target(self, number: int, port: int = 5353) -> Target:
        return Target(address(self.backends[number]), port)

    def at(self, where: str, port: int) -> str:
        return f"[{where}]:{port}" if self.family == 6 else f"{where}:{port}"


IPV4 = Plan(4, "10.1.0.2", "10.1.0.1", "10.2.0.1", ("10.2.0.2", "10.2.0.3"), "10.9.0.10", "10.9.0.11", 24)
IPV6 = Plan(6, "fd01::2", "fd01::1", "fd02::1", ("fd02::2", "fd02::3"), "fd09::10", "fd09::11", 64)


@dataclass
class World:
    plan: Plan
    client: str
    node: str
    back: str
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    opened: list[socket.socket] = field(default_factory=list)

    def rules(self, *dnat: str) -> None:
        """Replaces the node's rules; each is ``match -> address:port``."""
        ip = "ip6" if self.plan.family == 6 else "ip"
        lines = [rule.replace("->", "dnat to") for rule in dnat]
        text = [f"add table {ip} t", f"delete table {ip} t", f"table {ip} t {{ chain p {{"]
        text += ["type nat hook prerouting priority dstnat;", *lines, "}", "}"]
        spaces.run("nft", "-f", "-", space=self.node, stdin="\n".join(text) + "\n")

    def portal_rule(self, number: int, port: int = 53) -> str:
        plan = self.plan
        ip = "ip6" if plan.family == 6 else "ip"
        return f"{ip} daddr {plan.portal} udp dport {port} -> {plan.at(plan.backends[number], 5353)}"

    def node_rule(self, number: int) -> str:
        return f"fib daddr type local udp dport 30053 -> {self.plan.at(self.plan.backends[number], 5353)}"

    def open(self, where: str, port: int, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        """A client's socket, connected."""
        domain = socket.AF_INET6 if self.plan.family == 6 else socket.AF_INET
        with spaces.inside(self.client):
            made = socket.socket(domain, kind)
        self.opened.append(made)
        made.settimeout(5)
        made.connect((where, port))
        return made

    def ask(self, client: socket.socket, seconds: float = 5.0) -> str:
        """Sends one datagram; the backend that got it and whose answer came back, "" if none did."""
        try:
            client.send(b"?")
        except ConnectionRefusedError:  # tells of the datagram before; this one was not sent
            client.send(b"?")
        ready, _, _ = select.select(list(self.sockets.values()), [], [], seconds)
        for name, server in self.sockets.items():
            if server in ready:
                _, peer = server.recvfrom(64)
                server.sendto(name.encode(), peer)
                return client.recv(64).decode()
        return ""

    def lost(self, client: socket.socket) -> bool:
        return self.ask(client, 0.2) == ""

    def flush(self, *stale: Fronts) -> int:
        with spaces.inside(self.node):
            return flush(stale)

    def fronts(self, *keep: Target, port: int = 53, node_port: int = 0, protocol: str = "UDP") -> Fronts:
        addresses = frozenset([address(self.plan.portal)])
        return Fronts(self.plan.family, protocol, addresses, port, node_port, frozenset(keep))

    def entries(self) -> set[tuple[Any, ...]]:
        """(protocol, destination, port) of every flow, as pyroute2 reads them."""
        family = socket.AF_INET6 if self.plan.family == 6 else socket.AF_INET
        version = f"V{self.plan.family}"
        found = set()
        with spaces.inside(self.node), NFCTSocket(nfgen_family=family) as tracking:
            for entry in tracking.dump():
                orig = entry.get_attr("CTA_TUPLE_ORIG")
                ip, proto = orig.get_attr("CTA_TUPLE_IP"), orig.get_attr("CTA_TUPLE_PROTO")
                numbers = [proto.get_attr(f"CTA_PROTO_{name}") for name in ("NUM", "DST_PORT")]
                found.add((numbers[0], ip.get_attr(f"CTA_IP_{version}_DST"), numbers[1]))
        return found

    def close(self) -> None:
        for one in [*self.sockets.values(), *self.opened]:
            one.close()
        spaces.drop(self.client, self.node, self.back)


def link(plan: Plan, near: str, far: str, name: str, gate: str, *hosts: str) -> None:
    """A veth pair between two namespaces; the far side's default route leads to the near side."""
    spaces.run("ip", "-n", near, "link", "add", name, "type", "veth", "peer", "name", "up0", "netns", far)
    for space, device, where in [(near, name, [gate]), (far, "up0", list(hosts))]:
        for one in where:
            nodad = ["nodad"] if plan.family == 6 else []
            spaces.run("ip", "-n", space, "address", "add", f"{one}/{plan.bits}", "dev", device, *nodad)
        spaces.run("ip", "-n", space, "link", "set", device, "up")
    spaces.run("ip", "-n", far, "route", "add", "default", "via", gate)


def inject(world: World, tuples: list[tuple[str, int, int, int]]) -> None:
    """Makes entries by hand: (destination, source port, destination port, protocol number) each."""
    family, version = (socket.AF_INET6, 3) if world.plan.family == 6 else (socket.AF_INET, 1)
    client = address(world.plan.client)

    def direction(kind: int, ends: list[bytes], ports: list[int], number: int) -> bytes:
        ip = [netlink.attribute(version + index, end) for index, end in enumerate(ends)]
        proto = [netlink.attribute(2 + index, port.to_bytes(2)) for index, port in enumerate(ports)]
        proto.insert(0, netlink.attribute(1, bytes([number])))
        return netlink.container(kind, netlink.container(1, *ip), netlink.container(2, *proto))

    bodies = []
    for where, source, port, number in tuples:
        there = [client, address(where)]
        body = direction(1, there, [source, port], number) + direction(2, there[::-1], [port, source], number)
        if number == socket.IPPROTO_SCTP:
            state = [bytes([3]), bytes((0, 0, 0, 1)), bytes((0, 0, 0, 1))]
            inner = [netlink.attribute(1 + index, value) for index, value in enumerate(state)]
            body += netlink.container(4, netlink.container(3, *inner))
        bodies.append(bytes((family, 0, 0, 0)) + body + netlink.attribute(7, struct.pack(">I", 600)))
    with spaces.inside(world.node), netlink.Netlink(netlink.NETFILTER, "tracking") as kernel:
        for start in range(0, len(bodies), 64):
            part = bodies[start : start + 64]
            assert set(kernel.each([(0x100, body) for body in part], flags=0x400)) == {0}  # NLM_F_CREATE
