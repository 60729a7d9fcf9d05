"""Wire-format names (RFC 1035 section 3.1): lower-case, uncompressed, ending in the root's zero octet.

The whole package keys its indexes by these octets.  Lower-casing a wire name as bytes is safe: a
length octet is at most 63, below every letter.
"""

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

ROOT = b"\0"
MAX_NAME = 255
MAX_LABEL = 63


@lru_cache(maxsize=4096)
def _wire_label(label: str) -> bytes:
    """Length and octets; a name's labels recur in the names made next (a third off the time to start)."""
    return bytes((len(label),)) + label.lower().encode("ascii")


def wire_label(label: str) -> bytes:
    """One label with its length, made anew: for one that hardly recurs."""
    return _LENGTHS[len(label)] + label.lower().encode("ascii")


def from_labels(*labels: str, base: bytes = ROOT) -> bytes:
    """The wire name of ``labels``, leftmost first, below ``base``; labels are ASCII and at most 63 octets."""
    return b"".join(map(_wire_label, labels)) + base


def from_text(text: str) -> bytes:
    """The wire name of ``a.b.c`` or ``a.b.c.``, without escapes; ValueError where it is no name."""
    bare = text.removesuffix(".")
    labels = bare.split(".") if bare else []
    if any(not label or len(label) > MAX_LABEL or not label.isascii() for label in labels):
        raise ValueError(f"{text!r} is not a domain name")
    name = from_labels(*labels)
    if len(name) > MAX_NAME:
        raise ValueError(f"{text!r} is longer than {MAX_NAME} octets")
    return name


def labels(name: bytes) -> Iterator[bytes]:
    """The labels of a wire name, leftmost first, without the root."""
    at = 0
    while length := name[at]:
        yield name[at + 1 : at + 1 + length]
        at += 1 + length


def to_text(name: bytes) -> str:
    """Presentation form with the final dot; octets that are not plain are escaped (RFC 1035 section 5.1)."""
    return "".join(_escape(label) + "." for label in labels(name)) or "."


def _escape(label: bytes) -> str:
    plain = (chr(o) if 33 <= o <= 126 and o not in b'."\\();@$' else f"\\{o:03d}" for o in label)
    return "".join(plain)


def parent(name: bytes) -> bytes:
    """The name without its leftmost label; the root has none and is returned as it is."""
    return name[1 + name[0] :] if name[0] else name


def ancestors(name: bytes) -> Iterator[bytes]:
    """The name itself, then each parent, the root last."""
    while name[0]:
        yield name
        name = name[1 + name[0] :]
    yield name


def is_within(name: bytes, zone: bytes) -> bool:
    """Whether ``name`` is ``zone`` or lies below it, at a label boundary."""
    return any(candidate == zone for candidate in ancestors(name))


def ip_text(address: bytes) -> str:
    """The address as text, in its canonical form (RFC 5952 for IPv6)."""
    return str(ipaddress.ip_address(address))


def ip_label(address: bytes) -> str:
    """The label that names an address in the schema: dots and colons become dashes."""
    if len(address) == 4:
        return "-".join(map(str, address))
    return ip_text(address).replace(":", "-")


def ip_wire_label(address: bytes) -> bytes:
    """``ip_label`` as a wire label; most are of IPv4 and needed once, so that a cache would only cost."""
    label = b"%d-%d-%d-%d" % tuple(address) if len(address) == 4 else ip_label(address).encode()
    return _LENGTHS[len(label)] + label


def reverse(address: bytes) -> bytes:
    """The owner of an address's PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    if len(address) == 4:
        first, second, third, fourth = address
        return _OCTETS[fourth] + _OCTETS[third] + _OCTETS[second] + _OCTETS[first] + IN_ADDR
    return b"".join(map(_wire_label, reversed(address.hex()))) + IP6


IN_ADDR = from_labels("in-addr", "arpa")
IP6 = from_labels("ip6", "arpa")
_OCTETS = [_wire_label(str(octet)) for octet in range(256)]
_LENGTHS = [bytes((length,)) for length in range(MAX_LABEL + 1)]


_UNDASHED = frozenset(".:%")
"""What an address as text has, and its label has not."""


def address_in_label(label: str) -> bytes | None:
    """The address that ``ip_label`` wrote as ``label``, or None; a form that is not canonical counts too."""
    for separator in ".:" if _UNDASHED.isdisjoint(label) else "":
        try:
            return ipaddress.ip_address(label.replace("-", separator)).packed
        except ValueError:
            continue
    return None


def address_in_reverse(name: bytes) -> bytes | None:
    """The address whose ``reverse`` name this is, or None."""
    parts = [label.decode("latin-1") for label in labels(name)]
    text = "".join(reversed(parts[:-2])) if parts[-2:] == ["ip6", "arpa"] else ".".join(reversed(parts[:-2]))
    try:
        address = bytes.fromhex(text) if parts[-2:] == ["ip6", "arpa"] else ipaddress.IPv4Address(text).packed
    except ValueError:
        return None
    return address if len(address) in (4, 16) and reverse(address) == name else None
