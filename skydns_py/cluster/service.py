"""What makes a Service: the rules for its fields, in whichever encoding they came.

They follow the API reference of Kubernetes v1, with these points settled here:

1. A namespaced object without a namespace is in ``default``, as kubectl has it.
2. ``type`` and ``sessionAffinity`` must be values that exist; a traffic policy other than ``Local``
   counts as ``Cluster``, so that a new policy does not cost a Service its name.
3. What does not apply to type ``ExternalName`` (addresses, selector, exposure) is ignored there.
4. A v1 Service with an empty selector has its endpoints written by hand, like one without.  Only
   v1beta1 can select every pod; an annotation carries that through v1 (``decode_v1beta1``).
5. What repeats across a large cluster (namespaces, port tuples, label texts) is shared.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network
from sys import intern

from skydns_py.cluster.fields import (
    PROTOCOLS,
    SHARED,
    Fields,
    address,
    addresses,
    choice,
    dns_label,
    is_domain_name,
    namespace,
    number_in,
    port,
    shown,
)
from skydns_py.cluster.objects import (
    NO_WISHES,
    UNEXPOSED,
    Address,
    Exposure,
    Service,
    ServicePort,
    Wishes,
)

ALL_PODS = "skydns/selects-all-pods"
"""Annotation of a Service whose v1beta1 selector was ``{}``: every pod of the namespace."""

_Row = tuple[str, str, int, int | str, int]
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_AFFINITIES = ("None", "ClientIP")
TOLERATE_UNREADY = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
_AFFINITY_SECONDS = 10800
_POOL, _SHARING, _ADDRESSES = "skydns/address-pool", "skydns/allow-shared-address", "skydns/addresses"
"""Annotations that tell the external load balancer what is wished; the last is a list with commas."""
_PLAIN = ((), (), False, (), False, False, 0, 0)


@lru_cache(SHARED)
def _shared_ports(rows: tuple[_Row, ...]) -> tuple[ServicePort, ...]:
    return tuple(ServicePort(*row) for row in rows)


def service(fields: Fields) -> Service:
    """The Service that ``fields`` describe; DecodeError where it cannot be used."""
    meta, spec = fields.child("metadata"), fields.child("spec")
    kind = choice(spec, "type", _TYPES, "ClusterIP")
    external = kind == "ExternalName"
    portal, headless = ((), False) if external else _portal(spec)
    return Service(
        namespace=namespace(meta),
        name=intern(dns_label(meta, "name")),
        ports=ports(spec),
        addresses=portal,
        headless=headless,
        external_name=_external_name(spec) if external else "",
        publish_not_ready=spec.flag("publishNotReadyAddresses")
        or meta.pair("annotations", TOLERATE_UNREADY) == "true",
        selector=None if external else _selector(meta, spec),
        exposure=UNEXPOSED if external else _exposure(fields, meta, spec, kind == "LoadBalancer"),
    )


def ports(spec: Fields) -> tuple[ServicePort, ...]:
    """The ports of a Service's ``spec``."""
    return _shared_ports(tuple([_service_port(each) for each in spec.children("ports")]))


def _portal(spec: Fields) -> tuple[tuple[Address, ...], bool]:
    """The portal IPs, and whether the Service is headless; ``clusterIP`` counts without ``clusterIPs``."""
    several = spec.texts("clusterIPs")
    if (several[0] if several else spec.text("clusterIP")) == "None":
        return (), True
    if any(several):
        return addresses(spec, "clusterIPs"), False
    only = spec.text("clusterIP")
    return ((address(spec, "clusterIP", only),) if only else ()), False


def _external_name(spec: Fields) -> str:
    name = spec.text("externalName")
    if is_domain_name(name):
        return name.removesuffix(".").lower()
    raise spec.error("externalName", f"{shown(name)} is not a domain name" if name else "is required")


def _service_port(fields: Fields) -> _Row:
    number, target = port(fields, "port"), _target(fields)
    return (
        dns_label(fields, "name", needed=False),
        choice(fields, "protocol", PROTOCOLS, "TCP"),
        number,
        0 if target == number else target,
        number_in(fields, "nodePort", 0, 65535),
    )


def _target(fields: Fields) -> int | str:
    """``targetPort``: a number (digits in quotes too), a container port's name, or 0 where absent."""
    target = fields.number_or_text("targetPort")
    if isinstance(target, str):
        if target and not (target.isascii() and target.isdecimal()):
            return _target_name(fields, target)
        target = int(target or 0) if len(target) <= 5 else -1
    if 0 <= target <= 65535:
        return target
    raise fields.error("targetPort", "must be from 1 to 65535, or the name of a container's port")


def _target_name(fields: Fields, target: str) -> str:
    if is_domain_name(target) and "." not in target:
        return intern(target)
    raise fields.error(
        "targetPort", f"{shown(target)} is neither a port number nor the name of a container's port"
    )


def _selector(meta: Fields, spec: Fields) -> tuple[tuple[str, str], ...] | None:
    pairs = spec.pairs("selector")
    if pairs:
        return sorted_pairs(pairs)
    return () if meta.pair("annotations", ALL_PODS) == "true" else None


def sorted_pairs(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Label pairs in the order of their keys, their texts shared."""
    return tuple([(intern(key), intern(pairs[key])) for key in sorted(pairs)])


def _exposure(fields: Fields, meta: Fields, spec: Fields, wants_balancer: bool) -> Exposure:
    values = (
        addresses(spec, "externalIPs"),
        _balancer_addresses(fields.child("status").child("loadBalancer")),
        wants_balancer,
        _source_ranges(spec),
        spec.text("externalTrafficPolicy") == "Local",
        spec.text("internalTrafficPolicy") == "Local",
        number_in(spec, "healthCheckNodePort", 0, 65535),
        _affinity_seconds(spec),
    )
    wishes = _wishes(meta, spec) if wants_balancer else NO_WISHES
    if values == _PLAIN and wishes is NO_WISHES:
        return UNEXPOSED
    return Exposure(*values, wishes)


def _wishes(meta: Fields, spec: Fields) -> Wishes:
    found = Wishes(
        intern(spec.text("loadBalancerClass")),
        _wished_addresses(meta, spec),
        intern(meta.pair("annotations", _POOL)),
        meta.pair("annotations", _SHARING),
    )
    return NO_WISHES if found == NO_WISHES else found


def _wished_addresses(meta: Fields, spec: Fields) -> tuple[Address, ...]:
    """The annotation's addresses, else ``spec.loadBalancerIP``, which knows only one."""
    text, place = meta.pair("annotations", _ADDRESSES), f"annotations[{_ADDRESSES}]"
    if text:
        return tuple(dict.fromkeys(address(meta, place, each.strip()) for each in text.split(",")))
    only = spec.text("loadBalancerIP")
    return (address(spec, "loadBalancerIP", only),) if only else ()


def _balancer_addresses(balancer: Fields) -> tuple[Address, ...]:
    """Addresses whose traffic arrives as it was sent; one of mode ``Proxy`` is the balancer's own."""
    ingress = (
        (each, each.text("ip")) for each in balancer.children("ingress") if each.text("ipMode") != "Proxy"
    )
    return tuple(dict.fromkeys(address(each, "ip", ip) for each, ip in ingress if ip))


def _source_ranges(spec: Fields) -> tuple[str, ...]:
    texts = enumerate(spec.texts("loadBalancerSourceRanges"))
    return tuple([_source_range(spec, f"loadBalancerSourceRanges[{index}]", text) for index, text in texts])


def _source_range(spec: Fields, name: str, text: str) -> str:
    try:
        if "%" not in text:  # a zone means nothing outside its own host
            return str(ip_network(text.strip(), strict=False))
    except ValueError:
        pass
    raise spec.error(name, f"{shown(text)} is not a network as 192.0.2.0/24")


def _affinity_seconds(spec: Fields) -> int:
    if choice(spec, "sessionAffinity", _AFFINITIES, "None") == "None":
        return 0
    client = spec.child("sessionAffinityConfig").child("clientIP")
    return (
        number_in(client, "timeoutSeconds", 1, 86400) if client.has("timeoutSeconds") else _AFFINITY_SECONDS
    )
