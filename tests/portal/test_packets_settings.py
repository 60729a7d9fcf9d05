"""What the programmer's own settings change, with real packets."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import needs
from tests.portal.cases import (
    IPV4,
    REFUSED,
    Family,
    balanced,
    each_family,
    each_protocol,
    ready,
)
from tests.portal.lab import CLIENT, NODE, NODE_SECOND
from tests.portal.objects import service
from tests.portal.programming import Lab

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

NODE_PORT = 30090
UNTRACKED = "10.96.0.53"


@pytest.fixture(scope="module")
def other_lab(shared_lab: Lab) -> Iterator[Lab]:
    """The shared lab, its programmer with other settings for all of this module."""
    other: dict[str, Any] = {"masquerade_all": True, "untracked": [UNTRACKED]}
    other["node_addresses"] = [f"{NODE_SECOND}/32"]
    if shared_lab.kind != "nftables":
        other |= {"localhost_node_ports": True}
        other["node_addresses"] += ["127.0.0.0/8"]
    with shared_lab.configured(**other):
        yield shared_lab


@pytest.fixture
def lab(other_lab: Lab) -> Iterator[Lab]:
    try:
        yield other_lab
    finally:
        other_lab.store.clear()


@each_family
def test_masquerade_all_masks_pods_at_a_portal_ip_too(lab: Lab, family: Family) -> None:
    lab.store.put(*balanced(family, "b1", "b2"))
    for peer in (lab.net.pod, lab.net.client):
        assert peer.connect(family.portal, count=10).seen == {family.node: 10}


def test_masquerade_all_does_not_touch_the_local_policy(lab: Lab) -> None:
    local = {"externalTrafficPolicy": "Local"}
    lab.store.put(*balanced(IPV4, "b1", ingress=[IPV4.outside], **local))
    assert lab.net.client.connect(IPV4.outside, count=5).seen == {CLIENT: 5}


def test_node_ports_answer_only_at_the_addresses_they_are_limited_to(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", node_port=NODE_PORT))
    assert lab.net.client.connect(NODE_SECOND, NODE_PORT, 5).good == 5
    assert lab.net.client.connect(NODE, NODE_PORT).errors == REFUSED


@each_protocol
def test_dns_that_the_node_answers_itself_is_neither_translated_nor_tracked(lab: Lab, protocol: str) -> None:
    node = lab.net.node.namespace
    node.configure("address", "add", f"{UNTRACKED}/32", "dev", "lo")
    try:
        dns = service("dns", UNTRACKED, port=53, protocol=protocol)
        lab.store.put(dns, ready(IPV4, "b1", name="dns", protocol=protocol))
        for peer in (lab.net.pod, lab.net.client, lab.net.node):
            result = peer.connect(UNTRACKED, 53, 5, kind=protocol.lower())
            assert result.names == {"node": 5}, peer.name
        tracked = lab.on_node("cat", "/proc/net/nf_conntrack").splitlines()
        assert [line for line in tracked if f"dst={UNTRACKED} " in line] == []
    finally:
        node.configure("address", "del", f"{UNTRACKED}/32", "dev", "lo")


def test_localhost_node_ports_answer_at_the_loopback_with_iptables(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", node_port=NODE_PORT))
    result = lab.net.node.connect("127.0.0.1", NODE_PORT, 5)
    if lab.kind == "nftables":
        assert result.errors == {"ConnectionRefusedError": 5}
    else:
        assert (result.good, result.seen) == (5, {NODE: 5})
