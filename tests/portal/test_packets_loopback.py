"""Node ports at 127.0.0.1 need a kernel setting that lets packets for it in; nobody else's may come in by it.

A neighbour on the same link that routes 127.0.0.1 to the node would otherwise reach what listens only there
(CVE-2020-8558).  With nftables there are no such node ports.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import needs
from tests.portal.cases import DROP_SECONDS, DROPPED, IPV4, balanced
from tests.portal.lab import CLIENT, NODE, Peer
from tests.portal.objects import PORT
from tests.portal.programming import IPTABLES, Lab

pytestmark = [
    needs.netns(),
    needs.program("nft", "iptables-nft", "iptables-legacy", "etcd"),
    pytest.mark.parametrize("shared_lab", list(IPTABLES), indirect=True),
]

NODE_PORT = 30090
ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/all/route_localnet"


@pytest.fixture
def closed(lab: Lab) -> Iterator[Lab]:
    """The lab as on a fresh machine, before and after."""
    lab.net.node.ask("write", path=ROUTE_LOCALNET, text="0")
    try:
        yield lab
    finally:
        lab.net.node.ask("write", path=ROUTE_LOCALNET, text="0")
        if not lab.programmer.running:
            lab.restart()


def localhost(lab: Lab) -> dict[str, Any]:
    """The settings with node ports at 127.0.0.1."""
    return lab.settings | {"localhost_node_ports": True}


@contextmanager
def loopback_routed_away(neighbour: Peer) -> Iterator[None]:
    """In ``neighbour``, 127.0.0.1 is the node's."""
    space = neighbour.namespace
    neighbour.ask("write", path="/proc/sys/net/ipv4/conf/eth0/route_localnet", text="1")
    space.configure_all(
        f"route add 127.0.0.1/32 via {NODE} dev eth0 table 100",
        "rule add pref 10 lookup local",
        "rule add pref 5 to 127.0.0.1 iif lo lookup 100",
        "rule del pref 0",
    )
    try:
        yield
    finally:
        space.configure_all("rule add pref 0 lookup local", "rule del pref 10", "rule del pref 5")
        space.configure("route", "flush", "table", "100")


def assert_closed(lab: Lab) -> None:
    """What listens on the node cannot be reached at 127.0.0.1 from its neighbour."""
    with loopback_routed_away(lab.net.client):
        for port in (PORT, NODE_PORT):
            result = lab.net.client.connect("127.0.0.1", port, timeout=DROP_SECONDS, source=CLIENT)
            assert result.errors == DROPPED, port


def test_the_attack_of_these_tests_works_on_an_open_node(closed: Lab) -> None:
    closed.net.node.ask("write", path=ROUTE_LOCALNET, text="1")
    with loopback_routed_away(closed.net.client):
        assert closed.net.client.connect("127.0.0.1", PORT, source=CLIENT).names == {"node": 1}


def test_with_localhost_node_ports_the_loopback_stays_closed_to_others(closed: Lab) -> None:
    closed.programmer.end()
    closed.programmer.start(localhost(closed))
    closed.store.put(*balanced(IPV4, "b1", node_port=NODE_PORT))
    assert_closed(closed)


def test_the_loopback_is_closed_before_anything_is_programmed(closed: Lab) -> None:
    closed.programmer.end()
    assert closed.programmer.run("--cleanup").returncode == 0
    closed.store.etcd.pause()
    try:
        closed.programmer.start(localhost(closed), wait=False)
        closed.programmer.wait_for("programming with")
        assert_closed(closed)
    finally:
        closed.store.etcd.resume()
    closed.programmer.wait_for("ready:")


@pytest.mark.parametrize("how", ["restarted without them", "cleaned up"])
def test_the_loopback_is_closed_once_localhost_node_ports_are_no_more(closed: Lab, how: str) -> None:
    closed.programmer.end()
    closed.programmer.start(localhost(closed))
    closed.programmer.end()
    if how == "cleaned up":
        assert closed.programmer.run("--cleanup").returncode == 0
    else:
        closed.programmer.start(closed.settings)
    assert_closed(closed)


def test_a_dry_run_changes_no_kernel_setting(closed: Lab) -> None:
    closed.programmer.end()
    closed.programmer.configure(localhost(closed))
    assert closed.programmer.run("--dry-run").returncode == 0
    assert closed.on_node("cat", ROUTE_LOCALNET) == "0\n"
