"""Balancers' parts over one API server: who has a seat when the holder ends, is cut off, or all are."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from skydns_py.balancer.store import Reservation, Write
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.balancer_kubernetes_api import Place
from skydns_py.sources.kubernetes_client import ApiClient
from tests.balancer.kube import KEYS, NAMESPACE
from tests.balancer.kube_parts import LEASE_SECONDS, Happened, Part, Scene
from tests.kube_server import KubeServer, servers
from tests.proxy import Proxy

SEAT = "192.0.2.1"
SLACK_SECONDS = 1.0
"""For a machine that does other things beside."""


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[KubeServer]:
    with request.param() as running:
        yield running


class Lab:
    """Parts, each with a proxy of its own to the API server."""

    def __init__(self, server: KubeServer, stack: ExitStack) -> None:
        self.server, self.scene, self._stack = server, Scene(), stack
        self.proxies: dict[str, Proxy] = {}
        self.parts: dict[str, Part] = {}
        place = Place(
            lambda seconds: ApiClient(server.access, seconds), KEYS, NAMESPACE, "test", LEASE_SECONDS
        )
        self.store = KubernetesStore(place, 10.0)
        stack.callback(self.store.close)

    def part(self, name: str) -> Part:
        scheme, _, port = self.server.access.server.rpartition(":")
        proxy = self._stack.enter_context(Proxy(int(port)))
        access = replace(self.server.access, server=f"{scheme}:{proxy.port}")
        self.proxies[name] = proxy
        self.parts[name] = Part(name, access, self.scene)
        self._stack.callback(self.parts[name].stop)
        return self.parts[name]

    def reserve(self, address: str) -> None:
        value = Reservation(("my-ns/web",)).encode()
        assert self.store.write([Write(KEYS.ip(address), value)], {KEYS.ip(address): 0})

    def clear(self) -> None:
        client = ApiClient(self.server.access, 10.0)
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
        for each in client.call("GET", path)["items"]:
            if each["metadata"]["name"].startswith("skydns-"):
                client.call("DELETE", f"{path}/{each['metadata']['name']}")
        client.close()


@pytest.fixture
def lab(server: KubeServer) -> Iterator[Lab]:
    with ExitStack() as stack:
        made = Lab(server, stack)
        made.clear()
        made.reserve(SEAT)
        yield made


def takes(seat: str, *others: str) -> Callable[[Happened], bool]:
    return lambda each: each.seat == seat and each.has and each.node not in others


def leaves(seat: str, node: str) -> Callable[[Happened], bool]:
    return lambda each: (each.seat, each.node, each.has) == (seat, node, False)


def held(lab: Lab, *names: str) -> str:
    """Start these; the node that has the address then."""
    for name in names:
        lab.part(name)
    return lab.scene.wait("anybody's taking the address", takes(SEAT)).node


def test_who_ends_leaves_what_he_had_to_another_at_once(lab: Lab) -> None:
    first = held(lab, "n1", "n2")
    seen = len(lab.scene.all)
    lab.parts[first].stop()
    gone = lab.scene.wait("the first one's leaving", leaves(SEAT, first), seen)
    taken = lab.scene.wait("the other's taking over", takes(SEAT, first), seen)
    assert 0.0 <= taken.when - gone.when < 0.5 + SLACK_SECONDS
    lab.scene.never_twice()


def test_who_is_cut_off_stops_before_another_begins(lab: Lab) -> None:
    first = held(lab, "n1", "n2")
    seen = len(lab.scene.all)
    lab.proxies[first].cut()
    gone = lab.scene.wait("the first one's leaving", leaves(SEAT, first), seen)
    taken = lab.scene.wait("the other's taking over", takes(SEAT, first), seen)
    assert 0.2 < taken.when - gone.when < 1.5 + SLACK_SECONDS
    lab.proxies[first].mend()
    lab.reserve("192.0.2.2")
    lab.scene.wait("a new address's finding its node", takes("192.0.2.2"), seen)
    lab.scene.never_twice()


def test_when_all_are_cut_off_for_long_each_has_again_what_it_had(lab: Lab) -> None:
    first = held(lab, "n1", "n2")
    for proxy in lab.proxies.values():
        proxy.cut()
    seen = len(lab.scene.all)
    lab.scene.wait("its leaving", leaves(SEAT, first), seen)
    time.sleep(LEASE_SECONDS)  # until every count would have ended
    for proxy in lab.proxies.values():
        proxy.mend()
    assert lab.scene.wait("its coming back", takes(SEAT), seen).node == first
    lab.scene.never_twice()


def test_a_watch_that_ends_breaks_or_is_too_old_costs_nothing(lab: Lab) -> None:
    api = lab.server.api
    if api is None:
        pytest.skip("only the stand-in ends watches when told to")
    first = held(lab, "n1", "n2")
    before = len(lab.scene.all)
    for number, trouble in enumerate((api.end_watches, api.break_watches, api.expire_watches), 2):
        trouble()
        lab.reserve(f"192.0.2.{number}")
        lab.scene.wait("a new address's finding its node", takes(f"192.0.2.{number}"), before)
    lab.parts[first].stop()
    lab.scene.wait("the other's taking over", takes(SEAT, first), before)
    lab.scene.never_twice()


def test_an_api_server_that_restarts_changes_nothing(lab: Lab) -> None:
    if lab.server.api is None:
        pytest.skip("the real one takes longer to start than a lease lasts")
    first = held(lab, "n1", "n2")
    before = len(lab.scene.all)
    lab.server.api.stop()
    lab.server.api.start()
    lab.reserve("192.0.2.2")
    lab.scene.wait("a new address's finding its node", takes("192.0.2.2"), before)
    assert not any(map(leaves(SEAT, first), lab.scene.all[before:]))


def test_a_second_process_of_a_name_takes_nothing_while_the_first_lives(lab: Lab) -> None:
    assert held(lab, "n1") == "n1"
    twin = Part("n1", lab.server.access, lab.scene)
    try:
        lab.reserve("192.0.2.2")
        lab.scene.wait("a new address's finding its node", takes("192.0.2.2"))
        assert twin.announcer.held == set()
    finally:
        twin.stop()


def test_what_a_person_sees_is_who_has_what(lab: Lab) -> None:
    first = held(lab, "n1")
    client = ApiClient(lab.server.access, 10.0)
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/skydns-owner.{SEAT}"
    lease = client.call("GET", path)
    client.close()
    assert lease["spec"]["holderIdentity"] == first
    assert lease["metadata"]["labels"] == {"app": "skydns-balancer"}
    reserved = lab.store.read([KEYS.ip(SEAT)])[KEYS.ip(SEAT)].value
    assert json.loads(reserved)["services"] == ["my-ns/web"]
