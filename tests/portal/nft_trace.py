"""Follows a packet through the tables of ``nft_state``: what becomes of a new connection.

Each rule is read once into steps; a step says whether the rule goes on.  What is not understood is an
``AssertionError``, so that nothing the backend prints goes untested.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Host, Target

from .nft_state import Tables, TableState
from .outcome import Outcome, Packet


@dataclass
class Flow:
    """A packet on its way; ``choice`` is what numgen will say, ``modulus`` what it was asked for."""

    table: TableState
    host: Host
    source: Address
    destination: Address
    protocol: str
    port: int
    from_here: bool
    choice: int = 0
    modulus: int = 1
    mark: int = 0
    tracked: bool = True
    translated: bool = False
    rewritten: bool = False
    masqueraded: bool = False
    seen: dict[str, Address] = field(default_factory=dict)

    def is_local(self, address: Address) -> bool:
        return ip_address(address).is_loopback or address in self.host.own


Verdict = str
""""" to go on with the next rule; "next" for the next statement of the rule; else a verdict's text."""
Step = Callable[[Flow], Verdict]


def trace(tables: Tables, host: Host, packet: Packet) -> Outcome:
    """What may become of the packet."""
    ends = list(_ends(tables, host, packet))
    kinds = {kind for kind, _ in ends}
    assert len(kinds) == 1, f"chance decides between {kinds}"
    kind = kinds.pop()
    if kind != "sent":
        return Outcome(kind)  # type: ignore[arg-type]  # one of the other three, by _end
    flows = [(Target(flow.destination, flow.port), flow.masqueraded) for _, flow in ends]
    targets = frozenset(target for target, _ in flows)
    assert len(targets) == len(flows), "a target is twice as likely as another"
    return Outcome("sent", targets, frozenset(target for target, masqueraded in flows if masqueraded))


def connect(tables: Tables, host: Host, packet: Packet, choice: int) -> Target | None:
    """Sends the packet, where chance says ``choice``, and remembers its source in the affinity sets."""
    ends = list(_ends(tables, host, packet))
    kind, flow = ends[choice % len(ends)]
    for name, address in flow.seen.items():
        flow.table.elements[name][str(ip_address(address))] = ""
    return Target(flow.destination, flow.port) if kind == "sent" else None


def _ends(tables: Tables, host: Host, packet: Packet) -> Iterator[tuple[str, Flow]]:
    family = "ip" if len(packet.destination) == 4 else "ip6"
    table = tables.get(family, TableState())
    protocol = packet.protocol.lower()
    where = (packet.source, packet.destination, protocol, packet.port, packet.from_here)
    choice, modulus = 0, 1
    while choice < modulus:
        flow = Flow(table, host, *where, choice=choice)
        yield _end(flow), flow
        choice, modulus = choice + 1, flow.modulus


def _end(flow: Flow) -> str:
    hook = "output" if flow.from_here else "prerouting"
    for stage in (hook, "forward", "postrouting"):
        for chain in _hooked(flow.table, stage):
            if "type nat" in flow.table.hooks[chain] and (not flow.tracked or _bound(flow, stage)):
                continue
            verdict = _chain(flow, chain)
            if verdict in ("drop", "reject"):
                return {"drop": "dropped", "reject": "refused"}[verdict]
    return "sent" if flow.translated else "untouched"


def _bound(flow: Flow, stage: str) -> bool:
    return flow.translated and stage != "postrouting"


def _hooked(table: TableState, stage: str) -> list[str]:
    return _in_order(tuple(table.hooks.items()), stage)


@cache
def _in_order(hooks: tuple[tuple[str, str], ...], stage: str) -> list[str]:
    found = []
    for name, hook in hooks:
        match = re.fullmatch(r"\{ type (?:nat|filter) hook (\S+) priority (-?\d+); \}", hook)
        assert match or not hook, hook
        if match and match[1] == stage:
            found.append((int(match[2]), name))
    return [name for _, name in sorted(found)]


@cache
def _text(address: Address) -> str:
    return str(ip_address(address))


def _chain(flow: Flow, name: str) -> Verdict:
    """A verdict that ends the base chain, or "" at the end of the chain."""
    for rule in flow.table.rules[name]:
        verdict = _rule(flow, rule)
        if verdict.startswith("goto "):
            return _chain(flow, verdict[5:])
        if verdict.startswith("jump "):
            verdict = _chain(flow, verdict[5:])
        if verdict == "return":
            return ""
        if verdict:
            return verdict
    return ""


def _rule(flow: Flow, rule: str) -> Verdict:
    for step in _steps(rule):
        verdict = step(flow)
        if verdict != "next":
            return verdict
    return ""


@cache
def _steps(rule: str) -> tuple[Step, ...]:
    steps, rest = [], rule
    while rest:
        for pattern, make in _READERS:
            if match := pattern.match(rest):
                steps.append(make(match))
                rest = rest[match.end() :].lstrip()
                break
        else:
            raise AssertionError(f"not understood: {rest!r} of {rule!r}")
    return tuple(steps)


def _value(flow: Flow, expression: str) -> str:
    """One part of a concatenation as an element's text has it."""
    if expression == "meta l4proto":
        return flow.protocol
    if expression in ("ip saddr", "ip6 saddr"):
        return _text(flow.source)
    if expression in ("ip daddr", "ip6 daddr"):
        return _text(flow.destination)
    if match := re.fullmatch(r"numgen random mod (\d+)(?: offset (\d+))?", expression):
        flow.modulus = int(match[1])
        return str(flow.choice + int(match[2] or 0))
    assert expression in ("th dport", f"{flow.protocol} dport"), expression
    return str(flow.port)


def _key(flow: Flow, concatenation: str) -> str:
    return " . ".join(_value(flow, part) for part in concatenation.split(" . "))


def _is(answer: bool) -> Verdict:
    return "next" if answer else ""


def _vmap(match: re.Match[str]) -> Step:
    return lambda flow: flow.table.elements[match[2]].get(_key(flow, match[1]), "next")


def _numgen_vmap(match: re.Match[str]) -> Step:
    choices = dict(pair.split(" : ") for pair in match[2].split(", "))
    assert list(choices) == [str(index) for index in range(int(match[1]))], match[0]
    return lambda flow: choices[_value(flow, f"numgen random mod {match[1]}")]


def _member(match: re.Match[str]) -> Step:
    return lambda flow: _is(_key(flow, match[1]) in flow.table.elements[match[2]])


def _address(match: re.Match[str]) -> Step:
    side, unlike, where = match.groups()
    expression = f"ip {side}"

    def step(flow: Flow) -> Verdict:
        texts = flow.table.elements[where[1:]] if where.startswith("@") else where.strip("{ }").split(", ")
        return _is(_within(_value(flow, expression), tuple(texts)) != bool(unlike))

    return step


@cache
def _within(address: str, networks: tuple[str, ...]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks)


def _fib(match: re.Match[str]) -> Step:
    if match[1] == "saddr":
        return lambda flow: _is(flow.from_here)
    return lambda flow: _is(flow.is_local(flow.destination))


def _protocol(match: re.Match[str]) -> Step:
    wanted = match[1].strip("{ }").split(", ")
    return lambda flow: _is(flow.protocol in wanted)


def _port(match: re.Match[str]) -> Step:
    """A client's own port is none that a rule speaks of."""
    return lambda flow: _is(match[1] == "dport" and flow.port == int(match[2]))


def _state(match: re.Match[str]) -> Step:
    unlike, wanted = match.groups()
    return lambda flow: _is((wanted == ("new" if flow.tracked else "untracked")) != bool(unlike))


def _mark_test(match: re.Match[str]) -> Step:
    return lambda flow: _is(bool(flow.mark & int(match[1], 16)))


def _mark_set(match: re.Match[str]) -> Step:
    def step(flow: Flow) -> Verdict:
        bits = int(match[2], 16)
        flow.mark = flow.mark | bits if match[1] == "|" else flow.mark & bits
        return "next"

    return step


def _dnat_map(match: re.Match[str]) -> Step:
    protocol = re.search(r"(tcp|udp|sctp) dport", match[1])
    assert protocol, match[0]

    def step(flow: Flow) -> Verdict:
        if flow.protocol != protocol[1]:
            return ""
        data = flow.table.elements[match[2]].get(_key(flow, match[1]))
        return _translate(flow, *data.split(" . ")) if data else ""

    return step


def _dnat_to(match: re.Match[str]) -> Step:
    return lambda flow: _translate(flow, match[1].strip("[]"), match[2])


def _translate(flow: Flow, address: str, port: str) -> Verdict:
    """Conntrack sets its ``dnat`` bit only where the target is not what was asked for anyway."""
    before, flow.translated = (flow.destination, flow.port), True
    flow.destination, flow.port = ip_address(address).packed, int(port)
    flow.rewritten = (flow.destination, flow.port) != before
    return "accept"


def _update(match: re.Match[str]) -> Step:
    def step(flow: Flow) -> Verdict:
        assert "flags dynamic,timeout" in flow.table.declared[match[1]]
        flow.seen[match[1]] = flow.source
        return "next"

    return step


def _masquerade(match: re.Match[str]) -> Step:
    def step(flow: Flow) -> Verdict:
        flow.masqueraded = True
        return "accept"

    return step


def _notrack(match: re.Match[str]) -> Step:
    def step(flow: Flow) -> Verdict:
        flow.tracked = False
        return "next"

    return step


def _said(verdict: str) -> Callable[[re.Match[str]], Step]:
    return lambda match: lambda flow: verdict or match[0]


_FRONT = r"((?:ip6? daddr \. )?meta l4proto \. th dport)"
_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Step]], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (_FRONT + r" vmap @(\S+)", _vmap),
        (_FRONT + r" @(\S+)", _member),
        (r"(ip6? saddr \. ip6? [sd]addr) @(\S+)", _member),
        (r"ip6? ([sd]addr) (!= )?(@\S+|\{[^}]*\}|[0-9a-f.:/]+)", _address),
        (r"fib ([sd]addr) type local", _fib),
        (r"meta l4proto (\{[^}]*\}|tcp|udp|sctp)", _protocol),
        (r"th ([sd]port) (\d+)", _port),
        (r"ct state (!= )?(new|invalid)", _state),
        (r"ct status dnat", lambda match: lambda flow: _is(flow.rewritten)),
        (r"meta mark & (0x[0-9a-f]{8}) != 0", _mark_test),
        (r"meta mark set meta mark ([|&]) (0x[0-9a-f]{8})", _mark_set),
        (r"masquerade fully-random", _masquerade),
        (r"dnat to (.*) map @(\S+)", _dnat_map),
        (r"dnat to (\[[0-9a-f:]+\]|[0-9.]+):(\d+)", _dnat_to),
        (r"update @(\S+) \{ ip6? saddr timeout \d+s \}", _update),
        (r"numgen random mod (\d+) vmap \{ ([^}]*) \}", _numgen_vmap),
        (r"notrack", _notrack),
        (r"reject( with tcp reset)?$", _said("reject")),
        (r"(goto|jump) [a-z0-9-]+|return|drop|accept", _said("")),
        (r'comment "[^"]{1,127}"$', _said("next")),
    )
)
