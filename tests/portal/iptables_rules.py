"""The rules that ours are made of, as functions of a packet; any other match or target is an error."""

import shlex
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from ipaddress import ip_address, ip_network

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Host, Target

from .outcome import Packet


@dataclass(frozen=True)
class State:
    """A packet on its way; ``translated`` is conntrack's bit, unset where that changed nothing."""

    packet: Packet
    host: Host
    now: float = 0.0
    memory: tuple[tuple[str, Address, float], ...] = ()
    mark: int = 0
    target: Target | None = None
    masqueraded: bool = False
    tracked: bool = True
    chance: Fraction = Fraction(1)

    @property
    def destination(self) -> Address:
        return self.target.address if self.target else self.packet.destination

    @property
    def port(self) -> int:
        return self.target.port if self.target else self.packet.port

    @property
    def translated(self) -> bool:
        asked = (self.packet.destination, self.packet.port)
        return self.target is not None and (self.target.address, self.target.port) != asked

    @property
    def states(self) -> set[str]:
        if not self.tracked:
            return {"UNTRACKED"}
        return {"NEW", "DNAT"} if self.translated else {"NEW"}


@dataclass(frozen=True)
class Rule:
    text: str
    matches: tuple[Callable[[State], State | None], ...]
    probability: Fraction
    verdict: str
    goes: str
    act: Callable[[State], State]


def is_local(host: Host, address: Address) -> bool:
    return ip_address(address).is_loopback or address in host.own


def parse(text: str) -> Rule:
    """One rule; ValueError or KeyError for a word that is not known."""
    words = shlex.split(text)
    matches: list[Callable[[State], State | None]] = []
    probability, verdict, goes = Fraction(1), "", ""
    act: Callable[[State], State] = _as_it_is
    has_protocol = False
    while words:
        inverted = words[0] == "!" and bool(words.pop(0))
        word = words.pop(0)
        if word in ("-j", "-g"):
            target = words.pop(0)
            if word == "-g" or target.startswith("SKYDNS-") or target not in TARGETS:
                goes, verdict = target, word
                assert not words, text
            else:
                verdict, act = TARGETS[target](words, has_protocol, "-p tcp" in text)
                words = []
        elif word == "--probability":
            probability = Fraction(words.pop(0))
        elif word == "-m" or word in ("--reap",):
            assert word == "--reap" or words.pop(0) in MODULES, text
        elif word == "--mode":
            assert words.pop(0) == "random"
        elif word == "--name":
            matches.append(_recent(words))
        else:
            has_protocol = has_protocol or word == "-p"
            matches.append(_inverting(MATCHES[word](words.pop(0)), inverted))
    assert verdict, text
    return Rule(text, tuple(matches), probability, verdict, goes, act)


def _inverting(holds: Callable[[State], bool], inverted: bool) -> Callable[[State], State | None]:
    return lambda state: state if holds(state) != inverted else None


def _recent(words: list[str]) -> Callable[[State], State | None]:
    name, command = words.pop(0), words.pop(0)
    if command == "--set":
        return lambda state: replace(state, memory=(*state.memory, (name, state.packet.source, state.now)))
    assert command == "--rcheck"
    assert words.pop(0) == "--seconds"
    seconds = int(words.pop(0))

    def seen(state: State) -> State | None:
        entries = (
            then
            for list_name, source, then in state.memory
            if (list_name, source) == (name, state.packet.source)
        )
        return state if any(state.now - then <= seconds for then in entries) else None

    return seen


def _as_it_is(state: State) -> State:
    return state


def _network(text: str, of: Callable[[State], Address]) -> Callable[[State], bool]:
    network = ip_network(text)
    return lambda state: ip_address(of(state)) in network


def _protocol(name: str) -> Callable[[State], bool]:
    return lambda state: state.packet.protocol.lower() == name


def _ports(text: str) -> Callable[[State], bool]:
    low, _, high = text.partition(":")
    return lambda state: int(low) <= state.port <= int(high or low)


def _source_ports(text: str) -> Callable[[State], bool]:
    assert text == "53", "a new connection's source port is not modelled, but is never 53"
    return lambda state: False


def _marked(text: str) -> Callable[[State], bool]:
    value, mask = (int(part, 0) for part in text.split("/"))
    return lambda state: state.mark & mask == value


def _states(text: str) -> Callable[[State], bool]:
    wanted = set(text.split(","))
    assert wanted <= {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT"}
    return lambda state: bool(wanted & state.states)


def _source_type(text: str) -> Callable[[State], bool]:
    assert text == "LOCAL"
    return lambda state: state.packet.from_here


def _destination_type(text: str) -> Callable[[State], bool]:
    assert text == "LOCAL"
    return lambda state: is_local(state.host, state.destination)


def _program(text: str) -> Callable[[State], bool]:
    count, *steps = text.split(",")
    code = [tuple(map(int, step.split())) for step in steps]
    assert len(code) == int(count)
    return lambda state: bool(_execute(code, _header(state)))


def _header(state: State) -> bytes:
    start = 12 if len(state.destination) == 4 else 8
    return bytes(start) + state.packet.source + state.destination


def _execute(code: Sequence[tuple[int, ...]], header: bytes) -> int:
    """Classic BPF: load word, A to X, jump if A = X, return."""
    accumulator = index = at = 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == 32:
            (accumulator,) = struct.unpack_from(">I", header, value)
        elif operation == 7:
            index = accumulator
        elif operation == 29:
            at += yes if accumulator == index else no
        else:
            assert operation == 6, operation
            return value


MODULES = {"tcp", "udp", "sctp", "mark", "conntrack", "addrtype", "statistic", "recent", "bpf"}
MATCHES: dict[str, Callable[[str], Callable[[State], bool]]] = {
    "-s": lambda text: _network(text, lambda state: state.packet.source),
    "-d": lambda text: _network(text, lambda state: state.destination),
    "-p": _protocol,
    "--dport": _ports,
    "--sport": _source_ports,
    "--mark": _marked,
    "--ctstate": _states,
    "--src-type": _source_type,
    "--dst-type": _destination_type,
    "--bytecode": _program,
}
Action = tuple[str, Callable[[State], State]]


def _plain(verdict: str) -> Callable[[list[str], bool, bool], Action]:
    def parsed(words: list[str], has_protocol: bool, tcp: bool) -> Action:
        assert not words
        return verdict, _as_it_is

    return parsed


def _to(words: list[str], has_protocol: bool, tcp: bool) -> Action:
    option, text = words
    assert option == "--to-destination"
    assert has_protocol, "a port is translated only where the protocol is known"
    address, _, port = text.rpartition(":")
    target = Target(ip_address(address.strip("[]")).packed, int(port))
    return "ACCEPT", lambda state: replace(state, target=target)


def _mark(words: list[str], has_protocol: bool, tcp: bool) -> Action:
    option, value = words[0], int(words[1], 0)
    if option == "--or-mark":
        return "CONTINUE", lambda state: replace(state, mark=state.mark | value)
    assert option == "--and-mark"
    return "CONTINUE", lambda state: replace(state, mark=state.mark & value)


def _masquerade(words: list[str], has_protocol: bool, tcp: bool) -> Action:
    assert words in ([], ["--random-fully"])
    return "ACCEPT", lambda state: replace(state, masqueraded=True)


def _reject(words: list[str], has_protocol: bool, tcp: bool) -> Action:
    option, how = words
    assert option == "--reject-with"
    assert how in ("tcp-reset", "icmp-port-unreachable", "icmp6-port-unreachable")

    def right(state: State) -> State:
        unreachable = "icmp-port-unreachable" if len(state.destination) == 4 else "icmp6-port-unreachable"
        assert how == ("tcp-reset" if state.packet.protocol == "TCP" else unreachable)
        assert state.target is None, "a translated connection is refused"
        return state

    return "REJECT", right


def _notrack(words: list[str], has_protocol: bool, tcp: bool) -> Action:
    assert words == ["--notrack"]
    return "CONTINUE", lambda state: replace(state, tracked=False)


TARGETS: dict[str, Callable[[list[str], bool, bool], Action]] = {
    **{name: _plain(name) for name in ("ACCEPT", "DROP", "RETURN")},
    "DNAT": _to,
    "MARK": _mark,
    "MASQUERADE": _masquerade,
    "REJECT": _reject,
    "CT": _notrack,
}
