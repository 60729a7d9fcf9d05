"""Rules found by address (or port) through a few small chains, so that neither a packet nor a change pays
for the number of services.

1. An entry stands under a key: hexadecimal digits, for a port behind the letter of its protocol.  A node is
   a prefix of keys and weighs as many rules as stand below it.
2. A node that weighs at most ``LEAF`` is a leaf: one chain with all its rules.  So is a full key.  Any other
   has a branch for each next character, and passes over those in which it would have a single one.
3. A branch that weighs at most ``INLINE`` is written where it branches off; any other is a chain of its own,
   reached by a match of its prefix.  The root is always a chain.
4. So a chain depends on the entries below it and on nothing else.  After a change only the chains on the way
   from the root to what changed are looked at, and those below them that did not stand before.
5. Between chains goes ``-g``: prefixes do not overlap, so nothing is left to look for on the way back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from sys import intern

from skydns_py.portal.iptables.words import chain, digest

LEAF = 48
"""Rules in one chain.  More make a change dearer (0.04 ms each), fewer make more chains to jump through."""
INLINE = 2
Pairs = tuple[tuple[str, str], ...]


@dataclass
class Growth:
    """What a tree's chains become: the text of each chain looked at, by prefix, and chains that are gone."""

    written: dict[str, str] = field(default_factory=dict)
    branches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


class Tree:
    """Rules by key; ``match`` gives the match of a prefix, ``depth`` is the length of a key."""

    def __init__(self, name: str, depth: int, match: Callable[[str], str]) -> None:
        self.name = name
        self._depth = depth
        self._match = match
        self._nodes: dict[str, tuple[int, str]] = {}
        self._entries: dict[str, Pairs] = {}
        self._touched: set[str] = set()
        self._flying: set[str] = set()
        self._standing: dict[str, tuple[str, ...]] = {}

    def chain(self, prefix: str) -> str:
        """The chain of a node."""
        if not prefix:
            return chain(self.name)
        return chain(f"{self.name}-{prefix if len(prefix) <= 12 else digest(prefix, size=8)}")

    def put(self, key: str, owner: str, rules: str) -> None:
        """Under ``key``, these are the owner's rules, "" for none; owners stand in the order of names."""
        pairs = dict(self._entries.get(key, ()))
        before = pairs.pop(owner, "")
        if before == rules:
            return
        if rules:
            pairs[owner] = rules
        if pairs:
            self._entries[intern(key)] = tuple(sorted(pairs.items()))
        else:
            del self._entries[key]
        self._weigh(key, rules.count("\n") - before.count("\n"), bool(pairs))
        self._touched.add(key)

    def _weigh(self, key: str, more: int, alive: bool) -> None:
        for length in range(self._depth - 1, -1, -1):
            prefix, last = key[:length], key[length]
            weight, following = self._nodes.get(prefix, (0, ""))
            if alive and last not in following:
                following = "".join(sorted(following + last))
            elif not alive:
                following = following.replace(last, "")
            alive = bool(following)
            if alive:
                self._nodes[prefix] = (weight + more, following)
            else:
                del self._nodes[prefix]

    def forget(self) -> None:
        """Nothing is known to be programmed: the next growth is the whole tree."""
        self._standing.clear()

    def growth(self) -> Growth:
        """What the chains must become; the same again until ``committed``."""
        self._flying |= self._touched
        self._touched = set()
        way = {key[:length] for key in self._flying for length in range(self._depth + 1)}
        growth = Growth()
        if way or not self._standing:
            self._visit("", way, growth)
            self._prune(growth)
        return growth

    def committed(self, growth: Growth) -> None:
        """That growth is in the kernel."""
        for prefix in growth.gone:
            del self._standing[prefix]
        self._standing.update(growth.branches)
        self._flying = set()

    def _visit(self, prefix: str, way: set[str], growth: Growth) -> None:
        text, branches = self._chain(prefix)
        growth.written[prefix] = text
        growth.branches[prefix] = branches
        for branch in branches:
            if branch in way or branch not in self._standing:
                self._visit(branch, way, growth)

    def _prune(self, growth: Growth) -> None:
        kept = {"", *(branch for branches in growth.branches.values() for branch in branches)}
        suspects = [old for prefix in growth.written for old in self._standing.get(prefix, ())]
        while suspects:
            prefix = suspects.pop()
            if prefix not in kept and prefix not in growth.gone:
                growth.gone.add(prefix)
                suspects.extend(self._standing[prefix])

    def _chain(self, prefix: str) -> tuple[str, tuple[str, ...]]:
        if self._is_leaf(prefix):
            return "".join(self._rules(prefix)), ()
        text: list[str] = []
        branches: list[str] = []
        for following in self._nodes[prefix][1]:
            branch = self._descend(prefix + following)
            if self._weight(branch) <= INLINE:
                text.extend(self._rules(branch))
            else:
                text.append(f"{self._match(branch)}-g {self.chain(branch)}\n")
                branches.append(branch)
        return "".join(text), tuple(branches)

    def _descend(self, prefix: str) -> str:
        while not self._is_leaf(prefix) and len(self._nodes[prefix][1]) == 1:
            prefix += self._nodes[prefix][1]
        return prefix

    def _is_leaf(self, prefix: str) -> bool:
        return len(prefix) == self._depth or self._weight(prefix) <= LEAF

    def _weight(self, prefix: str) -> int:
        if len(prefix) == self._depth:
            return sum(rules.count("\n") for _, rules in self._entries[prefix])
        return self._nodes.get(prefix, (0, ""))[0]

    def _rules(self, prefix: str) -> Iterator[str]:
        if len(prefix) == self._depth:
            yield from dict.fromkeys(rules for _, rules in self._entries[prefix])
            return
        for following in self._nodes.get(prefix, (0, ""))[1]:
            yield from self._rules(prefix + following)


def by_address(name: str, family: int) -> Tree:
    """A tree over destination addresses; a key is the address in hexadecimal."""
    bits = 32 if family == 4 else 128

    def match(prefix: str) -> str:
        octets = bytes.fromhex(prefix.ljust(bits // 4, "0"))
        return f"-d {ip_address(octets)}/{4 * len(prefix)} "

    return Tree(name, bits // 4, match)


def by_port(name: str) -> Tree:
    """A tree over destination ports; see ``port_key``."""
    return Tree(name, 5, _match_ports)


def port_key(protocol: str, port: int) -> str:
    """The key of a port: the first letter of its protocol (T, U or S) and four digits."""
    return f"{protocol[0]}{port:04x}"


def _match_ports(prefix: str) -> str:
    name = {"T": "tcp", "U": "udp", "S": "sctp"}[prefix[0]]
    if len(prefix) == 1:
        return f"-p {name} "
    low, high = (int(prefix[1:].ljust(4, digit), 16) for digit in "0f")
    return f"-p {name} -m {name} --dport {low}:{high} "
