"""Where hints send connections, and what a host that forwards nothing by itself lets through: real ones."""

from collections.abc import Iterator, Mapping

import pytest

from tests import needs
from tests.portal.cases import DROP_SECONDS, DROPPED, NODES, Family, balanced, each_family, each_protocol
from tests.portal.lab import NODE_NAME
from tests.portal.objects import Document, endpoint, endpoint_slice, service
from tests.portal.programming import Lab, eventually

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

MANY = 40
"""Connections: with three endpoints, one of them is never met by chance once in ten million times."""
NODE_PORT = 30095
SECONDS = 5.0
"""Within which a Node's zone must count."""


def node(zone: str) -> Document:
    labels = {"topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME, "labels": labels}}


def hinted(family: Family, hints: Mapping[str, Document]) -> list[Document]:
    """A Service with all three backends; ``hints`` by backend."""
    found = [
        endpoint(family.backends[name], NODES[name]) | ({"hints": hints[name]} if name in hints else {})
        for name in NODES
    ]
    front = service("my-service", family.portal, externalIPs=[family.outside], node_port=NODE_PORT)
    return [front, endpoint_slice("my-service", *found, family=family.number)]


def zones(**names: str) -> dict[str, Document]:
    return {name: {"forZones": [{"name": zone}]} for name, zone in names.items()}


def meet(lab: Lab, family: Family, *names: str) -> None:
    """These answer soon, and only these: a pod and a client from outside, at every kind of front.

    The canaries tell nothing of Nodes, which are a kind of their own.
    """
    fronts = [(lab.net.pod, family.portal, 80), (lab.net.client, family.portal, 80)]
    fronts += [(lab.net.client, family.outside, 80), (lab.net.client, family.node, NODE_PORT)]

    def now() -> set[frozenset[str]]:
        found = [peer.connect(address, port, MANY) for peer, address, port in fronts]
        assert [result.errors for result in found] == [{}] * len(found)
        return {frozenset(result.names) for result in found}

    eventually(lambda: now() == {frozenset(names)}, SECONDS, f"{names} answer")


@each_family
def test_hints_keep_connections_in_the_nodes_zone_and_follow_it(lab: Lab, family: Family) -> None:
    lab.store.put(node("east"), *hinted(family, zones(b1="west", b2="east", b3="east")))
    meet(lab, family, "b2", "b3")
    lab.store.put(node("west"))
    meet(lab, family, "b1")


@each_family
def test_hints_for_the_node_go_before_those_for_its_zone(lab: Lab, family: Family) -> None:
    hints = zones(b1="east", b2="east", b3="east")
    hints["b2"] = hints["b2"] | {"forNodes": [{"name": NODE_NAME}]}
    lab.store.put(node("east"), *hinted(family, hints))
    meet(lab, family, "b2")


@pytest.mark.parametrize("zone", ["east", "north"], ids=["one without a hint", "none for this zone"])
@each_family
def test_hints_that_would_leave_somebody_out_are_not_followed(lab: Lab, family: Family, zone: str) -> None:
    given = zones(b1="west", b2="east", b3="east") if zone == "north" else zones(b1="west", b2="east")
    lab.store.put(node(zone), *hinted(family, given))
    meet(lab, family, "b1", "b2", "b3")


@pytest.fixture
def closed(lab: Lab) -> Iterator[Lab]:
    """The node forwards nothing that no rule takes, as after Docker; with the host's own tool."""
    tools = _iptables(lab)
    try:
        for tool in tools:
            lab.on_node(tool, "-P", "FORWARD", "DROP")
        if not tools:
            for family in ("ip", "ip6"):
                lab.on_node("nft", f"add table {family} host")
                hook = "{ type filter hook forward priority 0; policy drop; }"
                lab.on_node("nft", f"add chain {family} host forward {hook}")
        yield lab
    finally:
        for tool in tools:
            lab.on_node(tool, "-P", "FORWARD", "ACCEPT")
        if not tools:
            lab.on_node("nft", "delete table ip host; delete table ip6 host")


def _iptables(lab: Lab) -> tuple[str, ...]:
    if lab.kind == "nftables":
        return ()
    return (lab.kind, lab.kind.replace("iptables", "ip6tables"))


@each_protocol
@each_family
def test_a_host_that_forwards_nothing_by_itself_carries_what_goes_through_portals(
    closed: Lab, family: Family, protocol: str
) -> None:
    """With iptables as it is; with nftables, where another table's drop is final, with the host's leave."""
    kind = protocol.lower()
    closed.store.put(*balanced(family, "b1", "b2", protocol=protocol, externalIPs=[family.outside]))
    fronts = [(closed.net.pod, family.portal), (closed.net.client, family.outside)]
    if closed.kind == "nftables":
        for peer, address in fronts:
            assert peer.connect(address, kind=kind, timeout=DROP_SECONDS).errors == DROPPED
        for name in ("ip", "ip6"):
            closed.on_node("nft", f"add rule {name} host forward ct status dnat accept")
    for peer, address in fronts:
        result = peer.connect(address, count=5, kind=kind)
        assert (result.good, result.errors) == (5, {}), peer.name
    direct = closed.net.pod.connect(family.backends["b1"], 8080, kind=kind, timeout=DROP_SECONDS)
    assert direct.errors == DROPPED  # what goes past the portals is still the host's to decide
