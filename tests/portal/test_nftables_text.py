"""What the nftables backend prints, and when."""

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest

from skydns_py.portal.nftables.backend import NftablesBackend
from skydns_py.portal.plan.model import Host, Portal, Target

from .nft_state import Tables, run
from .nft_trace import trace
from .outcome import DROPPED, REFUSED, UNTOUCHED, Outcome, Packet
from .test_nftables_trace import listing, settle, sync

ONE, TWO = Target(b"\x0a\x01\x00\x01", 8080), Target(b"\x0a\x01\x00\x02", 8080)
FRONT, PUBLIC, OWN, CLIENT = (
    b"\x0a\x60\x00\x01",
    b"\xc0\x00\x02\x01",
    b"\xc0\xa8\x01\x01",
    b"\xcb\x00\x71\x07",
)
WEB = Portal("shop", "web", "http", 4, "TCP", 80, inside=(FRONT,), cluster=(ONE, TWO))
KEY = ("shop", "web")


def started(*portals: Portal, host: Host | None = None) -> tuple[NftablesBackend, Tables]:
    backend = NftablesBackend(host or Host())
    backend.adopt(("", ""))
    backend.want(KEY, portals)
    return backend, sync(backend, {})


def pending(backend: NftablesBackend) -> list[str]:
    return [line for command in backend.pending() for line in command.stdin.splitlines()]


def test_a_changed_endpoint_is_one_element_out_and_one_in() -> None:
    backend, _ = started(WEB)
    backend.want(KEY, [replace(WEB, cluster=(ONE, replace(TWO, port=9090)))])
    assert pending(backend) == [
        "delete element ip skydns tcp_endpoints { 10.96.0.1 . 80 . 1 }",
        "add element ip skydns tcp_endpoints { 10.96.0.1 . 80 . 1 : 10.1.0.2 . 9090 }",
    ]


def test_another_service_of_a_known_shape_is_nothing_but_elements() -> None:
    backend, _ = started(WEB)
    backend.want(("shop", "cart"), [replace(WEB, service="cart", inside=(b"\x0a\x60\x00\x02",))])
    assert pending(backend) == [
        "add element ip skydns services "
        '{ 10.96.0.2 . tcp . 80 comment "shop/cart:http" : goto inside-tcp-2 }',
        "add element ip skydns tcp_endpoints "
        "{ 10.96.0.2 . 80 . 0 : 10.1.0.1 . 8080, 10.96.0.2 . 80 . 1 : 10.1.0.2 . 8080 }",
        "add element ip skydns portals { 10.96.0.2 }",
    ]


def test_nothing_new_is_no_transaction() -> None:
    backend, _ = started(WEB)
    backend.want(KEY, [WEB])
    assert backend.pending() == ()


def test_nothing_at_all_makes_no_table() -> None:
    assert started()[1] == {}


def test_only_the_families_with_portals_have_a_table_and_the_last_portal_takes_it_along() -> None:
    backend, tables = started(WEB)
    assert tables.keys() == {"ip"}
    backend.want(KEY, [])
    assert settle(backend, tables) == {}


def test_a_shape_that_nobody_has_any_more_is_emptied_and_then_deleted() -> None:
    other = replace(WEB, inside=(b"\x0a\x60\x00\x02",), cluster=(ONE,))
    backend, tables = started(WEB, other)
    backend.want(KEY, [WEB])
    tables = sync(backend, tables)
    assert tables["ip"].rules["inside-tcp-1"] == []
    assert backend.untidy
    tables = sync(backend, tables)
    assert "inside-tcp-1" not in tables["ip"].rules
    assert not backend.untidy


def test_a_stale_shape_that_is_wanted_again_in_time_is_filled_again() -> None:
    other = replace(WEB, inside=(b"\x0a\x60\x00\x02",), cluster=(ONE,))
    backend, tables = started(WEB, other)
    whole = tables
    backend.want(KEY, [WEB])
    tables = sync(backend, tables)
    backend.want(KEY, [WEB, other])
    assert not any(line.startswith("delete chain") for line in pending(backend))
    assert sync(backend, tables) == whole


def test_what_was_under_way_when_a_transaction_failed_is_not_forgotten() -> None:
    backend, tables = started(WEB)
    backend.want(("shop", "cart"), [replace(WEB, service="cart", inside=(b"\x0a\x60\x00\x02",))])
    backend.pending()
    backend.adopt(listing(tables))
    tables = settle(backend, tables)
    assert tables["ip"].elements["portals"].keys() == {"10.96.0.1", "10.96.0.2"}


def test_the_third_complete_transaction_after_two_failures_starts_from_an_empty_table() -> None:
    backend, tables = started(WEB)
    for expected in (False, False, True):
        backend.adopt(listing(tables))
        assert ("delete table ip skydns" in pending(backend)) == expected
    backend.committed()
    backend.adopt(listing(tables))
    assert "delete table ip skydns" not in pending(backend)


def test_a_pending_that_is_only_looked_at_changes_nothing() -> None:
    backend, _ = started()
    backend.want(KEY, [WEB])
    assert backend.pending() == backend.pending()


def test_a_comment_is_never_longer_than_127_bytes() -> None:
    backend, tables = started(replace(WEB, namespace="n" * 63, service="s" * 63, port_name="é" * 15))
    assert tables["ip"].elements["services"]  # the state refuses longer ones
    backend.want(KEY, [replace(WEB, namespace='a"b', service="c\nd")])
    assert any('comment "a?b/c?d:http"' in line for line in pending(backend))


@pytest.mark.parametrize("port_name", ["http-metrics", "x" * 63, ""])
def test_a_shortened_comment_keeps_the_ports_name_and_tells_services_apart(port_name: str) -> None:
    backend, _ = started()
    long = replace(WEB, namespace="n" * 63, service="s" * 63, port_name=port_name)
    backend.want(KEY, [long, replace(long, service="s" * 62 + "t", inside=(OWN,))])
    comments = {found[1] for line in pending(backend) for found in re.finditer('comment "([^"]+)"', line)}
    shown = {each for each in comments if each.startswith("nnn")}
    assert len(shown) == (2 if port_name else 1 + 1)
    assert all("/sss" in each and len(each) == 127 for each in shown)
    assert all(each.endswith(f":{port_name}") for each in shown if port_name)


def test_a_target_that_is_itself_a_refused_front_is_reached_through_another() -> None:
    """Rule 5: only what was not translated is refused."""
    refused = replace(WEB, inside=(), balancer=(OWN,), cluster=())
    host = Host(own=(OWN,))
    _, tables = started(replace(WEB, cluster=(Target(OWN, 80),)), replace(refused, service="b"), host=host)
    assert trace(tables, host, Packet(CLIENT, OWN, "TCP", 80)) == REFUSED
    sent = trace(tables, host, Packet(CLIENT, FRONT, "TCP", 80))
    assert sent == Outcome("sent", frozenset({Target(OWN, 80)}))


def test_only_near_targets_and_those_outside_the_clusters_networks_have_elements_of_their_own() -> None:
    near = replace(WEB, near=(ONE.address,))
    host = Host(cluster_cidr=(ip_network("10.1.0.2/32"),))
    _, tables = started(near, host=host)
    assert tables["ip"].elements["hairpin"].keys() == {"10.1.0.1 . 10.1.0.1"}
    assert tables["ip"].elements["targets_elsewhere"].keys() == {"10.1.0.1"}
    _, tables = started(near)
    assert tables["ip"].elements["targets_elsewhere"].keys() == {"10.1.0.1", "10.1.0.2"}


def test_ranges_drop_outsiders_and_leave_the_other_fronts_alone() -> None:
    ranges = (ip_network("198.51.100.0/24"),)
    portal = replace(WEB, balancer=(PUBLIC,), source_ranges=ranges)
    _, tables = started(portal)
    assert trace(tables, Host(), Packet(CLIENT, PUBLIC, "TCP", 80)) == DROPPED
    assert trace(tables, Host(), Packet(b"\xc6\x33\x64\x01", PUBLIC, "TCP", 80)).kind == "sent"
    assert trace(tables, Host(), Packet(CLIENT, FRONT, "TCP", 80)).kind == "sent"


def test_dns_to_an_untracked_portal_ip_is_left_alone_and_its_other_ports_are_not() -> None:
    dns = replace(WEB, protocol="UDP", port=53)
    host = Host(untracked=(FRONT,))
    _, tables = started(dns, WEB, host=host)
    assert trace(tables, host, Packet(CLIENT, FRONT, "UDP", 53)) == UNTOUCHED
    assert trace(tables, host, Packet(CLIENT, FRONT, "TCP", 80)).kind == "sent"
    assert trace(tables, host, Packet(CLIENT, FRONT, "TCP", 81)) == REFUSED
    assert not tables["ip"].elements["udp_endpoints"]


def test_cleanup_deletes_the_tables_that_stand() -> None:
    backend, tables = started(WEB)
    (command,) = backend.cleanup(listing(tables))
    assert run(tables, command.stdin) == {}
    assert backend.cleanup(("", "")) == ()
