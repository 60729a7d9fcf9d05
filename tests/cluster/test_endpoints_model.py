"""Whatever happens in whatever order, what the cluster keeps up to date equals what all objects say."""

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from skydns_py.cluster.objects import (
    ClusterObject,
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Kind,
    Pod,
    Ref,
    Removal,
    Service,
    ServicePort,
    Subset,
    Upsert,
)
from skydns_py.cluster.state import Cluster, ServiceView
from tests.builders import all_packed

NAMESPACES = ("x", "x", "y")
ADDRESSES = all_packed("10.1.0.1 10.1.0.2 fd00::1")
PAIRS = (("app", "web"), ("app", "db"), ("tier", "backend"), ("", ""))

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(("a", "b"))
pairs = st.lists(st.sampled_from(PAIRS), max_size=2, unique_by=lambda pair: pair[0]).map(sorted).map(tuple)
protocols = st.sampled_from(("TCP", "UDP"))
service_ports = st.builds(
    ServicePort, st.sampled_from(("", "http")), protocols, st.just(80), st.sampled_from((0, 8080, "www"))
)
own_ports = st.builds(
    EndpointPort, st.sampled_from(("www", "other")), protocols, st.sampled_from((8080, 9090))
)
pods = st.builds(
    Pod,
    namespaces,
    st.sampled_from(("p", "q", "r")),
    st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple),
    finished=st.sampled_from((False, False, True)),
    ready=st.booleans(),
    terminating=st.booleans(),
    node=st.sampled_from(("", "n")),
    hostname=st.sampled_from(("", "h")),
    subdomain=st.sampled_from(("", "a")),
    labels=pairs,
    ports=st.lists(own_ports, max_size=2).map(tuple),
)
services = st.builds(
    Service,
    namespaces,
    names,
    ports=st.lists(service_ports, max_size=2).map(tuple),
    selector=st.one_of(st.none(), pairs, pairs),
)
written = st.sampled_from(((), (Subset((Endpoint(ADDRESSES[0]),), ()),)))
endpoints = st.builds(Endpoints, namespaces, names, written)
slices = st.builds(EndpointSlice, namespaces, st.sampled_from(("s", "t")), names | st.just(""), written)
objects: st.SearchStrategy[ClusterObject] = st.one_of(pods, pods, services, services, endpoints, slices)

Picture = dict[Ref, ServiceView | Pod]


def picture(known: dict[Ref, ClusterObject]) -> Picture:
    """What the cluster has to show, from nothing but the objects there are."""
    things: Picture = {ref: each for ref, each in known.items() if isinstance(each, Pod)}
    found = (each for each in known.values() if isinstance(each, Service))
    return things | {each.ref: ServiceView(each, tuple(subsets(each, known))) for each in found}


def subsets(service: Service, known: dict[Ref, ClusterObject]) -> Iterator[Subset]:
    parts = [
        known[ref]
        for ref in sorted(known, key=lambda ref: ref.name)
        if isinstance(each := known[ref], EndpointSlice)
        and (each.namespace, each.service) == (service.namespace, service.name)
    ]
    parts = parts or [
        each for ref, each in known.items() if ref == Ref(Kind.ENDPOINTS, service.namespace, service.name)
    ]
    if parts or service.selector is None:
        for part in parts:
            assert isinstance(part, Endpoints | EndpointSlice)
            yield from part.subsets
    else:
        yield from selected(service, known)


def selected(service: Service, known: dict[Ref, ClusterObject]) -> Iterator[Subset]:
    by_ports: dict[tuple[EndpointPort, ...], list[Endpoint]] = {}
    for pod in sorted((each for each in known.values() if isinstance(each, Pod)), key=lambda pod: pod.name):
        matches = pod.namespace == service.namespace and set(service.selector or ()) <= set(pod.labels)
        if matches and pod.addresses and not pod.finished:
            by_ports.setdefault(tuple(ports(service, pod)), []).extend(made(service, pod))
    for listened, found in by_ports.items():
        yield Subset(tuple(found), listened)


def ports(service: Service, pod: Pod) -> Iterator[EndpointPort]:
    named = {(each.name, each.protocol): each.port for each in reversed(pod.ports)}
    for port in service.ports:
        target = port.target or port.port
        number = target if isinstance(target, int) else named.get((target, port.protocol))
        if number is not None:
            yield EndpointPort(port.name, port.protocol, number)


def made(service: Service, pod: Pod) -> Iterator[Endpoint]:
    for address in pod.addresses:
        yield Endpoint(
            address,
            hostname=pod.hostname if pod.subdomain == service.name else "",
            ready=pod.ready and not pod.terminating,
            serving=pod.ready,
            terminating=pod.terminating,
            node=pod.node,
        )


class Events(RuleBasedStateMachine):
    """Objects come, change and go; now and then somebody takes the changes, all or some."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.known: dict[Ref, ClusterObject] = {}
        self.told: Picture = {}

    @rule(obj=objects)
    def comes(self, obj: ClusterObject) -> None:
        self.cluster.apply([Upsert(obj)])
        self.known[obj.ref] = obj

    @rule(data=st.data())
    def goes(self, data: st.DataObject) -> None:
        gone = [*self.known, Ref(Kind.POD, "x", "nosuch")]
        ref = data.draw(st.sampled_from(gone))
        self.cluster.apply([Removal(ref)])
        self.known.pop(ref, None)

    @rule(limit=st.none() | st.integers(1, 3))
    def is_taken(self, limit: int | None) -> None:
        now = picture(self.known)
        for change in self.cluster.take(limit):
            assert change.before == self.told.pop(change.ref, None)
            assert change.after == now.get(change.ref)
            assert change.before != change.after
            if isinstance(change.after, ServiceView | Pod):
                self.told[change.ref] = change.after
        assert self.cluster.changed or self.told == now

    @invariant()
    def every_service_is_what_the_objects_say(self) -> None:
        now = picture(self.known)
        for namespace in sorted(set(NAMESPACES)):
            for name in ("a", "b"):
                assert self.cluster.view((namespace, name)) == now.get(Ref(Kind.SERVICE, namespace, name))

    def teardown(self) -> None:
        self.cluster.apply(Removal(ref) for ref in list(self.known))
        self.known = {}
        self.is_taken(None)
        self.every_service_is_what_the_objects_say()


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
