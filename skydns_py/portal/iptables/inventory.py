"""What ``iptables-save`` printed: which chains are ours, and where others' rules lead to them."""

import re
from dataclasses import dataclass, field

from skydns_py.portal.iptables.tools import PREFIX

_LEADS_TO_US = re.compile(rf" (?:-j|-g) ({re.escape(PREFIX)}\S+)")


@dataclass
class Found:
    """One table: our ``chains``; the rules of each built-in chain, in order; the chains ``held`` by others.

    A chain is held where a rule of somebody else's own chain leads to it; it cannot be deleted.
    """

    chains: set[str] = field(default_factory=set)
    hooks: dict[str, list[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)


def leads_to_us(rule: str) -> bool:
    """Whether a rule jumps to a chain of ours."""
    return _LEADS_TO_US.search(f" {rule}") is not None


def parse(text: str) -> dict[str, Found]:
    """The tables of a listing by name; none where there is no text."""
    tables: dict[str, Found] = {}
    found = Found()
    for line in text.splitlines():
        if line.startswith("*"):
            found = tables.setdefault(line[1:], Found())
        elif line.startswith(":"):
            _chain(line, found)
        elif line.startswith("-A "):
            _rule(line, found)
    return tables


def _chain(line: str, found: Found) -> None:
    name, policy, *_ = line[1:].split()
    if name.startswith(PREFIX):
        found.chains.add(name)
    elif policy != "-":
        found.hooks[name] = []


def _rule(line: str, found: Found) -> None:
    _, name, rule = line.split(" ", 2) if line.count(" ") > 1 else (*line.split(" "), "")
    if name in found.hooks:
        found.hooks[name].append(rule)
    elif not name.startswith(PREFIX) and (match := _LEADS_TO_US.search(f" {rule}")):
        found.held.add(match[1])
