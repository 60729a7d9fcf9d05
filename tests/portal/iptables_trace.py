"""A model of the iptables tables: takes restore texts as the kernel would, and follows packets through them.

Only the matches and targets that our rules use are known; any other fails.  It is strict where kernels are:
a rule that is to be deleted must be there, a chain that is deleted must have been empty and unreferenced
before the commit (kernels before 6.2), and a jump must have somewhere to go.

A packet is followed along every way that chance leaves open, each with its probability.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from skydns_py.portal.backend import Command
from skydns_py.portal.plan.model import Host, Target

from .iptables_rules import Rule, State, is_local, parse
from .outcome import Outcome, Packet

BUILT_IN = {
    "raw": ("PREROUTING", "OUTPUT"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}


@dataclass
class Kernel:
    """The tables of both families: (family, table) to chain to rule texts."""

    tables: dict[tuple[int, str], dict[str, list[str]]] = field(
        default_factory=lambda: {
            (family, table): {chain: [] for chain in chains}
            for family in (4, 6)
            for table, chains in BUILT_IN.items()
        }
    )
    rules: dict[str, Rule] = field(default_factory=dict)

    def run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            family = 6 if command.argv[0].startswith("ip6") else 4
            if command.argv[0] == "tee":
                continue  # a kernel setting
            assert "--noflush" in command.argv
            for table, lines in _commits(command.stdin):
                self.tables[family, table] = _commit(self.tables[family, table], lines)

    def save(self, family: int) -> str:
        """As iptables-save prints it, without counters and comments."""
        text = ""
        for (number, table), chains in self.tables.items():
            if number == family:
                text += f"*{table}\n"
                text += "".join(
                    f":{name} {'ACCEPT' if name in BUILT_IN[table] else '-'} [0:0]\n" for name in chains
                )
                text += "".join(f"-A {name} {rule}\n" for name, rules in chains.items() for rule in rules)
                text += "COMMIT\n"
        return text

    def follow(self, state: State) -> Iterator[tuple[str, State]]:
        """Every way through the hooks: (verdict, state) with its chance."""
        first = "OUTPUT" if state.packet.from_here else "PREROUTING"
        for verdict, after in self._table("raw", first, state):
            if verdict != "ACCEPT":
                yield verdict, after
                continue
            yield from self._after_raw(first, after)

    def _after_raw(self, first: str, state: State) -> Iterator[tuple[str, State]]:
        for verdict, after in self._nat(first, state):
            assert verdict == "ACCEPT", "nat can only accept"
            hooks = _filter_hooks(after)
            yield from self._filter(hooks, after)

    def _filter(self, hooks: Sequence[str], state: State) -> Iterator[tuple[str, State]]:
        if not hooks:
            yield from self._nat("POSTROUTING", state)
            return
        for verdict, after in self._table("filter", hooks[0], state):
            if verdict == "ACCEPT":
                yield from self._filter(hooks[1:], after)
            else:
                yield verdict, after

    def _nat(self, hook: str, state: State) -> Iterator[tuple[str, State]]:
        if state.tracked:
            yield from self._table("nat", hook, state)
        else:
            yield "ACCEPT", state

    def _table(self, table: str, hook: str, state: State) -> Iterator[tuple[str, State]]:
        family = 4 if len(state.packet.destination) == 4 else 6
        for verdict, after in self._chain(self.tables[family, table], hook, state):
            yield verdict or "ACCEPT", after

    def _chain(
        self, chains: dict[str, list[str]], name: str, state: State, start: int = 0
    ) -> Iterator[tuple[str, State]]:
        """Verdict "" where the chain ends without one."""
        for index in range(start, len(chains[name])):
            rule = self._rule(chains[name][index])
            hit = _matched(rule, state)
            if hit is None:
                continue
            if rule.probability < 1:
                missed = replace(state, chance=state.chance * (1 - rule.probability))
                yield from self._chain(chains, name, missed, index + 1)
                hit = replace(hit, chance=hit.chance * rule.probability)
            yield from self._hit(chains, name, index, rule, rule.act(hit))
            return
        yield "", state

    def _hit(
        self, chains: dict[str, list[str]], name: str, index: int, rule: Rule, state: State
    ) -> Iterator[tuple[str, State]]:
        if rule.goes and rule.verdict == "-g":
            yield from self._chain(chains, rule.goes, state)
        elif rule.goes:
            for verdict, after in self._chain(chains, rule.goes, state):
                if verdict:
                    yield verdict, after
                else:
                    yield from self._chain(chains, name, after, index + 1)
        elif rule.verdict == "RETURN":
            yield "", state
        elif rule.verdict == "CONTINUE":
            yield from self._chain(chains, name, state, index + 1)
        else:
            yield rule.verdict, state

    def _rule(self, text: str) -> Rule:
        if text not in self.rules:
            self.rules[text] = parse(text)
        return self.rules[text]


def trace(kernel: Kernel, host: Host, packet: Packet) -> tuple[Outcome, dict[Target, Fraction]]:
    """What becomes of a packet, and the probability of each target."""
    kinds: set[str] = set()
    shares: dict[Target, Fraction] = {}
    masqueraded: dict[Target, bool] = {}
    for verdict, state in kernel.follow(State(packet, host)):
        kinds.add(_kind(verdict, state))
        if state.target is not None and verdict == "ACCEPT":
            shares[state.target] = shares.get(state.target, Fraction(0)) + state.chance
            assert masqueraded.setdefault(state.target, state.masqueraded) == state.masqueraded
    assert len(kinds) == 1, f"{packet}: {kinds}"
    seen = frozenset(target for target, yes in masqueraded.items() if yes)
    return Outcome(kinds.pop(), frozenset(shares), seen), shares  # type: ignore[arg-type]  # one of _kind's


def _kind(verdict: str, state: State) -> str:
    if verdict != "ACCEPT":
        return {"DROP": "dropped", "REJECT": "refused"}[verdict]
    return "untouched" if state.target is None else "sent"


def _filter_hooks(state: State) -> list[str]:
    here = is_local(state.host, state.destination)
    if state.packet.from_here:
        return ["OUTPUT", "INPUT"] if here else ["OUTPUT"]
    return ["INPUT"] if here else ["FORWARD"]


def _matched(rule: Rule, state: State) -> State | None:
    after: State | None = state
    for match in rule.matches:
        if after is None:
            return None
        after = match(after)
    return after


def _commits(text: str) -> Iterator[tuple[str, list[str]]]:
    table = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            table, lines = line[1:], []
        elif line == "COMMIT":
            yield table, lines
            table = ""
        else:
            assert table, line
            lines.append(line)
    assert not table, "no COMMIT"


def _commit(before: dict[str, list[str]], lines: Sequence[str]) -> dict[str, list[str]]:
    chains = {name: list(rules) for name, rules in before.items()}
    for line in lines:
        if line.startswith(":"):
            name = line[1:].split()[0]
            assert name.startswith("SKYDNS-"), f"{name} is not ours"
            assert len(name) <= 28, f"{name} is too long"
            chains[name] = []
            continue
        command, name, *rest = line.split(" ", 2)
        _change(chains, before, command, name, rest[0] if rest else "")
    for rules in chains.values():
        for rule in rules:
            assert not (goes := parse(rule).goes) or goes in chains, f"{rule}: no such chain"
    return chains


def _change(
    chains: dict[str, list[str]], before: dict[str, list[str]], command: str, name: str, rest: str
) -> None:
    if command == "-A":
        chains[name].append(rest)
    elif command == "-I":
        place, rule = rest.split(" ", 1)
        chains[name].insert(int(place) - 1, rule)
    elif command == "-D":
        assert rest in chains[name], f"{name} has no {rest}"
        chains[name].remove(rest)
    else:
        assert command == "-X", command
        assert not [*before.get(name, ()), *chains[name]], f"{name} is not empty"
        assert not any(name in rule.split() for rules in before.values() for rule in rules), f"{name} is used"
        del chains[name]
