"""Which backend a connection through a portal reaches, with real packets."""

import math
import time
from typing import Any

import pytest

from tests import needs
from tests.portal.cases import (
    DROP_SECONDS,
    IPV4,
    NODES,
    REFUSED,
    Family,
    balanced,
    each_family,
    each_protocol,
    ready,
)
from tests.portal.lab import BACKENDS, CLIENT, CLIENT_SECOND, Result
from tests.portal.objects import PORT, Document, endpoint, endpoint_slice, endpoints, service
from tests.portal.programming import Lab, eventually

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

COUNT = 300
STICKY = {"sessionAffinity": "ClientIP"}
AFFINITY_SECONDS = 2
BRIEFLY = STICKY | {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": AFFINITY_SECONDS}}}


def assert_even(result: Result, names: list[str]) -> None:
    """Each of ``names`` got its share of the attempts, within 4 standard deviations; nobody else any."""
    assert result.errors == {}
    share = 1 / len(names)
    sigma = math.sqrt(result.good * share * (1 - share))
    assert set(result.names) == set(names)
    for name in names:
        assert abs(result.names[name] - result.good * share) <= 4 * sigma, result.names


@each_protocol
@each_family
def test_300_connections_spread_evenly_over_three_endpoints(lab: Lab, family: Family, protocol: str) -> None:
    lab.store.put(*balanced(family, "b1", "b2", "b3", protocol=protocol))
    result = lab.net.client.connect(family.portal, count=COUNT, kind=protocol.lower())
    assert result.good == COUNT
    assert_even(result, ["b1", "b2", "b3"])


def test_an_endpoint_more_and_one_less_change_the_shares(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1"))
    assert set(lab.net.pod.connect(IPV4.portal, count=20).names) == {"b1"}
    lab.store.put(ready(IPV4, "b1", "b2"))
    assert_even(lab.net.pod.connect(IPV4.portal, count=COUNT), ["b1", "b2"])
    lab.store.put(ready(IPV4, "b2", "b3"))
    assert_even(lab.net.pod.connect(IPV4.portal, count=COUNT), ["b2", "b3"])


@each_protocol
@each_family
def test_a_backend_reaches_itself_through_its_own_service(lab: Lab, family: Family, protocol: str) -> None:
    lab.store.put(*balanced(family, "b1", "b2", protocol=protocol))
    result = lab.net.backends["b1"].connect(family.portal, count=40, kind=protocol.lower())
    assert result.errors == {}
    assert result.pairs == [["b1", family.node], ["b2", family.backends["b1"]]]


def test_the_node_itself_uses_portals(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2"))
    result = lab.net.node.connect(IPV4.portal, count=40)
    assert result.errors == {}
    assert set(result.names) == {"b1", "b2"}


@each_protocol
@each_family
def test_affinity_brings_a_client_to_the_same_endpoint(lab: Lab, family: Family, protocol: str) -> None:
    lab.store.put(
        *balanced(family, "b1", "b2", "b3", name=f"sticky-{protocol.lower()}", protocol=protocol, **STICKY)
    )
    for peer in (lab.net.client, lab.net.pod, lab.net.backends["b1"]):
        result = peer.connect(family.portal, count=30, kind=protocol.lower())
        assert result.good == 30
        assert len(result.names) == 1, (peer.name, result.names)


def test_affinity_tells_two_addresses_apart(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", "b3", name="sticky-apart", **STICKY))
    found = set[str]()
    for number in range(20):
        name = f"sticky-apart-{number}"
        lab.store.put(*balanced(IPV4, "b1", "b2", "b3", name=name, address=f"10.96.3.{number}", **STICKY))
        both = [
            lab.net.client.connect(f"10.96.3.{number}", count=3, source=source)
            for source in (CLIENT, CLIENT_SECOND)
        ]
        assert [len(each.names) for each in both] == [1, 1]
        found.add("same" if both[0].names == both[1].names else "different")
        if found == {"same", "different"}:
            return
    pytest.fail(f"two clients of 20 Services always got {found} endpoints")


def test_affinity_is_one_for_all_fronts_of_a_portal(lab: Lab) -> None:
    options: dict[str, Any] = {"externalIPs": [IPV4.outside], "ingress": ["203.0.113.11"], "node_port": 30081}
    lab.store.put(*balanced(IPV4, "b1", "b2", "b3", name="sticky-fronts", **options, **STICKY))
    fronts = [(IPV4.portal, 80), (IPV4.outside, 80), ("203.0.113.11", 80), (IPV4.node, 30081)]
    results = [lab.net.client.connect(address, port, 5) for address, port in fronts]
    assert [result.errors for result in results] == [{}] * 4
    assert len({name for result in results for name in result.names}) == 1


def test_affinity_lasts_while_new_connections_come_and_ends_without_them(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", "b3", name="sticky-brief", **BRIEFLY))
    (kept,), seen = lab.net.client.connect(IPV4.portal).names, time.monotonic()
    idle = [lab.net.node, lab.net.pod, *lab.net.backends.values()]

    def of_the_idle() -> list[str]:
        return [name for peer in idle for name in peer.connect(IPV4.portal).names]

    def moved() -> bool:
        """Five sources; 1 in 243 that each of them gets its old endpoint again by chance, then once more.

        Where the machine itself stood still for too long between two connections, nothing was kept.
        """
        nonlocal kept, seen
        before = of_the_idle()
        until = time.monotonic() + 1.5 * AFFINITY_SECONDS
        while time.monotonic() < until:
            (name,), before_it = lab.net.client.connect(IPV4.portal).names, seen
            seen = time.monotonic()
            assert name == kept or seen - before_it > 0.8 * AFFINITY_SECONDS
            kept = name
            time.sleep(0.2 * AFFINITY_SECONDS)  # the time without connections is what is tested
        return of_the_idle() != before

    eventually(moved, 2 * AFFINITY_SECONDS, "other endpoints after the affinity's time")


def test_affinity_does_not_hold_on_to_an_endpoint_that_is_gone(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", "b3", name="sticky-gone", **STICKY))
    (first,) = lab.net.client.connect(IPV4.portal).names
    rest = [name for name in BACKENDS if name != first]
    lab.store.put(ready(IPV4, *rest, name="sticky-gone"))
    result = lab.net.client.connect(IPV4.portal, count=10)
    assert result.good == 10
    assert len(result.names) == 1
    assert first not in result.names


def conditions(**of: dict[str, bool]) -> Document:
    found = [endpoint(BACKENDS[name], NODES[name], **states) for name, states in of.items()]
    return endpoint_slice("my-service", *found)


LEAVING = {"ready": False, "serving": True, "terminating": True}
LEFT = {"ready": False, "serving": False, "terminating": True}
UNREADY = {"ready": False, "serving": False}


def test_a_terminating_endpoint_is_not_used_while_another_is_ready(lab: Lab) -> None:
    lab.store.put(service("my-service", IPV4.portal), conditions(b1=LEAVING, b2={}))
    assert lab.net.pod.connect(IPV4.portal, count=40).names == {"b2": 40}


def test_terminating_endpoints_that_serve_are_used_when_nothing_is_ready(lab: Lab) -> None:
    lab.store.put(service("my-service", IPV4.portal), conditions(b1=LEAVING, b2=LEFT, b3=UNREADY))
    assert lab.net.pod.connect(IPV4.portal, count=40).names == {"b1": 40}


def test_endpoints_that_neither_are_ready_nor_serve_are_as_good_as_none(lab: Lab) -> None:
    lab.store.put(service("my-service", IPV4.portal), conditions(b1=LEFT, b2=UNREADY))
    assert lab.net.pod.connect(IPV4.portal).errors == REFUSED


def test_a_service_without_a_selector_is_served_from_endpoints_written_by_hand(lab: Lab) -> None:
    lab.store.put(service("by-hand", IPV4.portal), endpoints("by-hand", BACKENDS["b2"], BACKENDS["b3"]))
    assert set(lab.net.client.connect(IPV4.portal, count=40).names) == {"b2", "b3"}


def test_v1beta1_objects_are_served_with_their_public_addresses(lab: Lab) -> None:
    old = {"apiVersion": "v1beta1", "namespace": "default", "id": "old"}
    addresses = {"portalIP": IPV4.portal, "publicIPs": [IPV4.outside]}
    lab.store.put(
        old | addresses | {"kind": "Service", "port": 80, "protocol": "TCP"},
        old | {"kind": "Endpoints", "endpoints": [f"{BACKENDS['b3']}:{PORT}"]},
    )
    assert lab.net.pod.connect(IPV4.portal).names == {"b3": 1}
    assert lab.net.client.connect(IPV4.outside).pairs == [["b3", IPV4.node]]


@pytest.mark.parametrize("kind", ["headless", "ExternalName"])
def test_headless_services_and_external_names_get_nothing(lab: Lab, kind: str) -> None:
    public: dict[str, Any] = {"externalIPs": [IPV4.outside], "node_port": 30082}
    usual = balanced(IPV4, "b1", **public)
    lab.store.put(*usual)
    assert any(IPV4.outside in line for line in lab.rules())
    spec: dict[str, Any] = (
        {"type": "ExternalName", "externalName": "www.example.com"} if kind == "ExternalName" else {}
    )
    address = "None" if kind == "headless" else ""
    lab.store.put(service("my-service", address, **public, **spec))
    for text in (IPV4.outside, IPV4.portal, "30082"):
        assert not any(text in line for line in lab.rules()), text
    result = lab.net.client.connect(IPV4.outside, timeout=DROP_SECONDS)
    assert result.good == 0
