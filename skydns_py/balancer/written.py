"""What a Service was given, in its stored document: in v1 ``status.loadBalancer``, in v1beta1 ``publicIPs``.

A document in an API server's own encoding is not touched: the server would neither check nor know of the
change.  It is refused with a line of its own.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from skydns_py.cluster import decode_v1beta1
from skydns_py.errors import SkydnsError

Ingress = Mapping[str, str]
"""``{"ip": "192.0.2.10"}`` or ``{"hostname": "lb.example"}``."""
Json = dict[str, Any]


class NotJson(SkydnsError):
    """The document is not one that may be written here."""


def rewritten(value: bytes, given: Sequence[Ingress], withdrawn: Collection[str]) -> bytes | None:
    """The document with what it is given and without addresses ``withdrawn``; None where it says so already.

    Raises NotJson.
    """
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise NotJson(
            "is stored in a Kubernetes API server's encoding, and only that server may write to it; "
            "ask it, with --kubeconfig or --in-cluster in place of etcd"
        )
    old = document.get("apiVersion") == decode_v1beta1.VERSION
    after = (_public if old else _status)(document, given, withdrawn)
    return None if after == document else json.dumps(after, separators=(",", ":")).encode()


def with_entries(value: bytes, addresses: Sequence[str]) -> bytes | None:
    """A v1 document that shows these addresses too; None where it shows them already, or has no status."""
    document = json.loads(value)
    if document.get("apiVersion") == decode_v1beta1.VERSION:
        return None
    shown = _ingress(document)
    missing = [{"ip": each} for each in addresses if each not in {_named(entry)[0] for entry in shown}]
    if not missing:
        return None
    return json.dumps(_with_ingress(document, [*shown, *missing]), separators=(",", ":")).encode()


def _public(document: Json, given: Sequence[Ingress], withdrawn: Collection[str]) -> Json:
    """v1beta1: addresses that were set by hand stay, and come first."""
    ours = [each["ip"] for each in given if "ip" in each]
    before = document.get("publicIPs") or []
    kept = [each for each in before if _plain(each) not in {*ours, *withdrawn}]
    if [_plain(each) for each in before] == [*map(_plain, kept), *ours]:
        return document
    return {**document, "publicIPs": [*kept, *ours]}


def _status(document: Json, given: Sequence[Ingress], withdrawn: Collection[str]) -> Json:
    before = _ingress(document)
    if given:
        after: list[Any] = list(before) if _same(before, given) else [dict(each) for each in given]
    else:
        after = [each for each in before if _plain(str(each.get("ip"))) not in withdrawn]
    return document if after == before else _with_ingress(document, after)


def _ingress(document: Json) -> list[Any]:
    status = document.get("status") or {}
    return (status.get("loadBalancer") or {}).get("ingress") or []


def _with_ingress(document: Json, entries: Sequence[Any]) -> Json:
    balancer = {"ingress": list(entries)} if entries else {}
    return {**document, "status": {**(document.get("status") or {}), "loadBalancer": balancer}}


def _same(before: Sequence[Json], given: Sequence[Ingress]) -> bool:
    """Whether they name the same, whatever else is said of each."""
    return [_named(each) for each in before] == [_named(each) for each in given]


def _named(entry: Mapping[str, Any]) -> tuple[str, str]:
    return _plain(str(entry.get("ip") or "")), str(entry.get("hostname") or "")


def _plain(text: str) -> str:
    """An address in the text that we write; anything else as it is."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text
