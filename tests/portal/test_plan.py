"""The whole cluster's portals: one holder a front, whoever came first, however it came about."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cluster.objects import Endpoint, EndpointPort, Exposure, Service, ServicePort, Subset
from skydns_py.cluster.state import ServiceView
from skydns_py.portal.plan.model import Host, Portal, ServiceKey
from skydns_py.portal.plan.plan import Plan
from tests.builders import all_packed, packed

HOST = Host(node="node-a")
KEYS = [("a", "one"), ("a", "two"), ("b", "one")]
Front = tuple[bytes, int, str, int]


class Cluster:
    """Services that a plan looks at, and what it said of each."""

    def __init__(self) -> None:
        self.views: dict[ServiceKey, ServiceView] = {}
        self.plan = Plan(HOST, self.views.get)
        self.planned: dict[ServiceKey, tuple[Portal, ...]] = {}

    def put(self, key: ServiceKey, view: ServiceView | None) -> None:
        before = self.views.pop(key, None)
        if view is not None:
            self.views[key] = view
        if before != view:
            self.planned |= dict(self.plan.update(key, before))

    def held(self) -> dict[ServiceKey, set[Front]]:
        return {key: set(fronts(portals)) for key, portals in self.planned.items() if set(fronts(portals))}


def fronts(portals: tuple[Portal, ...]) -> Iterator[Front]:
    for portal in portals:
        for address in (*portal.inside, *portal.public, *portal.balancer):
            yield address, 0, portal.protocol, portal.port
        if portal.node_port:
            yield b"", portal.family, portal.protocol, portal.node_port


def view_of(service: Service) -> ServiceView:
    return ServiceView(service, (Subset((Endpoint(packed("10.1.0.1")),), (EndpointPort("", "TCP", 8080),)),))


def service(key: ServiceKey, inside: str, public: str = "", node_port: int = 0) -> ServiceView:
    ports = (ServicePort("", "TCP", 80, 0, node_port),)
    return view_of(Service(*key, ports, all_packed(inside), exposure=Exposure(all_packed(public))))


def test_a_portal_ip_goes_before_somebody_elses_public_address() -> None:
    cluster = Cluster()
    thief, owner = KEYS[0], KEYS[2]
    cluster.put(thief, service(thief, "10.0.0.9", public="10.0.0.1"))
    cluster.put(owner, service(owner, "10.0.0.1"))
    assert cluster.held()[owner] == {(packed("10.0.0.1"), 0, "TCP", 80)}
    assert cluster.held()[thief] == {(packed("10.0.0.9"), 0, "TCP", 80)}


def test_who_loses_a_front_gets_it_once_the_winner_is_gone() -> None:
    cluster = Cluster()
    first, second = KEYS[0], KEYS[1]
    cluster.put(first, service(first, "10.0.0.1"))
    cluster.put(second, service(second, "10.0.0.1"))
    assert second not in cluster.held()
    cluster.put(first, None)
    assert cluster.held() == {second: {(packed("10.0.0.1"), 0, "TCP", 80)}}


def test_a_change_of_endpoints_touches_no_other_service() -> None:
    cluster = Cluster()
    for index, key in enumerate(KEYS):
        cluster.put(key, service(key, f"10.0.0.{index}"))
    before = cluster.views[KEYS[0]]
    cluster.views[KEYS[0]] = ServiceView(before.service, ())
    assert [key for key, _ in cluster.plan.update(KEYS[0], before)] == [KEYS[0]]


def test_an_address_without_a_portal_is_said_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    key, shown = KEYS[0], "a/one gets no portal at"
    views = {key: service(key, "10.0.0.1 127.0.0.9")}
    plan = Plan(Host(own=(packed("10.0.0.1"),)), views.get)
    for _ in range(3):
        list(plan.update(key, views[key]))
    assert [record.getMessage() for record in caplog.records] == [
        f"{shown} 10.0.0.1: it is this node's own",
        f"{shown} 127.0.0.9: it is loopback",
    ]
    caplog.clear()
    good = service(key, "10.0.0.1")
    before, views[key] = views[key], good
    list(plan.update(key, before))
    assert not caplog.records
    views[key] = before
    list(plan.update(key, good))
    assert [record.getMessage() for record in caplog.records] == [f"{shown} 127.0.0.9: it is loopback"]


def test_another_zone_is_planned_for_from_then_on() -> None:
    cluster = Cluster()
    assert not cluster.plan.move("")
    assert cluster.plan.move("zone-1")
    assert not cluster.plan.move("zone-1")


ADDRESSES = st.sampled_from(["", "10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.1 fd00::1"])
PORTS = st.lists(st.tuples(st.sampled_from([80, 81]), st.sampled_from([0, 30080, 30081])), max_size=2)


@st.composite
def views(draw: st.DrawFn) -> ServiceView:
    ports = tuple(ServicePort(str(n), "TCP", port, 0, node) for n, (port, node) in enumerate(draw(PORTS)))
    exposure = Exposure(all_packed(draw(ADDRESSES)), all_packed(draw(ADDRESSES)))
    return view_of(Service("a", "x", ports, all_packed(draw(ADDRESSES)), exposure=exposure))


STEPS = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | views()), max_size=12)


@given(STEPS)
def test_every_front_that_is_claimed_has_one_holder_and_history_does_not_matter(
    steps: list[tuple[ServiceKey, ServiceView | None]],
) -> None:
    grown, fresh = Cluster(), Cluster()
    for key, view in steps:
        grown.put(key, view)
    for key in sorted(grown.views, reverse=True):
        fresh.put(key, grown.views[key])
    assert grown.held() == fresh.held()
    held = Counter(front for portals in grown.planned.values() for front in fronts(portals))
    assert set(held.values()) <= {1}
    claimed = {
        front
        for key, view in grown.views.items()
        for front in fronts(tuple(Plan(HOST, {key: view}.get).portals(key)))
    }
    assert set(held) == claimed
