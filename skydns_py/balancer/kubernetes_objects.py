"""The balancer's keys and sessions as Leases (coordination.k8s.io/v1): their names, their bodies, and back.

1. A session is a Lease ``skydns-HEX``; its name is chosen at random and never used again, so a session that
   is gone is gone for good.
2. A key is a Lease too, ``skydns-KIND.REST``: ``skydns-ip.192.0.2.10``, ``skydns-owner.controller``,
   ``skydns-node.n1``, ``skydns-service.my-ns.web``.  The groups of an IPv6 address are joined by ``-``,
   none left out, for a name is made of a-z, 0-9, ``-`` and ``.`` (RFC 1123); so each name is one key.
3. A key's value and the session it hangs on are annotations.  All have one label, so that one list and one
   watch see all of them, in the order in which they changed.
4. Revisions are twice the resourceVersion: even ones are the object's own, the odd one after it says that
   the key is gone, because the object or its session is.  So "gone" is newer than what went, and older than
   whatever is written there next.
5. Each writing of a key changes its ``renewTime``: the API server leaves an object that is written as it
   was at its old resourceVersion, and a late request that expects it would succeed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address
from typing import Any

from skydns_py.balancer.store import Held
from skydns_py.errors import StoreError

LABEL, LABEL_VALUE = "app", "skydns-balancer"
VALUE, SESSION = "skydns/value", "skydns/session"
LONGEST_SECONDS = 60
"""``balancer.lease_seconds`` at most; what a session lasts that does not say."""
_STEM = "skydns-"
_HEX = 16
_ADDRESSES = ("ip", "owner")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A Lease of the balancer's: a key with its value, or a session with its ``seconds`` and its node.

    ``key`` is "" for a session, and ``value`` the node; ``lease`` is the session, or the one the key hangs
    on, 0 for none; ``version`` its resourceVersion.
    """

    name: str
    uid: str
    version: int
    key: str = ""
    value: bytes = b""
    lease: int = 0
    seconds: int = 0


def there(item: Item) -> Held:
    """What a key holds."""
    return Held(item.value, revision(item.version), item.lease)


def gone(version: int) -> Held:
    """A key whose object was last seen at ``version`` and does not count any more (rule 4)."""
    return Held(b"", revision(version) + 1)


def revision(version: int) -> int:
    """Of an object at this resourceVersion."""
    return 2 * version


def version_at(revision: int) -> int:
    """The resourceVersion again."""
    return revision // 2


def session_name(lease: int) -> str:
    """What the session's object is called."""
    return f"{_STEM}{lease:0{_HEX}x}"


def key_name(kind: str, rest: str) -> str:
    """What a key's object is called: ``ip`` and ``2001:db8::1``, ``node`` and ``n1``."""
    if kind in _ADDRESSES and ":" in rest:
        groups = IPv6Address(rest).exploded.split(":")
        rest = "-".join(f"{int(group, 16):x}" for group in groups)
    return f"{_STEM}{kind}.{rest.replace('/', '.', 1) if kind == 'service' else rest}"


def parse_name(name: str) -> tuple[str, str] | None:
    """The other way round; kind "" and the hex of a session; None for a name that is none of ours."""
    kind, dot, rest = name.removeprefix(_STEM).partition(".")
    if not name.startswith(_STEM) or not kind:
        return None
    if not dot:
        return ("", kind) if len(kind) == _HEX and not set(kind) - set("0123456789abcdef") else None
    if kind in _ADDRESSES and "-" in rest:
        return _parse_groups(kind, rest)
    return kind, rest.replace(".", "/", 1) if kind == "service" else rest


def _parse_groups(kind: str, rest: str) -> tuple[str, str] | None:
    try:
        return kind, str(ip_address(rest.replace("-", ":")))
    except ValueError:
        return None


def session_body(lease: int, node: str, seconds: int, now: float) -> Json:
    """A new session; ``now`` in seconds since 1970, as for all bodies."""
    spec = {"leaseDurationSeconds": seconds, "acquireTime": _moment(now), "renewTime": _moment(now)}
    return _body(session_name(lease), {"holderIdentity": node, **spec}, {})


def renewed(session: Json, now: float) -> Json:
    """A session as it was read, with a new time, so that the object changes each time (rule 5)."""
    return {**session, "spec": {**session.get("spec", {}), "renewTime": _moment(now)}}


def key_body(name: str, value: bytes, lease: int, now: float) -> Json:
    """A key; its holder is shown where it hangs on a session: the value of such keys is the node."""
    text = value.decode()
    notes = {VALUE: text, **({SESSION: session_name(lease)} if lease else {})}
    return _body(name, {"renewTime": _moment(now), **({"holderIdentity": text} if lease else {})}, notes)


def _body(name: str, spec: Json, annotations: Json) -> Json:
    metadata = {"name": name, "labels": {LABEL: LABEL_VALUE}, "annotations": annotations}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(document: Mapping[str, Any], root: str) -> Item | None:
    """A Lease as the API gives it, its key below ``root``; None where it is none of ours.

    StoreError where its resourceVersion is no number: then what is newer cannot be told.
    """
    metadata = document.get("metadata") or {}
    name, uid = str(metadata.get("name") or ""), str(metadata.get("uid") or "")
    if (found := parse_name(name)) is None:
        return None
    kind, rest = found
    version = parse_version(metadata)
    if not kind:
        spec = document.get("spec") or {}
        seconds, node = spec.get("leaseDurationSeconds"), str(spec.get("holderIdentity") or "")
        lasts = seconds if isinstance(seconds, int) and 0 < seconds <= LONGEST_SECONDS else LONGEST_SECONDS
        return Item(name, uid, version, value=node.encode(), lease=int(rest, 16), seconds=lasts)
    notes = metadata.get("annotations") or {}
    value = str(notes.get(VALUE) or "").encode()
    return Item(name, uid, version, f"{root}{kind}/{rest}", value, _session(notes))


def _session(notes: Mapping[str, Any]) -> int:
    """The session that annotations name; one that cannot be is one that is not there."""
    name = notes.get(SESSION)
    if not name:
        return 0
    found = parse_name(str(name))
    return int(found[1], 16) if found and not found[0] else -1


def parse_version(metadata: Mapping[str, Any]) -> int:
    """The resourceVersion; StoreError where it is no number."""
    text = str(metadata.get("resourceVersion") or "")
    if not (text.isascii() and text.isdecimal()):
        raise StoreError(f"the API server's resourceVersion {text!r} is no number: revisions cannot be told")
    return int(text)
