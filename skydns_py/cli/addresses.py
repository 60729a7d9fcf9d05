"""Addresses that a document names and nothing could be reached at: ``apply`` refuses them.

As the API server does for endpoints and ``externalIPs``, and as the kubelet does for a node's own; portal IPs
and balancers' are held to the same, for the portals would pass them over.  A Pod's address is left alone: the
kubelet reports it, and for names any will do.  What is stored already is not looked at.
"""

from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from skydns_py import special
from skydns_py.errors import DecodeError

Json = dict[str, Any]
Found = Iterator[tuple[str, object]]
_ENDS = {
    "Service": (
        *("spec.clusterIP", "spec.clusterIPs[]", "spec.externalIPs[]", "spec.loadBalancerIP"),
        *("status.loadBalancer.ingress[].ip", "portalIP", "publicIPs[]"),
    ),
    "Endpoints": ("subsets[].addresses[].ip", "subsets[].notReadyAddresses[].ip", "endpoints[]"),
    "EndpointSlice": ("endpoints[].addresses[]",),
    "Node": ("status.addresses[].address",),
    "Minion": ("hostIP", "status.addresses[].address"),
}
"""By kind, where addresses stand in v1 and v1beta1 documents."""


def check(value: Json) -> None:
    """DecodeError with the path of the first address that is loopback, multicast or the like."""
    for path in _ENDS.get(str(value.get("kind")), ()):
        for where, text in _at(value, path.split("."), ""):
            if kind := _kind(str(text)):
                raise DecodeError(where, f"{text} is {kind}: nobody can be reached there")


def _at(value: object, steps: list[str], where: str) -> Found:
    """Every value at a path, with its own path."""
    if not steps:
        yield where, value
        return
    name, rest = steps[0].removesuffix("[]"), steps[1:]
    found = value.get(name) if isinstance(value, dict) else None
    where = f"{where}.{name}" if where else name
    if not steps[0].endswith("[]"):
        yield from _at(found, rest, where) if found else ()
        return
    for index, item in enumerate(found if isinstance(found, list) else ()):
        yield from _at(item, rest, f"{where}[{index}]")


def _kind(text: str) -> str:
    """What is special about an address, which may have a port (v1beta1); "" for a name or a good one."""
    bare = text.strip()
    for candidate in (bare, bare.rpartition(":")[0].strip("[]")):
        with suppress(ValueError):
            return special.kind_of(ip_address(candidate))
    return ""
