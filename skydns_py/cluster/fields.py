"""Reading a cluster object field by field, checked, whatever its encoding.

1. The rules that make an object are written once, against ``Fields``.  JSON and protobuf each
   implement it, so both yield equal objects and refuse the same input with the same path.
2. Absent, null and protobuf's default value mean the same.  Where Kubernetes tells them apart
   (``conditions.ready``, a slice's ``port``) the reader is asked with ``has`` or ``absent``.
3. Only fields that are asked for are looked at: what a newer API server adds is ignored.
4. A reader knows its parent and its place there; a path is put together only for a complaint.
"""

# ruff: noqa: D102 - the readers of JsonFields are described where Fields declares them

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from sys import intern

from skydns_py.cluster.objects import Address
from skydns_py.errors import DecodeError

_OCTETS = {str(octet): octet for octet in range(256)}
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?").fullmatch
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*").fullmatch
_DOMAIN = re.compile(r"[-_a-zA-Z0-9]{1,63}(?:\.[-_a-zA-Z0-9]{1,63})*").fullmatch

PROTOCOLS = ("TCP", "UDP", "SCTP")
SHARED = 4096
"""Distinct port tuples kept for sharing: about 2 MB where a cluster has as many."""


class Fields(ABC):
    """One message or mapping.  A reader raises DecodeError with the field's path where it cannot be used."""

    __slots__ = ("_index", "_name", "_parent")
    _parent: "Fields | None"
    _name: str
    _index: int

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the field is there; for protobuf, only fields declared optional or messages can tell."""

    @abstractmethod
    def text(self, name: str) -> str:
        """A string that UTF-8 can carry; "" where absent."""

    @abstractmethod
    def texts(self, name: str) -> Sequence[str]:
        """A list of strings; empty where absent."""

    @abstractmethod
    def number(self, name: str) -> int:
        """A whole number of any size; 0 where absent."""

    @abstractmethod
    def number_or_text(self, name: str) -> int | str:
        """Kubernetes' IntOrString; 0 where absent."""

    @abstractmethod
    def flag(self, name: str, absent: bool = False) -> bool:
        """A boolean; ``absent`` where it is not there."""

    @abstractmethod
    def pairs(self, name: str) -> Mapping[str, str]:
        """A map of strings; empty where absent."""

    @abstractmethod
    def pair(self, name: str, key: str) -> str:
        """The value of one key of a map of strings, "" where absent; its other keys are not looked at."""

    @abstractmethod
    def child(self, name: str) -> "Fields":
        """A message; one without fields where absent."""

    @abstractmethod
    def children(self, name: str) -> "Iterator[Fields]":
        """A list of messages; none where absent."""

    def path(self, name: str = "") -> str:
        """The path of a field, or of this message itself, as ``spec.ports[0].port``."""
        place = f"{self._name}[{self._index}]" if self._index >= 0 else self._name
        above = self._parent.path() if self._parent else ""
        return ".".join(part for part in (above, place, name) if part)

    def error(self, name: str, reason: str) -> DecodeError:
        """The complaint about one field, for the caller to raise."""
        return DecodeError(self.path(name), reason)


class JsonFields(Fields):
    """A mapping as JSON and YAML parsers return it; ``name`` is its path where it is part of a document."""

    __slots__ = ("_doc",)

    def __init__(
        self, doc: Mapping[str, object], parent: Fields | None = None, name: str = "", index: int = -1
    ) -> None:
        self._doc = doc
        self._parent = parent
        self._name = name
        self._index = index

    def has(self, name: str) -> bool:
        return self._doc.get(name) is not None

    def text(self, name: str) -> str:
        return "" if (value := self._doc.get(name)) is None else self._text(value, name)

    def _text(self, value: object, name: str, *below: object) -> str:
        """``value`` as text; it stands in the field ``name``, or there under an index or a key."""
        if not isinstance(value, str):
            raise self.error(_inside(name, below), f"must be text, not {shown(value)}; put it in quotes")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                reason = "is not valid Unicode: it has half of a surrogate pair"
                raise self.error(_inside(name, below), reason) from None
        return value

    def texts(self, name: str) -> Sequence[str]:
        return [self._text(value, name, index) for index, value in enumerate(self._list(name))]

    def number(self, name: str) -> int:
        value = self._doc.get(name, 0)
        if value is None:
            return 0
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"must be a whole number, not {shown(value)}")
        return value

    def number_or_text(self, name: str) -> int | str:
        value = self._doc.get(name)
        return self._text(value, name) if isinstance(value, str) else self.number(name)

    def flag(self, name: str, absent: bool = False) -> bool:
        value = self._doc.get(name)
        if value is None:
            return absent
        if not isinstance(value, bool):
            raise self.error(name, f"must be true or false, not {shown(value)}")
        return value

    def pairs(self, name: str) -> Mapping[str, str]:
        found = self._mapping(name)
        return {self._text(key, name, key): self._text(value, name, key) for key, value in found.items()}

    def pair(self, name: str, key: str) -> str:
        value = self._mapping(name).get(key)
        return "" if value is None else self._text(value, name, key)

    def child(self, name: str) -> "JsonFields":
        return JsonFields(self._mapping(name), self, name)

    def children(self, name: str) -> "Iterator[JsonFields]":
        for index, value in enumerate(self._list(name)):
            if not isinstance(value, Mapping):
                raise self.error(f"{name}[{index}]", f"must be a mapping, not {shown(value)}")
            yield JsonFields(value, self, name, index)

    def _mapping(self, name: str) -> Mapping[str, object]:
        value = self._doc.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.error(name, f"must be a mapping, not {shown(value)}")
        return value

    def _list(self, name: str) -> Sequence[object]:
        value = self._doc.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.error(name, f"must be a list, not {shown(value)}")
        return value


def _inside(name: str, below: tuple[object, ...]) -> str:
    return name + "".join(f"[{shown(each)}]" for each in below)


def shown(value: object) -> str:
    """A value as a complaint shows it: short, on one line."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "a number beyond 64 bits"
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def parse_json(value: bytes) -> object:
    """A JSON text in UTF-8 (RFC 8259), parsed; DecodeError where it is none, or nests too deeply to parse."""
    try:
        return json.loads(value.decode())
    except UnicodeDecodeError as error:
        raise DecodeError("", f"is not UTF-8 at octet {error.start}") from None
    except ValueError as error:
        raise DecodeError("", f"is not JSON: {error}") from None
    except RecursionError:
        raise DecodeError("", "is JSON nested too deeply") from None


def parse_address(text: str) -> Address:
    """The octets of an address, an IPv4-mapped one as IPv4; ValueError for anything but its plain text.

    Leading zeros (octal to some programs) and IPv6 zones are refused (RFC 6943 section 3.1.1, RFC 4007).
    """
    try:
        first, second, third, fourth = text.split(".", 4)
        return bytes((_OCTETS[first], _OCTETS[second], _OCTETS[third], _OCTETS[fourth]))
    except (KeyError, ValueError):
        pass  # no dotted quad; the slow path knows the rest
    if "%" in text:
        raise ValueError(f"{shown(text)} has a zone, which means nothing outside its own host")
    parsed = ipaddress.ip_address(text)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).packed


def address(fields: Fields, name: str, text: str, index: int = -1) -> Address:
    """``text``, which came from the field ``name`` (from its item ``index``), as an address."""
    try:
        return parse_address(text)
    except ValueError:
        place = f"{name}[{index}]" if index >= 0 else name
        reason = f"{shown(text)} is not a plain IPv4 or IPv6 address" if text else "is required"
        raise fields.error(place, reason) from None


def addresses(fields: Fields, name: str) -> tuple[Address, ...]:
    """A list of addresses, each once, in their order."""
    texts = fields.texts(name)
    if len(texts) < 2:
        return (address(fields, name, texts[0], 0),) if texts else ()
    return tuple(dict.fromkeys(address(fields, name, text, index) for index, text in enumerate(texts)))


def number_in(fields: Fields, name: str, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``; absent counts as 0."""
    value = fields.number(name)
    if low <= value <= high:
        return value
    raise fields.error(name, f"must be from {low} to {high}, not {shown(value)}")


def port(fields: Fields, name: str) -> int:
    """A port number that must be there."""
    return number_in(fields, name, 1, 65535)


def choice(fields: Fields, name: str, allowed: Collection[str], absent: str) -> str:
    """One of ``allowed``; ``absent`` where the field is not there."""
    value = fields.text(name) or absent
    if value in allowed:
        return value
    raise fields.error(name, f"must be one of {', '.join(allowed)}, not {shown(value)}")


def is_label(text: str) -> bool:
    """Whether ``text`` is what ``dns_label`` asks for."""
    return _LABEL(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether ``text`` is what ``dns_subdomain`` asks for."""
    return len(text) <= 253 and _SUBDOMAIN(text) is not None


def dns_label(fields: Fields, name: str, needed: bool = True) -> str:
    """A DNS label (RFC 1123): at most 63 lower-case letters, digits, inner dashes; "" if not ``needed``."""
    value = fields.text(name)
    if _LABEL(value) or not (value or needed):
        return value
    raise _no_name(fields, name, value, 'a DNS label: at most 63 of lower-case letters, digits and inner "-"')


def dns_subdomain(fields: Fields, name: str) -> str:
    """A Kubernetes object name: dotted lower-case parts, at most 253 in all (one part may exceed 63)."""
    value = fields.text(name)
    if is_subdomain(value):
        return value
    raise _no_name(
        fields, name, value, 'a name: at most 253 of lower-case letters, digits, inner "-" and "."'
    )


def _no_name(fields: Fields, name: str, value: str, rule: str) -> DecodeError:
    return fields.error(name, f"{shown(value)} is not {rule}" if value else "is required")


def is_domain_name(text: str) -> bool:
    """Whether ``text`` (one final dot allowed) is letters, digits, "-" and "_" in labels that DNS can carry.

    Labels have at most 63 octets and the wire form at most 255 (RFC 1035 section 2.3.4).
    """
    text = text.removesuffix(".")
    return len(text) <= 253 and _DOMAIN(text) is not None


def namespace(meta: Fields) -> str:
    """An object's namespace; ``default`` where it has none."""
    return intern(dns_label(meta, "namespace", needed=False)) or "default"
