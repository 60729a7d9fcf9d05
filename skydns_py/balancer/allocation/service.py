"""What a Service is to have of portal addresses and node ports: what it names, keeps, and still lacks.

The rules are those of the Kubernetes API server, with these points settled here:

1. Headless Services and those of type ExternalName get no address.  Node ports are for the types NodePort
   and LoadBalancer (unless ``allocateLoadBalancerNodePorts`` is false); a health check's port is for
   LoadBalancer with ``externalTrafficPolicy: Local``.
2. A Service gets one address, of the first family of the pool or of ``ipFamilies``.  ``PreferDualStack``
   adds one of the other family if the pool has it, ``RequireDualStack`` in any case.
3. What a Service names itself counts, whether a pool contains it or not.
4. What it does not name it keeps, as far as it is still to have it: an address by its family, a node port
   by the name of its port.
5. Ports with the same number and different protocols share a node port.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skydns_py.balancer.allocation.pool import V4, V6
from skydns_py.cluster.objects import Address, Service, ServicePort
from skydns_py.errors import DecodeError

Item = Address | int
"""What can be had once: an address, or a node port."""

_FAMILIES = {"IPv4": V4, "IPv6": V6}
_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")


@dataclass(frozen=True, slots=True)
class Wish:
    """What only the document says. ``policy`` is "" where it says nothing; families are octets."""

    node_ports: bool = False
    policy: str = ""
    families: tuple[int, ...] = ()


PLAIN = Wish()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a Service has: addresses, a node port for each port (0 for none), a health check's port."""

    addresses: tuple[Address, ...] = ()
    node_ports: tuple[int, ...] = ()
    health_port: int = 0

    @property
    def items(self) -> frozenset[Item]:
        """Everything in it."""
        ports = (port for port in (*self.node_ports, self.health_port) if port)
        return frozenset[Item]((*self.addresses, *ports))


@dataclass(frozen=True, slots=True)
class Lack:
    """What is still to be found for a Service, beside what ``Grant`` has."""

    families: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    health_port: bool = False

    def __bool__(self) -> bool:
        return bool(self.families or self.ports or self.health_port)


def wish(spec: Mapping[str, Any]) -> Wish:
    """Read a v1 Service's ``spec``, of which the rest has been validated; DecodeError names its field."""
    kind, policy = spec.get("type"), spec.get("ipFamilyPolicy") or ""
    if policy and policy not in _POLICIES:
        raise DecodeError("spec.ipFamilyPolicy", f"must be one of {', '.join(_POLICIES)}")
    families = spec.get("ipFamilies") or []
    if not isinstance(families, list) or any(str(each) not in _FAMILIES for each in families):
        raise DecodeError("spec.ipFamilies", "must be a list of IPv4 and IPv6")
    ports = kind == "NodePort" or (
        kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )
    found = Wish(ports, policy, tuple(dict.fromkeys(_FAMILIES[each] for each in families)))
    return PLAIN if found == PLAIN else found


def granted(service: Service) -> Grant:
    """What a Service, as it stands, has."""
    ports = tuple([port.node_port for port in service.ports])
    return Grant(service.addresses, ports, service.exposure.health_check_node_port)


def keep(service: Service, asked: Wish, pool: Sequence[int], before: Service | None) -> Grant:
    """What it names, and of ``before`` what it keeps; ``pool`` has the families that can be had."""
    named = granted(service)
    if before is None:
        return named
    old = granted(before)
    wanted = _families(service, asked, pool, old.addresses)
    addresses = [each for each in old.addresses if len(each) in wanted]
    health = old.health_port if _wants_health_port(service) else 0
    return Grant(
        _one_of_each(named.addresses, addresses),
        _kept_ports(service, before) if asked.node_ports else named.node_ports,
        named.health_port or health,
    )


def lack(service: Service, asked: Wish, pool: Sequence[int], has: Grant) -> Lack:
    """What is still to be found; DecodeError where the pool has nothing of a family that is asked for."""
    wanted = _families(service, asked, pool, has.addresses)
    here = {len(each) for each in has.addresses}
    missing = tuple(octets for octets in wanted if octets not in here)
    if any(octets not in pool for octets in missing):
        field = "ipFamilies" if asked.families else "ipFamilyPolicy"
        raise DecodeError(f"spec.{field}", f"asks for {_family(missing, pool)}, which portal_net lacks")
    ports = tuple(at for at, port in enumerate(has.node_ports) if not port) if asked.node_ports else ()
    return Lack(missing, ports, _wants_health_port(service) and not has.health_port)


def _family(missing: Sequence[int], pool: Sequence[int]) -> str:
    return next(name for name, octets in _FAMILIES.items() if octets in missing and octets not in pool)


def _families(service: Service, asked: Wish, pool: Sequence[int], has: Sequence[Address]) -> tuple[int, ...]:
    """The families of the addresses it is to have, in their order (rule 2)."""
    if service.headless or service.external_name:
        return ()
    named = service.addresses or (() if asked.families else has)
    order = dict.fromkeys((*(len(each) for each in named), *asked.families, *pool, V4, V6))
    policy = asked.policy or ("RequireDualStack" if len(asked.families) == 2 else "SingleStack")
    if policy == "RequireDualStack":
        return tuple(order)
    if policy == "PreferDualStack":
        first = next(iter(order))
        return tuple(octets for octets in order if octets in (first, *pool, *asked.families))
    return tuple(order)[: max(1, len({len(each) for each in service.addresses}))]


def _one_of_each(named: Sequence[Address], kept: Sequence[Address]) -> tuple[Address, ...]:
    here = {len(each) for each in named}
    return (*named, *(each for each in kept if len(each) not in here))


def _kept_ports(service: Service, before: Service) -> tuple[int, ...]:
    old = {port.name: port.node_port for port in before.ports}
    named = {port.node_port for port in service.ports if port.node_port}
    kept = (port.node_port or old.get(port.name, 0) for port in service.ports)
    return tuple(
        0 if found in named and not port.node_port else found
        for found, port in zip(kept, service.ports, strict=True)
    )


def _wants_health_port(service: Service) -> bool:
    return service.exposure.wants_balancer and service.exposure.external_local


def shared_port(service: Service, has: Grant, at: int) -> int:
    """The node port that port ``at`` shares with one of the same number and another protocol; 0 for none."""
    port = service.ports[at]
    taken = {
        (node_port, each.protocol) for each, node_port in zip(service.ports, has.node_ports, strict=True)
    }
    same = (
        node_port
        for each, node_port in zip(service.ports, has.node_ports, strict=True)
        if node_port and each.port == port.port and (node_port, port.protocol) not in taken
    )
    return next(same, 0)


def with_grant(service: Service, has: Grant) -> Service:
    """The same Service with what it was given; itself where that is nothing new."""
    if granted(service) == has:
        return service
    ports = tuple(
        [_with_port(port, number) for port, number in zip(service.ports, has.node_ports, strict=True)]
    )
    exposure = replace(service.exposure, health_check_node_port=has.health_port)
    return replace(service, addresses=has.addresses, ports=ports, exposure=exposure)


def _with_port(port: ServicePort, number: int) -> ServicePort:
    return port if port.node_port == number else replace(port, node_port=number)
