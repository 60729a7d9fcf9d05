"""The text of a manifest: YAML or JSON octets in, plain documents and the lines they begin on out.

1. YAML is built from the parser's events.  PyYAML's composer recurses in C, and 100 000 nested brackets
   end the process there; its aliases and merge keys multiply without bound.  It is not faster either.
2. Whoever may write manifests can make this server read MAX_OCTETS and MAX_EVENTS a file, in a thread;
   MAX_DEPTH and MAX_ALIASED keep time and memory in proportion to that.
3. Values are read as Kubernetes reads them (YAML 1.1, JSON's types): a date stays text, a mapping's key
   is text, a key given twice is refused.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

MAX_OCTETS = 16 * 2**20
"""Octets of one file."""
MAX_EVENTS = 3_000_000
"""Parser events of one file, some 60 000 Services: about 5 s of a thread's time, and 300 MB meanwhile."""
MAX_DEPTH = 100
"""Nesting of one document; Kubernetes objects need about ten levels."""
MAX_ALIASED = 100_000
"""Nodes that the aliases of one file may stand for, taken together ("billion laughs")."""

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((f(word) for word in ("true", "yes", "on") for f in (str, str.title, str.upper)), True),
    **dict.fromkeys((f(word) for word in ("false", "no", "off") for f in (str, str.title, str.upper)), False),
}
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)").fullmatch
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?").fullmatch
_MAX_DIGITS = 40
_NUMERIC = frozenset("+-.0123456789")
_NO_KEY = object()
_MERGE = object()


class Unreadable(Exception):
    """A file that is no YAML or JSON, or too much of it; ``line`` is 0 where it is not about one line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Document(NamedTuple):
    """One document of a file: the line it begins on, and its value of plain dicts, lists and scalars."""

    line: int
    value: object


def read_documents(text: bytes, is_json: bool = False) -> list[Document]:
    """The documents of a file; Unreadable where it is not YAML (JSON), or against a limit of this module."""
    if len(text) > MAX_OCTETS:
        raise Unreadable(0, f"is larger than {MAX_OCTETS // 2**20} MiB; split it")
    return [Document(1, _json(text))] if is_json else list(_yaml(text))


def _json(text: bytes) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise Unreadable(error.lineno, f"is not JSON: {error.msg}") from None
    except RecursionError:
        raise Unreadable(0, "is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(0, f"is not JSON: {error}") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def _yaml(text: bytes) -> Iterator[Document]:
    builder = _Builder(0)
    try:
        for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            if count >= MAX_EVENTS:
                raise _refusal(event, f"holds more than {MAX_EVENTS} YAML events; split the file")
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(builder.aliased)
            elif isinstance(event, yaml.DocumentEndEvent):
                yield Document(builder.line, builder.root)
            else:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise Unreadable(line, _reason(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count(b"\n", 0, error.position) + 1
        raise Unreadable(line, f"is not YAML: {error.reason}") from None
    except yaml.YAMLError as error:
        raise Unreadable(0, f"is not YAML: {' '.join(str(error).split())}") from None


def _reason(error: yaml.MarkedYAMLError) -> str:
    """What is wrong with it; libyaml from 0.2.6 on (PyYAML 6.0.4) meets deep nesting before our own limit."""
    if "nesting depth" in (error.problem or ""):
        return _TOO_DEEP
    return f"is not YAML: {error.problem or error.context}"


@dataclass(slots=True)
class _Frame:
    """A collection under way. ``key`` is the mapping's key whose value comes next; ``size`` counts nodes."""

    value: Any
    anchor: str | None
    size: int
    key: object
    merged: list[dict[str, object]]


class _Builder:
    """Makes one document from its events. ``aliased`` is what aliases stood for in the file so far."""

    def __init__(self, aliased: int) -> None:
        self.root: object = None
        self.line = 0
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self.aliased = aliased

    def take(self, event: Any) -> None:
        """The next event; Unreadable where it makes no document."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._open.pop()
            self._finish(frame)
            self._add(event, frame.value, frame.size, frame.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _scalar(self, event: Any) -> None:
        if self._awaits_key():
            is_merge = event.value == "<<" and event.implicit[0]
            self._set_key(event, _MERGE if is_merge else event.value)
            if event.anchor:
                self._anchors[event.anchor] = (event.value, 1)
        else:
            self._add(event, _value(event), 1, event.anchor)

    def _start(self, event: Any) -> None:
        if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
            raise _refusal(event, f"the tag {event.tag} is not known here")
        if len(self._open) >= MAX_DEPTH:
            raise _refusal(event, _TOO_DEEP)
        if self._awaits_key():
            raise _refusal(event, "a key must be text")
        self.line = self.line or _line(event)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Frame(value, event.anchor, 1, _NO_KEY, []))

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise _refusal(event, f"the alias *{event.anchor} stands for nothing before it, or for itself")
        value, size = self._anchors[event.anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise _refusal(event, f"aliases stand for more than {MAX_ALIASED} nodes; write them out")
        if not self._awaits_key():
            self._add(event, value, size, None)
        elif isinstance(value, str):
            self._set_key(event, value)
        else:
            raise _refusal(event, "a key must be text")

    def _awaits_key(self) -> bool:
        return bool(self._open) and self._open[-1].key is _NO_KEY and isinstance(self._open[-1].value, dict)

    def _set_key(self, event: Any, key: object) -> None:
        if key in self._open[-1].value:
            raise _refusal(event, f"{key!r} is given twice")
        self._open[-1].key = key

    def _add(self, event: Any, value: object, size: int, anchor: str | None) -> None:
        """A finished node goes into the collection around it."""
        if anchor:
            self._anchors[anchor] = (value, size)
        if not self._open:
            self.root, self.line = value, self.line or _line(event)
            return
        frame = self._open[-1]
        frame.size += size
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is _MERGE:
            frame.merged += _mappings(event, value)
        else:
            frame.value[frame.key] = value
        frame.key = _NO_KEY

    def _finish(self, frame: _Frame) -> None:
        """Merge keys ("<<"): what is given in place wins, then the first of the mappings merged."""
        for merged in frame.merged:
            for key, value in merged.items():
                frame.value.setdefault(key, value)


def _mappings(event: Any, value: object) -> list[dict[str, object]]:
    found: list[Any] = value if isinstance(value, list) else [value]
    if all(isinstance(each, dict) for each in found):
        return found
    raise _refusal(event, "'<<' takes a mapping, or a list of them")


def _value(event: Any) -> object:
    """The value of a scalar: plain ones are resolved, quoted ones are text, tags of JSON's types decide."""
    tag = event.tag
    if event.implicit[1] or tag in ("!", f"{_TAG}str"):
        return event.value
    if tag is None or tag in {f"{_TAG}{name}" for name in ("null", "bool", "int", "float")}:
        return _resolved(event.value)
    raise _refusal(event, f"the tag {tag} is not known here")


def _resolved(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC or len(text) > _MAX_DIGITS:
        return text
    if _INT(text):
        return _integer(text.replace("_", ""))
    return float(text.replace("_", "")) if _FLOAT(text) else text


def _integer(digits: str) -> object:
    """YAML 1.1 integers, where a leading zero means octal."""
    bare = digits.lstrip("+-")
    sign = -1 if digits.startswith("-") else 1
    try:
        if bare.startswith("0") and bare[1:].isdigit():
            return sign * int(bare, 8)
        return sign * int(bare, 0)
    except ValueError:
        return digits


def _refusal(event: Any, reason: str) -> Unreadable:
    return Unreadable(_line(event), reason)


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1
