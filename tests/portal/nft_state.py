"""The nftables of a pretended kernel: it runs the statements that the backend prints, one transaction a text.

It is stricter than the kernel where that keeps older kernels working: a chain that anything led to when the
transaction began cannot be deleted by it.  Whatever it does not know is an ``AssertionError``.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_COMMENT = re.compile(r' comment "([^"\n]*)"')
_LEADS = re.compile(r"(?:goto|jump) ([a-z0-9-]+)")
_SETS = re.compile(r"@([a-z0-9_-]+)")


@dataclass
class TableState:
    """One table: declarations, elements (a set's have the data ""), chains' hooks and rules."""

    declared: dict[str, str] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[str]] = field(default_factory=dict)

    def led_to(self) -> set[str]:
        """The chains that a rule or an element leads to."""
        texts = [rule for rules in self.rules.values() for rule in rules]
        texts += [data for elements in self.elements.values() for data in elements.values()]
        return {name for text in texts for name in _LEADS.findall(text)}

    def used_sets(self) -> set[str]:
        return {name for rules in self.rules.values() for rule in rules for name in _SETS.findall(rule)}


Tables = dict[str, TableState]


def run(tables: Tables, text: str) -> Tables:
    """The tables after the transaction; ``tables`` is left as it was."""
    after = copy.deepcopy(tables)
    led_to = {family: table.led_to() for family, table in tables.items()}
    for line in text.splitlines():
        _statement(after, line, led_to)
    for table in after.values():
        missing = (table.led_to() - set(table.rules)) | (table.used_sets() - set(table.declared))
        assert not missing, f"leads nowhere: {missing}"
    return after


def _statement(tables: Tables, line: str, led_to: dict[str, set[str]]) -> None:
    verb, kind, family, name, *rest = line.split(" ", 4)
    assert name == "skydns", f"not our table: {line}"
    if kind == "table":
        _table(tables, verb, family)
        return
    table, body = tables[family], rest[0]
    first, _, tail = body.partition(" ")
    if kind == "element":
        _elements(table, verb, first, tail)
    elif kind == "rule":
        assert (verb, first in table.rules) == ("add", True), line
        table.rules[first].append(tail)
    elif kind == "chain":
        _chain(table, verb, first, tail, led_to.get(family, set()))
    else:
        assert kind in ("map", "set"), line
        _set(table, verb, first, f"{kind} {tail}")


def _table(tables: Tables, verb: str, family: str) -> None:
    if verb == "add":
        tables.setdefault(family, TableState())
    elif verb == "delete":
        del tables[family]
    else:
        assert verb == "flush", verb
        tables[family].rules = {name: [] for name in tables[family].rules}


def _chain(table: TableState, verb: str, name: str, hook: str, led_to: set[str]) -> None:
    if verb == "add":
        assert table.hooks.setdefault(name, hook) == hook, name
        table.rules.setdefault(name, [])
    elif verb == "flush":
        table.rules[name] = []
    else:
        assert verb == "delete", verb
        assert not table.rules[name], f"{name} has rules"
        assert name not in table.led_to() | led_to, f"{name} is in use"
        del table.rules[name], table.hooks[name]


def _set(table: TableState, verb: str, name: str, declared: str) -> None:
    if verb == "add":
        assert table.declared.setdefault(name, declared) == declared, name
        table.elements.setdefault(name, {})
    elif verb == "flush":
        table.elements[name] = {}
    else:
        assert verb == "delete", verb
        assert name not in table.used_sets(), f"{name} is in use"
        del table.declared[name], table.elements[name]


def _elements(table: TableState, verb: str, name: str, text: str) -> None:
    elements = table.elements[name]
    for key, data in _split(text):
        if verb == "add":
            assert elements.get(key, data) == data, f"{name} has {key} already"
            elements[key] = data
        else:
            assert verb == "delete", verb
            assert not data, "a deletion names keys alone"
            del elements[key]


def _split(text: str) -> Iterator[tuple[str, str]]:
    assert text.startswith("{ "), text
    assert text.endswith(" }"), text
    for element in _COMMENT.sub(_checked, text[2:-2]).split(", "):
        key, _, data = element.partition(" : ")
        yield key, data


def _checked(comment: re.Match[str]) -> str:
    assert len(comment[1].encode()) <= 127, comment[1]
    return ""
