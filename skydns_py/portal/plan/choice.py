"""Which endpoints of a Service a connection may be sent to.

1. A Service's port and an endpoint's port belong together by name.  Endpoints written by hand often leave
   the name out: the only port of a subset, unnamed, stands for the only port of the Service.
2. Ready endpoints are used.  Where there are none, those that are terminating and still serve are: a
   rollout's last pods answer until their successors are there.  This is decided for all endpoints and for
   those of this node apart, as by kube-proxy (KEP-1669).
3. Hints narrow the choice only if every ready endpoint has some, and one of them is for this node, or else
   for its zone (KEP-2433): a choice that would leave nothing is not made.
"""

from collections.abc import Iterable, Iterator

from skydns_py.cluster.objects import Address, Endpoint, EndpointPort, ServicePort
from skydns_py.cluster.state import ServiceView
from skydns_py.portal.plan.model import Host, Target

Found = tuple[Endpoint, int]
"""An endpoint and the number of its port."""


def candidates(view: ServiceView, port: ServicePort, family: int) -> list[Found]:
    """Every endpoint of ``family`` (4 or 6) that has this port, ready or not."""
    octets = 4 if family == 4 else 16
    alone = len(view.service.ports) == 1
    return [
        (endpoint, number)
        for subset in view.subsets
        for number in _numbers(subset.ports, port, alone)
        for endpoint in subset.endpoints
        if len(endpoint.address) == octets
    ]


def _numbers(ports: tuple[EndpointPort, ...], wanted: ServicePort, alone: bool) -> Iterator[int]:
    unnamed = alone and len(ports) == 1 and not ports[0].name
    for each in ports:
        if each.protocol == wanted.protocol and (each.name == wanted.name or unnamed):
            yield each.port


def cluster_targets(found: list[Found], host: Host, unready_too: bool) -> tuple[Target, ...]:
    """The targets for a connection that may go anywhere; ``unready_too`` is publishNotReadyAddresses."""
    return _targets(_hinted(_usable(found, unready_too), host))


def local_targets(found: list[Found], host: Host, unready_too: bool) -> tuple[Target, ...]:
    """The targets on this node."""
    own = [each for each in found if host.node and each[0].node == host.node]
    return _targets(_usable(own, unready_too))


def near(found: list[Found], host: Host, targets: Iterable[Target], all_of_them: bool) -> tuple[Address, ...]:
    """The addresses among the targets that may be on this node, or of every target; rule 6 of the model."""
    if not all_of_them and host.node:
        here = {endpoint.address for endpoint, _ in found if endpoint.node in (host.node, "")}
        return tuple(sorted(here & {target.address for target in targets})) if here else ()
    return tuple(sorted({target.address for target in targets}))


def _usable(found: list[Found], unready_too: bool) -> list[Found]:
    ready = [each for each in found if each[0].ready or (unready_too and not each[0].terminating)]
    return ready or [each for each in found if each[0].serving and each[0].terminating]


def _hinted(found: list[Found], host: Host) -> list[Found]:
    hints = [endpoint.hints for endpoint, _ in found if endpoint.hints is not None]
    if not hints or len(hints) < len(found):
        return found
    here = [each for each, hint in zip(found, hints, strict=True) if host.node and host.node in hint.nodes]
    near = [each for each, hint in zip(found, hints, strict=True) if host.zone and host.zone in hint.zones]
    return here or near or found


def _targets(found: Iterable[Found]) -> tuple[Target, ...]:
    return tuple(sorted({Target(endpoint.address, number) for endpoint, number in found}))
