"""What happens where nothing can answer, and to UDP flows whose endpoint is gone: real packets."""

from typing import Any

import pytest

from tests import needs
from tests.portal.cases import DROP_SECONDS, IPV4, Family, balanced, each_family, each_protocol, ready
from tests.portal.lab import Talk
from tests.portal.programming import Lab, eventually

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

AT_ONCE = 0.1
"""Seconds within which a client must know."""
SOON = 1.0
"""Seconds within which a UDP flow must have left the endpoint that is gone."""
LOST_SECONDS = 0.2
"""A datagram without an answer for so long is lost, as one may be that is under way when its flow ends."""
TRIES = 5
FRONTS: dict[str, Any] = {"externalIPs": [IPV4.outside], "ingress": ["203.0.113.11"], "node_port": 30070}


def assert_refused(lab: Lab, address: str, port: int, protocol: str) -> None:
    """From outside the cluster as from a pod."""
    for peer in (lab.net.client, lab.net.pod):
        result = peer.connect(address, port, TRIES, kind=protocol.lower())
        assert result.errors == {"ConnectionRefusedError": TRIES}, peer.name
        assert result.slowest < AT_ONCE, peer.name


@each_protocol
@each_family
def test_without_endpoints_a_connection_is_refused_at_once_and_recovers(
    lab: Lab, family: Family, protocol: str
) -> None:
    lab.store.put(*balanced(family, protocol=protocol))
    assert_refused(lab, family.portal, 80, protocol)
    lab.store.put(ready(family, "b2", protocol=protocol))
    for peer in (lab.net.client, lab.net.pod, lab.net.node):
        assert peer.connect(family.portal, kind=protocol.lower()).names == {"b2": 1}, peer.name
    lab.store.put(ready(family, protocol=protocol))
    assert_refused(lab, family.portal, 80, protocol)


@each_protocol
@each_family
def test_the_node_itself_is_refused_at_once_too(lab: Lab, family: Family, protocol: str) -> None:
    lab.store.put(*balanced(family, protocol=protocol))
    result = lab.net.node.connect(family.portal, count=TRIES, kind=protocol.lower())
    # what a rule refuses on its way out, sendto(2) tells as EPERM; only TCP has an answer for it
    assert result.errors == {"ConnectionRefusedError" if protocol == "TCP" else "PermissionError": TRIES}
    assert result.slowest < AT_ONCE


@each_protocol
def test_without_endpoints_every_front_refuses(lab: Lab, protocol: str) -> None:
    lab.store.put(*balanced(IPV4, protocol=protocol, **FRONTS))
    for address, port in ((IPV4.outside, 80), ("203.0.113.11", 80), (IPV4.node, 30070)):
        assert_refused(lab, address, port, protocol)


@each_protocol
@each_family
def test_a_wrong_port_on_a_portal_ip_is_refused_at_once(lab: Lab, family: Family, protocol: str) -> None:
    lab.store.put(*balanced(family, "b1", protocol=protocol))
    assert_refused(lab, family.portal, 81, protocol)
    other = "UDP" if protocol == "TCP" else "TCP"
    assert_refused(lab, family.portal, 80, other)


def test_a_deleted_services_address_is_no_longer_refused_but_unknown(lab: Lab) -> None:
    documents = balanced(IPV4)
    lab.store.put(*documents)
    assert_refused(lab, IPV4.portal, 80, "TCP")
    lab.store.delete(*documents)
    assert "ConnectionRefusedError" not in lab.net.pod.connect(IPV4.portal, timeout=DROP_SECONDS).errors


@each_family
def test_an_established_tcp_connection_outlives_its_endpoint_and_its_service(
    lab: Lab, family: Family
) -> None:
    documents = balanced(family, "b1")
    lab.store.put(*documents)
    with lab.net.client.talk(family.portal) as talk:
        lab.store.put(ready(family, "b2"))
        assert talk.say() == ["b1", family.node]
        lab.store.delete(*documents)
        assert talk.say() == ["b1", family.node]


def moved_to(talk: Talk, name: str) -> None:
    eventually(lambda: talk.say()[0] == name, SOON, f"the flow with {name}")


def refused(talk: Talk) -> None:
    eventually(lambda: talk.say() == "ConnectionRefusedError", SOON, "a refusal")


@each_family
@pytest.mark.parametrize("source", ["client", "pod"])
def test_a_udp_flow_moves_when_its_endpoint_goes(lab: Lab, family: Family, source: str) -> None:
    lab.store.put(*balanced(family, "b1", protocol="UDP"))
    with lab.net.others[source].talk(family.portal, kind="udp", timeout=LOST_SECONDS) as talk:
        assert talk.greeting[0] == "b1"
        lab.store.put(ready(family, "b2", protocol="UDP"))
        moved_to(talk, "b2")
        lab.store.put(ready(family, "b3", protocol="UDP"))
        moved_to(talk, "b3")


def test_a_udp_flow_stays_when_another_endpoint_comes_or_goes(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", protocol="UDP"))
    with lab.net.client.talk(IPV4.portal, kind="udp", timeout=LOST_SECONDS) as talk:
        for names in (("b1", "b2", "b3"), ("b1", "b3"), ("b1", "b2")):
            lab.store.put(ready(IPV4, *names, protocol="UDP"))
            assert [talk.say() for _ in range(10)] == [["b1", IPV4.node]] * 10


@each_family
def test_a_udp_flow_is_refused_once_there_are_no_endpoints_and_recovers(lab: Lab, family: Family) -> None:
    lab.store.put(*balanced(family, "b1", protocol="UDP"))
    with lab.net.client.talk(family.portal, kind="udp", timeout=LOST_SECONDS) as talk:
        assert talk.greeting[0] == "b1"
        lab.store.put(ready(family, protocol="UDP"))
        refused(talk)
        lab.store.put(ready(family, "b2", protocol="UDP"))
        moved_to(talk, "b2")


@each_family
def test_a_udp_flow_ends_with_its_service(lab: Lab, family: Family) -> None:
    documents = balanced(family, "b1", protocol="UDP")
    lab.store.put(*documents)
    with lab.net.client.talk(family.portal, kind="udp", timeout=LOST_SECONDS) as talk:
        assert talk.greeting[0] == "b1"
        lab.store.delete(documents[0])
        eventually(lambda: isinstance(talk.say(), str), SOON, "no answer from a Service that is gone")
        assert [type(talk.say()) for _ in range(2)] == [str, str]


@pytest.mark.parametrize("front", ["externalIPs", "ingress", "node port"])
def test_a_udp_flow_through_an_outside_front_moves_and_is_refused(lab: Lab, front: str) -> None:
    places = {
        "externalIPs": (IPV4.outside, 80),
        "ingress": ("203.0.113.11", 80),
        "node port": (IPV4.node, 30070),
    }
    lab.store.put(*balanced(IPV4, "b1", protocol="UDP", **FRONTS))
    with lab.net.client.talk(*places[front], kind="udp", timeout=LOST_SECONDS) as talk:
        assert talk.greeting[0] == "b1"
        lab.store.put(ready(IPV4, "b2", protocol="UDP"))
        moved_to(talk, "b2")
        lab.store.put(ready(IPV4, protocol="UDP"))
        refused(talk)


def test_a_flow_that_began_before_its_service_is_taken_over_by_it(lab: Lab) -> None:
    """The client's first datagrams went nowhere; connection tracking must not keep sending them there."""
    with lab.net.client.talk(IPV4.portal, kind="udp", timeout=LOST_SECONDS) as talk:
        assert isinstance(talk.greeting, str)
        lab.store.put(*balanced(IPV4, "b1", protocol="UDP"))
        moved_to(talk, "b1")
