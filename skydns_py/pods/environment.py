"""The environment variables that tell a container of the Services there are, as the kubelet makes them.

1. A pod sees the Services of its own namespace, unless its spec has ``enableServiceLinks: false``, and
   always the master Services of ``default``.  One of the same name in its own namespace stands in their
   place while it is seen.
2. ``kubernetes`` is the master Service; the first releases had ``kubernetes-ro`` beside it, and in
   ``default`` that name still counts here.  A kubelet of today would pass it over.
3. A Service without a portal IP (headless, ExternalName, none assigned yet) gives nothing; one with
   several gives the first, which is its primary one.
4. A name is upper-cased, its dashes become underscores, and nothing else changes: a Service called
   ``3scale`` gives ``3SCALE_SERVICE_HOST``, which a process can have and a shell cannot name.
5. The order within a Service is the kubelet's: host, first port, named ports, then the Docker links.
   An API server takes no Service without ports that has a portal IP; elsewhere it gives its host alone.
6. Two Services can claim one variable: ``a`` has ``A_SERVICE_PORT``, and so has ``a-service`` among its
   links.  A kubelet goes through Services in no order and the last one wins.  Here the order is by name,
   so that the same Services always give the same environment; ``candidates`` has every value.
7. What the container's own spec sets wins over all of this; specs of containers are not looked at here.

After the Kubernetes documentation, "Discovering services" (concepts/services-networking/service), and
the kubelet's behaviour from 0.x to 1.36.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from skydns_py.cluster.objects import Ref, Service, ServicePort

MASTER_NAMESPACE = "default"
MASTER_SERVICES = frozenset({"kubernetes", "kubernetes-ro"})

Variable = tuple[str, str]
"""Name and value."""


def environment(services: Iterable[Service], namespace: str, *, links: bool = True) -> dict[str, str]:
    """What a pod of ``namespace`` gets, ordered by rules 5 and 6; ``links`` is its enableServiceLinks."""
    return chosen(candidates(services, namespace, links=links))


def candidates(
    services: Iterable[Service], namespace: str, *, links: bool = True
) -> dict[str, tuple[str, ...]]:
    """Each variable with the values that Services give it, mostly one; ``environment`` takes the last."""
    found: dict[str, tuple[str, ...]] = {}
    for service in visible(services, namespace, links=links):
        for name, value in dict(variables(service)).items():
            found[name] = (*found.get(name, ()), value)
    return found


def chosen(found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """One value for each variable of ``candidates``."""
    return {name: values[-1] for name, values in found.items()}


def visible(services: Iterable[Service], namespace: str, *, links: bool = True) -> list[Service]:
    """The Services with a portal IP that a pod of ``namespace`` is told of, by name (rules 1 to 3)."""
    found: dict[str, Service] = {}
    for service in services:
        if not service.addresses:
            continue
        if links and service.namespace == namespace:
            found[service.name] = service
        elif is_master(service.ref):
            found.setdefault(service.name, service)
    return [found[name] for name in sorted(found)]


def is_master(service: Ref) -> bool:
    """Whether pods of every namespace are told of this Service (rule 2)."""
    return service.namespace == MASTER_NAMESPACE and service.name in MASTER_SERVICES


def variables(service: Service) -> Iterator[Variable]:
    """What one Service with a portal IP gives, in the kubelet's order (rule 5)."""
    name, address = _variable_name(service.name), str(ip_address(service.addresses[0]))
    yield f"{name}_SERVICE_HOST", address
    for first in service.ports[:1]:
        yield f"{name}_SERVICE_PORT", str(first.port)
    for port in service.ports:
        if port.name:
            yield f"{name}_SERVICE_PORT_{_variable_name(port.name)}", str(port.port)
    for first in service.ports[:1]:
        yield f"{name}_PORT", _url(address, first)
    for port in service.ports:
        yield from _link(f"{name}_PORT_{port.port}_{port.protocol.upper()}", address, port)


def _link(name: str, address: str, port: ServicePort) -> Iterator[Variable]:
    """The Docker link of one port: a URL and its parts."""
    yield name, _url(address, port)
    yield f"{name}_PROTO", port.protocol.lower()
    yield f"{name}_PORT", str(port.port)
    yield f"{name}_ADDR", address


def _url(address: str, port: ServicePort) -> str:
    """``tcp://10.0.0.11:6379``; an IPv6 address stands in brackets (RFC 3986 section 3.2.2)."""
    host = f"[{address}]" if ":" in address else address
    return f"{port.protocol.lower()}://{host}:{port.port}"


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")
