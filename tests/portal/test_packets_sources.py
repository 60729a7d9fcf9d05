"""Who may come in at which address of a Service, and what the backend sees of them: real packets."""

from typing import Any

import pytest

from tests import needs
from tests.portal.cases import (
    DROP_SECONDS,
    DROPPED,
    IPV4,
    IPV6,
    REFUSED,
    Family,
    balanced,
    each_family,
    each_protocol,
    ready,
)
from tests.portal.lab import CLIENT, CLIENT_SECOND, NODE, NODE_SECOND
from tests.portal.programming import Lab, eventually

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

LOCAL: dict[str, Any] = {"externalTrafficPolicy": "Local"}
NODE_PORT = 30080


@each_protocol
@each_family
def test_a_portal_ip_keeps_a_pods_address_and_masks_an_outsiders(
    lab: Lab, family: Family, protocol: str
) -> None:
    lab.store.put(*balanced(family, "b1", "b2", protocol=protocol))
    kind = protocol.lower()
    assert lab.net.pod.connect(family.portal, count=10, kind=kind).seen == {family.pod: 10}
    assert lab.net.client.connect(family.portal, count=10, kind=kind).seen == {family.node: 10}


@each_family
@pytest.mark.parametrize("front", ["externalIPs", "ingress", "node port"])
def test_an_outside_address_is_masked_under_the_cluster_policy(lab: Lab, family: Family, front: str) -> None:
    address, port, options = outside(front, family)
    lab.store.put(*balanced(family, "b1", "b2", "b3", **options))
    for peer in (lab.net.client, lab.net.pod, lab.net.node):
        result = peer.connect(address, port, 30)
        assert result.errors == {}, peer.name
        assert set(result.names) == {"b1", "b2", "b3"}, peer.name
        assert result.seen == {family.node: 30}, peer.name


@each_family
@pytest.mark.parametrize("front", ["externalIPs", "ingress", "node port"])
def test_the_local_policy_keeps_an_outsiders_address_and_spreads_its_own_side(
    lab: Lab, family: Family, front: str
) -> None:
    address, port, options = outside(front, family)
    lab.store.put(*balanced(family, "b1", "b2", "b3", **options, **LOCAL))
    assert lab.net.client.connect(address, port, 20).pairs == [["b1", family.client]]
    pod = lab.net.pod.connect(address, port, 40)
    assert (set(pod.names), set(pod.seen)) == ({"b1", "b2", "b3"}, {family.pod})
    node = lab.net.node.connect(address, port, 40)
    assert (set(node.names), set(node.seen)) == ({"b1", "b2", "b3"}, {family.node})


@each_family
def test_the_local_policy_with_remote_endpoints_only_drops_outsiders(lab: Lab, family: Family) -> None:
    address, port, options = outside("ingress", family)
    lab.store.put(*balanced(family, "b2", "b3", **options, **LOCAL))
    assert lab.net.client.connect(address, port, timeout=DROP_SECONDS).errors == DROPPED
    assert lab.net.pod.connect(address, port, 20).good == 20
    assert lab.net.node.connect(address, port, 20).good == 20
    assert lab.net.client.connect(family.portal, count=5).good == 5


def outside(front: str, family: Family) -> tuple[str, int, dict[str, Any]]:
    """Address and port of such a front, and what makes it one."""
    if front == "node port":
        return family.node, NODE_PORT, {"node_port": NODE_PORT}
    return family.outside, 80, {front: [family.outside]}


@each_family
def test_the_internal_local_policy_stays_on_the_node_or_drops(lab: Lab, family: Family) -> None:
    lab.store.put(*balanced(family, "b1", "b2", "b3", internalTrafficPolicy="Local"))
    for peer in (lab.net.pod, lab.net.node, lab.net.client):
        assert peer.connect(family.portal, count=20).names == {"b1": 20}, peer.name
    lab.store.put(ready(family, "b2", "b3"))
    assert lab.net.pod.connect(family.portal, timeout=DROP_SECONDS).errors == DROPPED
    lab.store.put(ready(family))
    assert lab.net.pod.connect(family.portal).errors == REFUSED


def test_source_ranges_let_in_whom_they_name_and_drop_the_rest(lab: Lab) -> None:
    ranges: dict[str, Any] = {"loadBalancerSourceRanges": [f"{CLIENT}/32", "203.0.113.128/25"]}
    lab.store.put(*balanced(IPV4, "b1", "b2", ingress=[IPV4.outside], **ranges))
    inside = lab.net.client.connect(IPV4.outside, count=10, source=CLIENT)
    assert (inside.good, inside.seen) == (10, {NODE: 10})
    stranger = lab.net.client.connect(IPV4.outside, source=CLIENT_SECOND, timeout=DROP_SECONDS)
    assert stranger.errors == DROPPED
    assert lab.net.pod.connect(IPV4.outside, timeout=DROP_SECONDS).errors == DROPPED


def test_source_ranges_do_not_concern_portal_ips_public_addresses_and_node_ports(lab: Lab) -> None:
    options: dict[str, Any] = {
        "ingress": [IPV4.outside],
        "externalIPs": ["203.0.113.20"],
        "node_port": NODE_PORT,
    }
    lab.store.put(*balanced(IPV4, "b1", **options, loadBalancerSourceRanges=["192.0.2.99/32"]))
    assert lab.net.client.connect(IPV4.outside, timeout=DROP_SECONDS).errors == DROPPED
    for address, port in ((IPV4.portal, 80), ("203.0.113.20", 80), (NODE, NODE_PORT)):
        assert lab.net.client.connect(address, port).good == 1, address


def test_a_range_that_holds_the_node_lets_its_own_connections_in(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", ingress=[IPV4.outside], loadBalancerSourceRanges=["198.51.100.0/24"]))
    assert lab.net.node.connect(IPV4.outside, count=3).good == 3
    assert lab.net.client.connect(IPV4.outside, timeout=DROP_SECONDS).errors == DROPPED


def test_source_ranges_that_are_widened_let_others_in(lab: Lab) -> None:
    ranges: dict[str, Any] = {"loadBalancerSourceRanges": [f"{CLIENT}/32"]}
    lab.store.put(*balanced(IPV4, "b1", ingress=[IPV4.outside], **ranges))
    stranger: dict[str, Any] = {"source": CLIENT_SECOND, "timeout": DROP_SECONDS}
    assert lab.net.client.connect(IPV4.outside, **stranger).errors == DROPPED
    ranges = {"loadBalancerSourceRanges": [f"{CLIENT}/32", f"{CLIENT_SECOND}/32"]}
    lab.store.put(*balanced(IPV4, "b1", ingress=[IPV4.outside], **ranges))
    assert lab.net.client.connect(IPV4.outside, **stranger).good == 1


@each_protocol
def test_node_ports_answer_at_all_the_nodes_addresses_but_not_at_its_loopback(
    lab: Lab, protocol: str
) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", node_port=NODE_PORT, protocol=protocol))
    kind = protocol.lower()
    for address in (NODE, NODE_SECOND):
        for peer in (lab.net.client, lab.net.pod, lab.net.node):
            assert peer.connect(address, NODE_PORT, 5, kind=kind).good == 5, (peer.name, address)
    assert lab.net.node.connect("127.0.0.1", NODE_PORT, kind=kind).errors == REFUSED


@pytest.mark.parametrize(
    ("family", "later"), [(IPV4, "198.51.100.3"), (IPV6, "2001:db8:51::3")], ids=["ipv4", "ipv6"]
)
def test_node_ports_answer_at_an_address_that_the_node_gets_later(
    lab: Lab, family: Family, later: str
) -> None:
    lab.store.put(*balanced(family, "b1", node_port=NODE_PORT))
    node = lab.net.node.namespace
    node.configure("address", "add", later, "dev", "lo", "nodad")
    try:
        assert lab.net.client.connect(later, NODE_PORT, 3).good == 3
    finally:
        node.configure("address", "del", later, "dev", "lo")


def test_a_node_port_that_moves_is_closed_where_it_was(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", node_port=NODE_PORT))
    assert lab.net.client.connect(NODE, NODE_PORT).good == 1
    lab.store.put(*balanced(IPV4, "b1", node_port=NODE_PORT + 1))
    assert lab.net.client.connect(NODE, NODE_PORT).errors == REFUSED
    assert lab.net.client.connect(NODE, NODE_PORT + 1).good == 1


def test_the_health_check_port_tells_a_balancer_whether_this_node_has_endpoints(lab: Lab) -> None:
    options: dict[str, Any] = {
        "type": "LoadBalancer",
        "healthCheckNodePort": 30999,
        "ingress": [IPV4.outside],
        **LOCAL,
    }
    lab.store.put(*balanced(IPV4, "b1", "b2", **options))

    def status() -> int:
        found: int = lab.net.client.ask(
            "request", method="GET", address=NODE, port=30999, path="/healthz", body=""
        )[0]
        return found

    eventually(lambda: status() == 200, 1.0, "200 with an endpoint here")
    lab.store.put(ready(IPV4, "b2"))
    eventually(lambda: status() == 503, 1.0, "503 with endpoints elsewhere only")
    lab.store.put(ready(IPV4, "b1"))
    eventually(lambda: status() == 200, 1.0, "200 again")
