"""SkyDNS messages: one etcd key, one JSON object, one record (the format of SkyDNS 2 and external-dns).

The key's path below the prefix is the record's name with its labels reversed: ``local/cluster/a`` is
``a.cluster.local``.  Fields this package does not know (external-dns writes ``owner``) are ignored.
"""

from collections.abc import Mapping

from skydns_py.cluster.fields import JsonFields, is_domain_name, number_in, parse_address, parse_json, shown
from skydns_py.cluster.objects import Record
from skydns_py.errors import DecodeError

_MAX_TTL = 2**31 - 1  # RFC 2181 section 8
_MAX_UINT32 = 2**32 - 1  # the field's type in SkyDNS


def parse_path(key: str, prefix: str) -> str | None:
    """The path of a key below ``prefix`` (``/skydns``); None where it is not below, or a part is empty."""
    root = prefix.rstrip("/") + "/"
    path = key.removeprefix(root)
    return path if key.startswith(root) and all(path.split("/")) else None


def decode(path: str, value: bytes, lease_seconds: int) -> Record:
    """The record at ``path``; ``lease_seconds`` is what its key's lease was granted, 0 without one.

    A ``ttl`` above 2**31 - 1 seconds counts as that.  DecodeError where the path is no name, the value is
    no JSON object, or a field has a wrong type or range, or ``host`` is neither address nor name.
    """
    _check_path(path)
    doc = parse_json(value)
    if not isinstance(doc, Mapping):
        raise DecodeError("", f"must be a JSON object, not {shown(doc)}")
    fields = JsonFields(doc)
    return Record(
        path=path,
        host=_host(fields),
        port=number_in(fields, "port", 0, 65535),
        priority=number_in(fields, "priority", 0, 65535),
        weight=number_in(fields, "weight", 0, 65535),
        text=fields.text("text"),
        mail=fields.flag("mail"),
        ttl=min(number_in(fields, "ttl", 0, _MAX_UINT32), _MAX_TTL),
        targetstrip=number_in(fields, "targetstrip", 0, _MAX_TTL),
        group=fields.text("group"),
        lease_seconds=lease_seconds,
    )


def _check_path(path: str) -> None:
    labels = path.split("/")
    if not path.isascii() or not all(0 < len(label) <= 63 for label in labels):
        raise DecodeError("", f"the key {shown(path)} is no name: each part needs 1 to 63 ASCII characters")
    if len(path) > 253:
        raise DecodeError("", f"the key {shown(path)} is no name: it is longer than 255 octets on the wire")


def _host(fields: JsonFields) -> str:
    host = fields.text("host")
    try:
        if host:
            parse_address(host)
        return host
    except ValueError:
        last = host.removesuffix(".").rpartition(".")[2]
        if is_domain_name(host) and not last.isdecimal():
            return host
    raise fields.error("host", f"{shown(host)} is neither an address nor a domain name")
