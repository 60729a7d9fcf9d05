"""One YAML node at a time: its value checked, or a refusal with file, line and key path.

A reader takes a ``Field`` and gives a value or raises ConfigError.  Files are composed into nodes and
never turned into plain dicts, where lines are lost and a key given twice is silently the last one.
"""

import difflib
import enum
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

import yaml

from skydns_py.errors import ConfigError

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)


def compose(text: str, file: str) -> yaml.Node | None:
    """The root node of the one document, or None without one; ConfigError where ``text`` is not YAML."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}:1: not YAML: {str(error).splitlines()[0]}") from None
    except (ValueError, OverflowError):  # what PyYAML lets through of an escape such as "\UFFFFFFFF"
        raise ConfigError(f"{file}:1: not YAML: an escape beyond Unicode") from None
    except RecursionError:
        raise ConfigError(f"{file}:1: nested too deeply") from None


class Field(NamedTuple):
    """A YAML node, the file it stands in, and its key path ("" for the whole document)."""

    file: str
    node: yaml.Node
    path: str

    def refusal(self, reason: object, path: str | None = None, node: yaml.Node | None = None) -> ConfigError:
        """What to raise: this field's line and path, or those given."""
        line = (node or self.node).start_mark.line + 1
        where = self.path if path is None else path
        return ConfigError(f"{self.file}:{line}: {f'{where}: ' if where else ''}{reason}")

    @property
    def place(self) -> str:
        """``skydns.yaml:7: http.health``."""
        return f"{self.file}:{self.node.start_mark.line + 1}: {self.path}"

    def child(self, key: str) -> str:
        """The path of a key below; a key that is not a plain word is quoted, to keep a refusal one line."""
        shown = key if re.fullmatch(r"[\w-]+", key) else repr(key)
        return f"{self.path}.{shown}" if self.path else shown

    def key_node(self, key: str) -> yaml.Node:
        """Where ``key`` stands, for its line; the whole field where it does not."""
        return next((node for name, node, _ in pairs(self) if name == key), self.node)

    def key_refusal(self, key: str, reason: str) -> ConfigError:
        """What to raise about a key below, whether it stands there or is missing."""
        return self.refusal(reason, self.child(key), self.key_node(key))

    def below(self, key: str) -> "Field":
        """The field of a key below; this one again where the key does not stand there."""
        found = next((node for name, _, node in pairs(self) if name == key), self.node)
        return Field(self.file, found, self.child(key))

    def item(self, at: int) -> "Field":
        """One entry of a list."""
        return Field(self.file, self.node.value[at], f"{self.path}[{at}]")


Read = Callable[[Field], Any]
"""A field's value, or ConfigError."""


def section(field: Field, readers: Mapping[str, Read], later: Collection[str] = ()) -> dict[str, Any]:
    """The values of a mapping's keys, each through its reader; {} for a section left empty.

    ``later`` holds the key paths that this version does not have yet: they are refused as such.
    """
    found: dict[str, Any] = {}
    for key, node, value in pairs(field):
        path = field.child(key)
        if key in found:
            raise field.refusal("given twice", path, node)
        if path in later:
            raise field.refusal("not available in this version; remove it", path, node)
        if key not in readers:
            raise field.refusal(_unknown(key, readers), path, node)
        found[key] = readers[key](Field(field.file, value, path))
    return found


def pairs(field: Field) -> list[tuple[str, yaml.Node, yaml.Node]]:
    """Each key's text, its node and its value's node; none where the field was left empty."""
    node = field.node
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return []
    if not isinstance(node, yaml.MappingNode):
        raise field.refusal("must be a mapping of keys to values")
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise field.refusal("a key must be plain text", node=key)
    return [(key.value, key, value) for key, value in node.value]


def _unknown(key: str, known: Mapping[str, Read]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known here: {', '.join(known)}"


def _scalar(field: Field, tag: str, what: str) -> str:
    if not isinstance(field.node, yaml.ScalarNode) or field.node.tag != f"tag:yaml.org,2002:{tag}":
        raise field.refusal(f"must be {what}")
    return str(field.node.value)


def text_of(field: Field) -> str:
    """A string, which may be empty."""
    return _scalar(field, "str", "text (in quotes, if YAML takes it for something else)")


def boolean(field: Field) -> bool:
    """A YAML 1.1 boolean."""
    return _scalar(field, "bool", "true or false").lower() in ("true", "yes", "on")


def number(low: int, high: int) -> Callable[[Field], int]:
    """Reads a plain decimal number from ``low`` to ``high``, both included."""

    def read(field: Field) -> int:
        what = f"a whole number from {low} to {high}"
        text = _scalar(field, "int", what)
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text) or not low <= int(text) <= high:
            raise field.refusal(f"must be {what}")
        return int(text)

    return read


def parsed(parser: Callable[[str], T]) -> Callable[[Field], T]:
    """Reads text through ``parser``, whose ValueError is the refusal's reason."""

    def read(field: Field) -> T:
        try:
            return parser(text_of(field))
        except ValueError as error:
            raise field.refusal(error) from None

    return read


def choice(kind: type[E]) -> Callable[[Field], E]:
    """Reads the value of one member of an enum of texts."""
    members = {str(member.value): member for member in kind}
    choices = ", ".join(members)

    def read(field: Field) -> E:
        text = _scalar(field, "str", f"one of {choices}")
        if text not in members:
            raise field.refusal(f"{text!r} is not one of {choices}")
        return members[text]

    return read


def list_of(reader: Callable[[Field], T], *, may_be_empty: bool) -> Callable[[Field], tuple[T, ...]]:
    """Reads a list without repetitions."""

    def read(field: Field) -> tuple[T, ...]:
        if not isinstance(field.node, yaml.SequenceNode):
            raise field.refusal("must be a list")
        found: list[T] = []
        for at, node in enumerate(field.node.value):
            item = Field(field.file, node, f"{field.path}[{at}]")
            value = reader(item)
            if value in found:
                raise item.refusal(f"{str(value)!r} is given twice")
            found.append(value)
        if not found and not may_be_empty:
            raise field.refusal("must not be empty")
        return tuple(found)

    return read
