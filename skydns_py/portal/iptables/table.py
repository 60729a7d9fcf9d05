"""One table of one family: from what stands in the kernel to what is wanted, in one atomic commit.

1. Naming a chain flushes it, or makes it; so a chain is always written whole, and only if its text changed.
2. A chain that is not wanted any more is flushed in the commit that takes its last reference away, and
   deleted by a later one: kernels before 6.2 refuse both at once.  One that others lead to is left, empty.
3. Jumps from built-in chains are looked at when the inventory is adopted.  Where they are not first they
   are taken out and put in by the same commit, so no packet ever sees the chain without them.  They are
   taken out by their text, not their number: somebody may have inserted a rule since.
4. Only hashes of what stands are kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from skydns_py.portal.iptables.inventory import Found, leads_to_us
from skydns_py.portal.iptables.skeleton import HOOKS, TAILS
from skydns_py.portal.iptables.tree import Growth, Tree


@dataclass
class Step:
    """A commit: chains to write, to flush and to delete, and the commands that put the jumps in place."""

    written: dict[str, str] = field(default_factory=dict)
    flushed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    moves: list[str] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    wanted: bool = True

    def text(self, table: str) -> str:
        """What iptables-restore reads; "" if there is nothing to do."""
        named = [*self.written, *sorted(self.flushed), *sorted(self.deleted)]
        if not named and not self.moves:
            return ""
        parts = [f"*{table}\n", *(f":{name} - [0:0]\n" for name in named), *self.moves]
        parts += [_appended(name, rules) for name, rules in self.written.items() if rules]
        parts += [f"-X {name}\n" for name in sorted(self.deleted)]
        return "".join([*parts, "COMMIT\n"])


class Table:
    """The chains of a table. ``fixed`` are those that every host has; without any the table is not used."""

    def __init__(self, name: str, fixed: dict[str, str], trees: list[Tree]) -> None:
        self.name = name
        self._fixed = fixed
        self._trees = trees
        self._chains: dict[str, str] = {}
        self._touched: set[str] = set()
        self._flying: set[str] = set()
        self._standing: dict[str, int | None] = {}
        self._stale: set[str] = set()
        self._held: set[str] = set()
        self._hooks: dict[str, list[str]] = {}
        self._complete = True
        self._step = Step()

    @property
    def untidy(self) -> bool:
        """Whether flushed chains wait to be deleted."""
        return bool(self._stale)

    def put(self, name: str, rules: str) -> None:
        """A chain of a portal; "" where it is gone."""
        if self._chains.get(name, "") == rules:
            return
        self._touched.add(name)
        if rules:
            self._chains[name] = rules
        else:
            del self._chains[name]

    def adopt(self, found: Found) -> None:
        """This is what the kernel has; nothing is known of its chains but their names."""
        self._standing = dict.fromkeys(found.chains)
        self._stale = set()
        self._held = found.held
        self._hooks = found.hooks
        self._complete = True
        for tree in self._trees:
            tree.forget()

    def plan(self, wanted: bool) -> str:
        """The text of the next commit; ``wanted`` if the family has portals."""
        step = self._step = Step(wanted=wanted and bool(self._fixed))
        gone: set[str] = set()
        looked_at = self._wanted(step, gone) if step.wanted else {}
        if self._complete or not step.wanted:
            gone = self._standing.keys() - looked_at.keys()
        step.written = {name: rules for name, rules in looked_at.items() if self._differs(name, rules)}
        step.flushed = gone & self._standing.keys()
        step.deleted = self._stale - looked_at.keys()
        step.moves = list(self._moves(step.wanted))
        return step.text(self.name)

    def committed(self) -> None:
        """The last plan is in the kernel."""
        step = self._step
        for name in step.flushed:
            del self._standing[name]
        self._standing.update((name, hash(rules)) for name, rules in step.written.items())
        self._stale = step.flushed - self._held
        self._flying, self._complete = set(), False
        for tree, growth in zip(self._trees, step.growths, strict=step.wanted):
            tree.committed(growth)
        if not step.wanted:
            for tree in self._trees:
                tree.forget()
        self._hooks = {hook: _ours(self.name, hook, step.wanted) for hook in HOOKS[self.name]}
        for texts in (step.written, *(growth.written for growth in step.growths)):
            texts.clear()  # megabytes after a complete one

    def _wanted(self, step: Step, gone: set[str]) -> dict[str, str]:
        """The chains whose text may differ from what stands; into ``gone`` go those that are not wanted."""
        self._flying |= self._touched
        self._touched = set()
        names = self._chains.keys() if self._complete else self._flying
        looked_at = {**self._fixed, **{name: self._chains[name] for name in names if name in self._chains}}
        gone.update(name for name in names if name not in self._chains)
        for tree in self._trees:
            growth = tree.growth()
            step.growths.append(growth)
            looked_at.update((tree.chain(prefix), rules) for prefix, rules in growth.written.items())
            gone.update(tree.chain(prefix) for prefix in growth.gone)
        return looked_at

    def _differs(self, name: str, rules: str) -> bool:
        return self._standing.get(name) != hash(rules)

    def _moves(self, wanted: bool) -> Iterator[str]:
        """Rule 3."""
        for hook in HOOKS[self.name]:
            rules = self._hooks.get(hook, [])
            present, due = [rule for rule in rules if leads_to_us(rule)], _ours(self.name, hook, wanted)
            if present == due and rules[:1] == due[:1] * bool(rules):
                continue
            yield from (f"-D {hook} {rule}\n" for rule in present)
            yield from (f"-I {hook} 1 {rule}\n" for rule in due[:1])
            yield from (f"-A {hook} {rule}\n" for rule in due[1:])


def _ours(table: str, hook: str, wanted: bool) -> list[str]:
    tail = TAILS.get(table, {}).get(hook)
    return [f"-j {HOOKS[table][hook]}", *([f"-j {tail}"] if tail else [])] if wanted else []


def _appended(name: str, rules: str) -> str:
    head = f"-A {name} "
    return head + rules[:-1].replace("\n", f"\n{head}") + "\n"
