"""The names of the first releases: ``svc.ns.ZONE`` beside ``svc.ns.svc.ZONE``, addresses only."""

from skydns_py.cluster.state import ServiceView
from skydns_py.zone.names import from_labels, from_text, wire_label
from skydns_py.zone.rrset import CNAME, RRset, RRsets
from skydns_py.zone.schema import addresses, ready

RESERVED = frozenset({"svc", "pod", "dns", "dns-version"})
"""Namespaces that get no legacy names: these labels below the zone mean something else already, and a
Service in a namespace called ``svc`` could otherwise speak for every namespace (CVE-2022-2835's class)."""


def name_of(view: ServiceView, zone: bytes) -> bytes | None:
    """The Service's legacy name, where it has one."""
    service = view.service
    if service.namespace in RESERVED or (service.headless and not any(ready(view))):
        return None
    return wire_label(service.name) + from_labels(service.namespace, base=zone)


def forward(view: ServiceView, zone: bytes, ttl: int) -> dict[bytes, RRsets]:
    """The legacy name with the Service's addresses, or its alias; nothing where there is none."""
    name = name_of(view, zone)
    if name is None:
        return {}
    if alias := view.service.external_name:
        return {name: {CNAME: RRset(ttl, (from_text(alias),))}}
    return {name: addresses(view, ttl)}
