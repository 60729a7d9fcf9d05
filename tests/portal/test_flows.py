"""Stale UDP flows are forgotten, with real packets through a node in a network namespace.

Client, node and backends are three namespaces on routed links; the backends' namespace holds one address
and one socket for each backend, and swallows everything else.  The kernel tracks connections only while some
rule needs it, so the node has one that stays when the test removes its own.
"""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.errors import SkydnsError
from skydns_py.portal import flows, netlink
from skydns_py.portal.stale import Fronts
from tests import needs
from tests.portal import spaces
from tests.portal.udp_world import IPV4, IPV6, Plan, World, address, inject, link

packets = [needs.netns(), needs.program("ip", "nft")]


@pytest.fixture(params=[IPV4, IPV6], ids=["ipv4", "ipv6"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    plan: Plan = request.param
    made = World(plan, spaces.make("client"), spaces.make("node"), spaces.make("back"))
    try:
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            spaces.run("sysctl", "-qw", f"{key}=1", space=made.node)
        link(plan, made.node, made.client, "c0", plan.node, plan.client)
        link(plan, made.node, made.back, "b0", plan.inner, *plan.backends)
        spaces.run("ip", "-n", made.node, "route", "add", "default", "via", plan.backends[0])
        domain = socket.AF_INET6 if plan.family == 6 else socket.AF_INET
        watched = "chain w {\ntype filter hook forward priority 0;\nct state established accept\n}"
        ip = "ip6" if plan.family == 6 else "ip"
        spaces.run("nft", "-f", "-", space=made.node, stdin=f"table {ip} tracking {{\n{watched}\n}}\n")
        for number, (name, port) in enumerate([("b1", 5353), ("b2", 5353), ("b2-node", 30053)]):
            with spaces.inside(made.back):
                server = made.sockets[name] = socket.socket(domain, socket.SOCK_DGRAM)
            server.bind((plan.backends[min(number, 1)], port))
        yield made
    finally:
        made.close()


def marked(function: Any) -> Any:
    for mark in packets:
        function = mark(function)
    return function


@marked
def test_a_flow_moves_when_its_target_is_gone(world: World) -> None:
    world.rules(world.portal_rule(0))
    client = world.open(world.plan.portal, 53)
    assert world.ask(client) == "b1"
    world.rules(world.portal_rule(1))
    assert world.ask(client) == "b1"  # connection tracking still leads there
    assert world.flush(world.fronts(world.plan.target(1))) == 1
    assert world.ask(client) == "b2"


@marked
def test_a_flow_ends_when_its_service_has_no_targets_or_is_gone(world: World) -> None:
    world.rules(world.portal_rule(0))
    client = world.open(world.plan.portal, 53)
    assert world.ask(client) == "b1"
    world.rules()
    assert world.ask(client) == "b1"
    assert world.flush(world.fronts()) == 1
    assert world.lost(client)


@marked
def test_a_flow_that_began_before_the_portal_was_programmed_is_translated_afterwards(world: World) -> None:
    world.rules()
    client = world.open(world.plan.portal, 53)
    assert world.lost(client)
    world.rules(world.portal_rule(0))
    assert world.lost(client)
    assert world.flush(world.fronts(world.plan.target(0))) == 1
    assert world.ask(client) == "b1"


@marked
def test_a_flow_to_a_target_that_stays_is_kept(world: World) -> None:
    world.rules(world.portal_rule(0))
    client = world.open(world.plan.portal, 53)
    assert world.ask(client) == "b1"
    world.rules(world.portal_rule(1))
    assert world.flush(world.fronts(world.plan.target(0), world.plan.target(1))) == 0
    assert world.ask(client) == "b1"


@marked
def test_the_same_address_with_another_port_is_not_the_target(world: World) -> None:
    world.rules(world.portal_rule(0))
    assert world.ask(world.open(world.plan.portal, 53)) == "b1"
    assert world.flush(world.fronts(world.plan.target(0, 5354))) == 1


@marked
def test_a_front_that_is_given_twice_keeps_the_targets_of_both(world: World) -> None:
    world.rules(world.portal_rule(0))
    assert world.ask(world.open(world.plan.portal, 53)) == "b1"
    assert world.flush(world.fronts(), world.fronts(world.plan.target(0))) == 0
    assert world.flush(world.fronts(world.plan.target(0)), world.fronts()) == 0


@marked
def test_a_node_port_moves(world: World) -> None:
    world.rules(world.node_rule(0))
    clients = [world.open(where, 30053) for where in (world.plan.node, world.plan.inner)]
    assert [world.ask(client) for client in clients] == ["b1", "b1"]
    world.rules(world.node_rule(1))
    assert world.flush(world.fronts(world.plan.target(1), node_port=30053)) == 2
    assert [world.ask(client) for client in clients] == ["b2", "b2"]


@marked
def test_a_node_port_flow_that_began_before_it_was_programmed_is_translated_afterwards(world: World) -> None:
    world.rules()
    client = world.open(world.plan.node, 30053)
    assert world.lost(client)
    world.rules(world.node_rule(0))
    assert world.flush(world.fronts(world.plan.target(0), node_port=30053)) == 1
    assert world.ask(client) == "b1"


@marked
def test_a_node_port_does_not_touch_the_same_port_of_other_hosts(world: World) -> None:
    ip = "ip6" if world.plan.family == 6 else "ip"
    to = world.plan.at(world.plan.backends[0], 5353)
    world.rules(f"{ip} daddr {world.plan.other} udp dport 30053 -> {to}")
    forwarded, translated = world.open(world.plan.backends[1], 30053), world.open(world.plan.other, 30053)
    assert (world.ask(forwarded), world.ask(translated)) == ("b2-node", "b1")
    assert world.flush(world.fronts(node_port=30053)) == 0


@marked
def test_only_flows_of_the_front_are_deleted(world: World) -> None:
    plan = world.plan
    ip = "ip6" if plan.family == 6 else "ip"
    to = plan.at(plan.backends[0], 5353)
    others = [f"{plan.other} udp dport 53 -> {to}", f"{plan.portal} tcp dport 53 -> {to}"]
    ours = world.portal_rule(0), world.portal_rule(0, port=54)
    world.rules(*ours, *(f"{ip} daddr {other}" for other in others))
    domain = socket.AF_INET6 if plan.family == 6 else socket.AF_INET
    with spaces.inside(world.back):
        listener = socket.create_server((plan.backends[0], 5353), family=domain)
    world.opened.append(listener)
    world.open(plan.portal, 53, socket.SOCK_STREAM)
    for where, port in [(plan.portal, 53), (plan.portal, 54), (plan.other, 53), (plan.backends[0], 5353)]:
        assert world.ask(world.open(where, port)) == "b1"
    before = world.entries()
    assert len(before) == 5
    assert world.flush(world.fronts()) == 1
    assert before - world.entries() == {(socket.IPPROTO_UDP, plan.portal, 53)}
    assert world.flush(world.fronts(protocol="TCP")) == 0


@marked
def test_a_flow_in_another_zone_is_deleted_too(world: World) -> None:
    world.rules(world.portal_rule(0))
    ip = "ip6" if world.plan.family == 6 else "ip"
    zone = "chain z {\ntype filter hook prerouting priority raw;\nct zone set 7\n}"
    spaces.run("nft", "-f", "-", space=world.node, stdin=f"table {ip} zones {{\n{zone}\n}}\n")
    assert world.ask(world.open(world.plan.portal, 53)) == "b1"
    assert world.flush(world.fronts()) == 1
    assert world.entries() == set()


@marked
def test_several_fronts_of_both_families_and_protocols_are_flushed_in_one_call(world: World) -> None:
    world.rules(world.portal_rule(0), world.portal_rule(0, port=54))
    for port in (53, 54):
        assert world.ask(world.open(world.plan.portal, port)) == "b1"
    inject(world, [(world.plan.portal, 7000 + number, 53, socket.IPPROTO_SCTP) for number in range(3)])
    absent = Fronts(10 - world.plan.family, "UDP", frozenset(), 53, 30053, frozenset())
    stale = [world.fronts(), world.fronts(port=54), world.fronts(protocol="SCTP"), absent]
    assert world.flush(*stale) == 5
    assert world.entries() == set()


@marked
def test_among_thousands_of_flows_exactly_the_stale_ones_go(world: World) -> None:
    stale = [(world.plan.portal, 1024 + number, 53, socket.IPPROTO_UDP) for number in range(300)]
    other = [(world.plan.other, 1024 + number, 53, socket.IPPROTO_UDP) for number in range(3000)]
    inject(world, other + stale)
    assert world.flush(world.fronts()) == 300
    assert world.entries() == {(socket.IPPROTO_UDP, world.plan.other, 53)}
    with spaces.inside(world.node):
        assert len(counted(world, world.plan.other)) == 3000


@marked
def test_a_flow_that_vanishes_meanwhile_is_no_error(world: World) -> None:
    inject(world, [(world.plan.portal, 1024, 53, socket.IPPROTO_UDP)])
    with spaces.inside(world.node), netlink.Netlink(netlink.NETFILTER, "tracking") as kernel:
        bodies = counted(world, world.plan.portal)
        assert flows._delete(kernel, world.plan.family, bodies) == 1
        assert flows._delete(kernel, world.plan.family, bodies) == 0


@marked
def test_an_entry_is_read_alike_in_one_step_and_attribute_by_attribute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(world, [(world.plan.portal, 1024, 53, socket.IPPROTO_UDP)])
    family = world.plan.family
    wanted = flows._wanted([world.fronts()], family)
    with spaces.inside(world.node), netlink.Netlink(netlink.NETFILTER, "tracking") as kernel:
        at_once = [entry for entry, _ in flows._listed(kernel, family, wanted)]
        monkeypatch.setitem(flows._USUAL, family, (flows._USUAL[family][0], ()))
        walked = [entry for entry, _ in flows._listed(kernel, family, wanted)]
        monkeypatch.undo()
        monkeypatch.setattr(flows, "_entry", None)  # so that nothing but the one step can read it
        assert [entry for entry, _ in flows._listed(kernel, family, wanted)] == at_once == walked
    destination = address(world.plan.portal)
    assert at_once == [(socket.IPPROTO_UDP, destination, 53, (destination, 53))]


def counted(world: World, where: str) -> list[bytes]:
    """What names the entries to an address, as listed in the present namespace."""
    fronts = Fronts(world.plan.family, "UDP", frozenset([address(where)]), 53, 0, frozenset())
    with netlink.Netlink(netlink.NETFILTER, "tracking") as kernel:
        wanted = flows._wanted([fronts], world.plan.family)
        return [flows._name(*place) for _, place in flows._listed(kernel, world.plan.family, wanted)]


@needs.root()
def test_a_missing_permission_is_one_line_and_nothing_stale_needs_none() -> None:
    code = (
        "import os\n"
        "from skydns_py.portal.flows import Fronts, flush\n"
        "from skydns_py.errors import SkydnsError\n"
        "os.setgroups([]); os.setuid(65534)\n"
        "print(flush([]), flush([Fronts(4, 'TCP', frozenset([bytes(4)]), 53, 0, frozenset())]))\n"
        "try: flush([Fronts(4, 'UDP', frozenset([bytes(4)]), 53, 0, frozenset())])\n"
        "except SkydnsError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "0 0\nconnection tracking: not permitted; run as root, or with CAP_NET_ADMIN\n"


@given(st.binary(max_size=64))
def test_a_walk_over_any_octets_stays_inside_and_misses_none(data: bytes) -> None:
    for walk in (netlink.messages, lambda octets: netlink.attributes(octets, 0, len(octets))):
        reached = 0
        try:
            for *_, start, end in walk(data):  # type: ignore[operator]  # two generators of unlike tuples
                assert reached < start <= end <= len(data)
                reached = end
        except SkydnsError:
            continue
        assert len(data) - reached < 4  # padding at most


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=20)), max_size=6))
def test_attributes_are_read_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in pairs)
    found = [(kind, data[start:end]) for kind, start, end in netlink.attributes(data, 0, len(data))]
    assert found == pairs


def test_a_length_beyond_its_message_is_an_error_and_no_shorter_walk() -> None:
    with pytest.raises(SkydnsError, match="an attribute of 40 octets in 8"):
        list(netlink.attributes(struct.pack("=HHI", 40, 1, 0), 0, 8))
    with pytest.raises(SkydnsError, match="a message of 15 octets in 16"):
        list(netlink.messages(struct.pack("=IHHII", 15, 0, 0, 0, 0)))
