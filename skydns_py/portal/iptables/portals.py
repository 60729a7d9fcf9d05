"""One portal's rules, each with its place.

1. A rule's place is a tree and a key, or a chain of the portal's own: ``C-`` leads to the cluster's targets,
   ``L-`` to the local ones, ``X-`` takes what comes to an outside front, ``S-`` looks at its source first.
2. A few targets are written out at the front, without a chain.  Many, remembered ones, or those that
   several rules lead to, have a chain.
3. What a front gives is settled in nat: a front that translates nothing ends there by ACCEPT, so that no
   node port and no rule of others takes the packet.  The filter table says the rest once more, by source
   and front, so that it does not matter what became of the packet in nat.
4. Affinity is a list of xt_recent for each portal and target: the source is remembered when the target is
   chosen, and each new connection renews it.  A list holds 100 sources (the module's ``ip_list_tot``), the
   oldest makes way: with more clients than that a target, set ``options xt_recent ip_list_tot=…``.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from skydns_py.cluster.objects import Address
from skydns_py.portal.iptables.skeleton import masquerade, networks
from skydns_py.portal.iptables.tools import Tools
from skydns_py.portal.iptables.tree import port_key
from skydns_py.portal.iptables.words import at, at_port, chain, digest, endpoint, host, identity, set_mark
from skydns_py.portal.plan.model import Host, Portal, Target

WRITTEN_OUT = 4
"""Targets at most that stand at the front itself; a change of one rewrites its neighbours too."""


class Piece(NamedTuple):
    """Rules and their place: a tree's name and a key, or a table and a chain's name (``owner`` is "")."""

    place: str
    key: str
    owner: str
    rules: str


class Printer:
    """Prints portals of one family."""

    def __init__(self, given: Host, tools: Tools, family: int) -> None:
        self._mark = set_mark(given.mark)
        self._networks = networks(given, family)
        self._own = [ip_address(address) for address in given.own]
        self._hairpin = "" if tools.bpf else masquerade(tools)

    def pieces(self, portal: Portal) -> Iterator[Piece]:
        """Everything that one portal needs."""
        name = identity(portal)
        chains = {"C": portal.cluster, "L": portal.local if _asks_local(portal) else ()}
        for letter, targets in chains.items():
            if targets and _has_chain(portal, letter):
                yield Piece("nat", chain(f"{letter}-{name}"), "", _choice("", portal, targets))
        for address in portal.inside:
            yield from _inside(portal, address, name)
        if portal.public or portal.balancer or portal.node_port:
            yield from self._outside(portal, name)
        if self._hairpin:
            yield from (self._returning(address, name) for address in portal.near)

    def _outside(self, portal: Portal, name: str) -> Iterator[Piece]:
        if portal.cluster:
            yield Piece("nat", chain(f"X-{name}"), "", self._door(portal, name))
        fate = _fate(portal)
        for address in portal.public:
            yield Piece("PUBLIC", address.hex(), name, _enter(at(address, portal), portal, "X", name))
            yield Piece("FRONT", address.hex(), name, _end(at(address, portal), fate))
        for address in portal.balancer:
            yield from self._balancer(portal, address, name, fate)
        if portal.node_port:
            match, key = (
                at_port(portal.protocol, portal.node_port),
                port_key(portal.protocol, portal.node_port),
            )
            yield Piece("NODE", key, name, _enter(match, portal, "X", name))
            yield Piece("PORT", key, name, _end(match, fate))
        if portal.balancer and portal.source_ranges:
            yield from self._ranges(portal, name, fate)

    def _door(self, portal: Portal, name: str) -> str:
        """Rules 2 and 3 of the model."""
        if not portal.external_local:
            return self._mark + _lead(f"-p {portal.protocol.lower()} ", portal, "C", name)
        inside = "".join(f"-s {network} -g {chain(f'C-{name}')}\n" for network in self._networks)
        here = "-m addrtype --src-type LOCAL "
        text = f"{inside}{here}{self._mark}{here}-g {chain(f'C-{name}')}\n"
        if not portal.local:
            return f"{text}-j ACCEPT\n"
        return text + _lead(f"-p {portal.protocol.lower()} ", portal, "L", name)

    def _balancer(self, portal: Portal, address: Address, name: str, fate: str) -> Iterator[Piece]:
        key, match = address.hex(), at(address, portal)
        if not portal.source_ranges:
            yield Piece("PUBLIC", key, name, _enter(match, portal, "X", name))
            yield Piece("FRONT", key, name, _end(match, fate))
            return
        enter = _enter(match, portal, "S", name)
        refuse = f"{match}-g {chain(f'S-{name}')}\n"
        if any(own in network for own in self._own for network in portal.source_ranges):
            itself = f"-s {host(address)} {match}"
            enter = _enter(itself, portal, "X", name) + enter
            refuse = (_end(itself, fate) or f"{itself}-j RETURN\n") + refuse
        yield Piece("PUBLIC", key, name, enter)
        yield Piece("FRONT", key, name, refuse)

    def _ranges(self, portal: Portal, name: str, fate: str) -> Iterator[Piece]:
        """Rule 4 of the model, in both tables."""
        sources = [f"-s {network} " for network in portal.source_ranges if network.version == portal.family]
        if portal.cluster:
            nat = "".join(f"{source}-g {chain(f'X-{name}')}\n" for source in sources)
            yield Piece("nat", chain(f"S-{name}"), "", f"{nat}-j ACCEPT\n")
        rest = "".join(_end(source, fate) or f"{source}-j RETURN\n" for source in sources)
        yield Piece("filter", chain(f"S-{name}"), "", f"{rest}-j DROP\n")

    def _returning(self, address: Address, name: str) -> Piece:
        itself = host(address)
        return Piece("HAIRPIN", address.hex(), name, f"-s {itself} -d {itself} {self._hairpin}")


def _inside(portal: Portal, address: Address, name: str) -> Iterator[Piece]:
    """Rules 1 and 5 of the model; the last rule stands behind the fronts of every portal of this address."""
    key, match = address.hex(), at(address, portal)
    letter = "L" if portal.internal_local else "C"
    targets = portal.local if portal.internal_local else portal.cluster
    rules = _lead(match, portal, letter, name) if targets else f"{match}-j ACCEPT\n"
    yield Piece("PORTAL", key, name, rules)
    if portal.cluster and not targets:
        yield Piece("FRONT", key, name, f"{match}-j DROP\n")
    yield Piece("FRONT", key, f"~{name}", f"-d {host(address)} -g SKYDNS-REFUSE\n")


def _asks_local(portal: Portal) -> bool:
    return portal.internal_local or portal.external_local


def _has_chain(portal: Portal, letter: str) -> bool:
    """Rule 2."""
    targets = portal.cluster if letter == "C" else portal.local
    several = letter == "C" and portal.external_local
    return several or bool(portal.affinity_seconds) or len(targets) > WRITTEN_OUT


def _enter(match: str, portal: Portal, letter: str, name: str) -> str:
    return f"{match}-g {chain(f'{letter}-{name}')}\n" if portal.cluster else f"{match}-j ACCEPT\n"


def _fate(portal: Portal) -> str:
    """The chain of the filter table in which connections to an outside front end; "" if they need not."""
    if not portal.cluster:
        return "SKYDNS-REFUSE"
    return "SKYDNS-REMOTE" if portal.external_local and not portal.local else ""


def _end(match: str, fate: str) -> str:
    return f"{match}-g {fate}\n" if fate else ""


def _lead(match: str, portal: Portal, letter: str, name: str) -> str:
    """The rules that send what matches to a set of targets; ``match`` has a protocol."""
    if _has_chain(portal, letter):
        return f"{match}-g {chain(f'{letter}-{name}')}\n"
    return _choice(match, portal, portal.cluster if letter == "C" else portal.local)


def _choice(match: str, portal: Portal, targets: tuple[Target, ...]) -> str:
    """Rule 7 of the model: remembered targets first, then each with its share of what the others left."""
    match = match or f"-p {portal.protocol.lower()} "
    text, count = [], len(targets)
    lists = [_recent(portal, target) for target in targets]
    if portal.affinity_seconds:
        known = f"--rcheck --seconds {portal.affinity_seconds} --reap"
        for target, name in zip(targets, lists, strict=True):
            seen = f"-m recent --name {name} {known} -m recent --name {name} --set "
            text.append(f"{match}{seen}-j DNAT --to-destination {endpoint(target)}\n")
    for index, (target, name) in enumerate(zip(targets, lists, strict=True)):
        left = count - index
        chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        seen = f"-m recent --name {name} --set " if portal.affinity_seconds else ""
        text.append(f"{match}{chance}{seen}-j DNAT --to-destination {endpoint(target)}\n")
    return "".join(text)


def _recent(portal: Portal, target: Target) -> str:
    return f"skydns-{digest(identity(portal), endpoint(target))}" if portal.affinity_seconds else ""
