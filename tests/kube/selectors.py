"""Label and field selectors, as a query carries them, for the stand-in API server."""

import re
from collections.abc import Callable

from tests.kube.resources import Object, Refused, Resource

Wanted = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUAL = re.compile(rf"(?P<key>{_KEY})\s*(?P<how>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)")
_THERE = re.compile(rf"(?P<how>!?)\s*(?P<key>{_KEY})")


def selection(resource: Resource, labels: str, fields: str) -> Wanted:
    """Whether an object is selected; Refused where a selector is none."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", labels) if part.strip()]
    tests = [_label_test(part) for part in parts] + [
        _field_test(resource, part) for part in fields.split(",") if part
    ]
    return lambda item: all(test(item) for test in tests)


def _label_test(part: str) -> Wanted:
    if found := _SET.fullmatch(part):
        values = {each.strip() for each in found["values"].split(",")}
        return _compare(found["key"], values, found["how"] == "in")
    if found := _EQUAL.fullmatch(part):
        return _compare(found["key"], {found["value"]}, found["how"] != "!=")
    if found := _THERE.fullmatch(part):
        key, there = found["key"], not found["how"]
        return lambda item: (key in _labels(item)) == there
    raise Refused(400, f"unable to parse requirement: {part}")


def _compare(key: str, values: set[str], equal: bool) -> Wanted:
    """An object without the label is not among any values."""
    return lambda item: (_labels(item).get(key) in values) == equal


def _labels(item: Object) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def _field_test(resource: Resource, part: str) -> Wanted:
    found = re.fullmatch(r"(?P<key>[\w.]+)(?P<how>==|=|!=)(?P<value>.*)", part)
    if found is None:
        raise Refused(400, f"invalid selector: '{part}'; can't understand '{part}'")
    key, value, equal = found["key"].split("."), found["value"], found["how"] != "!="
    if found["key"] not in ("metadata.name", "metadata.namespace", *resource.fields):
        told = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
        raise Refused(400, f'"{found["key"]}" {told}')
    return lambda item: (_field(item, key) == value) == equal


def _field(item: Object, path: list[str]) -> str:
    value: object = item
    for each in path:
        value = value.get(each) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
