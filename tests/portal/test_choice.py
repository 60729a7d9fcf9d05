"""Which endpoints a connection may be sent to, and what a Service's portals are."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from skydns_py import special
from skydns_py.cluster.objects import Endpoint, EndpointPort, Exposure, Hints, Service, ServicePort, Subset
from skydns_py.cluster.state import ServiceView
from skydns_py.portal.plan.model import Host, Portal
from skydns_py.portal.plan.portals import portals, unusable
from tests.builders import all_packed, packed
from tests.builders import service as make

HERE, ELSEWHERE = "node-a", "node-b"
HOST = Host(node=HERE, zone="zone-1")
READY: dict[str, Any] = {}
NOT_READY: dict[str, Any] = {"ready": False, "serving": False}
LEAVING: dict[str, Any] = {"ready": False, "serving": True, "terminating": True}
GONE: dict[str, Any] = {"ready": False, "serving": False, "terminating": True}


def endpoint(last: int, node: str = ELSEWHERE, hints: Hints | None = None, **state: Any) -> Endpoint:
    return Endpoint(packed(f"10.1.0.{last}"), node=node, hints=hints, **state)


def view(service: Service, *endpoints: Endpoint, port: str = "", protocol: str = "TCP") -> ServiceView:
    return ServiceView(service, (Subset(endpoints, (EndpointPort(port, protocol, 8080),)),))


def local(**policies: Any) -> Service:
    return make(portals="10.0.0.1", ports=":80", exposure=Exposure(**policies))


def last_octets(found: ServiceView, host: Host = HOST) -> tuple[list[int], list[int]]:
    """Of the only portal: the last octets of its targets anywhere, and of those on this node."""
    (portal,) = portals(found, host)
    cluster, here = ([target.address[-1] for target in each] for each in (portal.cluster, portal.local))
    return cluster, here


SERVICE = make(portals="10.0.0.1", ports=":80")
STATES = {
    "ready ones": ([endpoint(1), endpoint(2)], [1, 2]),
    "no unready one": ([endpoint(1), endpoint(2, **NOT_READY)], [1]),
    "no leaving one beside a ready one": ([endpoint(1), endpoint(2, **LEAVING)], [1]),
    "leaving ones that serve, alone": ([endpoint(1, **LEAVING), endpoint(2, **GONE)], [1]),
    "leaving ones rather than unready ones": ([endpoint(1, **LEAVING), endpoint(2, **NOT_READY)], [1]),
    "none": ([endpoint(1, **NOT_READY)], []),
    "each once": ([endpoint(1), endpoint(1)], [1]),
}


@pytest.mark.parametrize(("endpoints", "expected"), STATES.values(), ids=STATES)
def test_targets_are(endpoints: list[Endpoint], expected: list[int]) -> None:
    assert last_octets(view(SERVICE, *endpoints))[0] == expected


def test_a_service_that_publishes_unready_addresses_sends_to_them() -> None:
    publishing = replace(SERVICE, publish_not_ready=True)
    assert last_octets(view(publishing, endpoint(1, **NOT_READY), endpoint(2)))[0] == [1, 2]


def test_local_targets_are_chosen_among_those_of_this_node_alone() -> None:
    found = view(
        local(internal_local=True), endpoint(1), endpoint(2, HERE, **LEAVING), endpoint(3, HERE, **GONE)
    )
    assert last_octets(found) == ([1], [2])


def test_without_a_policy_that_asks_there_are_no_local_targets() -> None:
    assert last_octets(view(SERVICE, endpoint(1, HERE))) == ([1], [])


def near(found: ServiceView, host: Host = HOST) -> list[int]:
    (portal,) = portals(found, host)
    return [address[-1] for address in portal.near]


def test_near_are_the_targets_on_this_node_or_on_one_that_is_not_known() -> None:
    found = view(SERVICE, endpoint(1), endpoint(2, HERE), endpoint(3, ""), endpoint(4, HERE, **NOT_READY))
    assert near(found) == [2, 3]
    assert near(found, Host()) == [1, 2, 3]


def test_near_are_all_targets_where_a_distant_pods_address_may_be_kept() -> None:
    assert near(view(local(external_local=True), endpoint(1), endpoint(2, HERE))) == [1, 2]
    assert near(view(local(internal_local=True), endpoint(1), endpoint(2, HERE))) == [2]


def zones(*names: str) -> Hints:
    return Hints(zones=names)


HINTS = {
    "its zone": ([endpoint(1, hints=zones("zone-1")), endpoint(2, hints=zones("zone-2"))], [1]),
    "all, if one has no hint": ([endpoint(1, hints=zones("zone-1")), endpoint(2)], [1, 2]),
    "all, if none is for it": (
        [endpoint(1, hints=zones("zone-2")), endpoint(2, hints=zones("zone-3"))],
        [1, 2],
    ),
    "its node before its zone": (
        [endpoint(1, hints=Hints(("zone-1",), (ELSEWHERE,))), endpoint(2, hints=Hints(("zone-1",), (HERE,)))],
        [2],
    ),
    "its zone, whatever an unready one lacks": (
        [endpoint(1, hints=zones("zone-1")), endpoint(2, hints=zones("zone-2")), endpoint(3, **NOT_READY)],
        [1],
    ),
}


@pytest.mark.parametrize(("endpoints", "expected"), HINTS.values(), ids=HINTS)
def test_hints_leave(endpoints: list[Endpoint], expected: list[int]) -> None:
    assert last_octets(view(SERVICE, *endpoints))[0] == expected


def test_ports_belong_together_by_name_and_protocol() -> None:
    both = make(portals="10.0.0.1", ports="web:80 dns:53/UDP")
    web, dns = portals(view(both, endpoint(1), port="dns", protocol="UDP"), HOST)
    assert (len(web.cluster), len(dns.cluster)) == (0, 1)


def test_the_only_port_written_by_hand_without_a_name_is_the_services_only_port() -> None:
    named = make(portals="10.0.0.1", ports="web:80")
    assert last_octets(view(named, endpoint(1)))[0] == [1]
    two = make(portals="10.0.0.1", ports="web:80 more:81")
    assert [each.cluster for each in portals(view(two, endpoint(1)), HOST)] == [(), ()]


def test_each_family_has_a_portal_of_its_own() -> None:
    dual = make(portals="10.0.0.1 fd00::1", ports=":80")
    found = ServiceView(
        dual,
        (
            Subset((endpoint(1),), (EndpointPort("", "TCP", 8080),)),
            Subset((Endpoint(packed("fd01::1")),), (EndpointPort("", "TCP", 8080),)),
        ),
    )
    four, six = portals(found, HOST)
    assert (four.family, four.inside, [t.address for t in four.cluster]) == (
        4,
        all_packed("10.0.0.1"),
        list(all_packed("10.1.0.1")),
    )
    assert (six.family, six.inside, [t.address for t in six.cluster]) == (
        6,
        all_packed("fd00::1"),
        list(all_packed("fd01::1")),
    )


@pytest.mark.parametrize(
    "service",
    [
        make(ports=":80", headless=True),
        make(ports=":80", external_name="example.org"),
        make(portals="10.0.0.1"),
        make(ports=":80"),
    ],
    ids=["headless", "ExternalName", "without ports", "without any address"],
)
def test_no_portal_for_a_service_that_is(service: Service) -> None:
    assert portals(view(service, endpoint(1)), HOST) == ()


def test_an_address_that_is_named_twice_is_one_front_and_keeps_the_stricter_meaning() -> None:
    exposure = Exposure(
        addresses=all_packed("192.0.2.1 192.0.2.2 10.0.0.1"), balancer_addresses=all_packed("192.0.2.1")
    )
    (portal,) = portals(view(make(portals="10.0.0.1", ports=":80", exposure=exposure), endpoint(1)), HOST)
    assert (portal.inside, portal.balancer, portal.public) == (
        all_packed("10.0.0.1"),
        all_packed("192.0.2.1"),
        all_packed("192.0.2.2"),
    )


def test_of_two_ports_alike_the_first_counts() -> None:
    doubled = replace(SERVICE, ports=(ServicePort("a", "TCP", 80), ServicePort("b", "TCP", 80)))
    assert [each.port_name for each in portals(view(doubled, endpoint(1), port="a"), HOST)] == ["a"]


def ranged(*texts: str) -> Portal:
    exposure = Exposure(balancer_addresses=all_packed("192.0.2.1"), source_ranges=texts)
    return portals(view(make(portals="10.0.0.1", ports=":80", exposure=exposure)), HOST)[0]


def test_source_ranges_are_those_of_the_family() -> None:
    assert ranged("198.51.100.0/24", "2001:db8::/32").source_ranges == (ip_network("198.51.100.0/24"),)


def test_a_range_that_covers_the_family_is_no_limit() -> None:
    assert ranged("198.51.100.0/24", "0.0.0.0/0").source_ranges == ()


def test_ranges_of_the_other_family_alone_let_nobody_in() -> None:
    assert ranged("2001:db8::/32").source_ranges == (ip_network("0.0.0.0/32"),)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "224.0.0.5", "255.255.255.255", "169.254.1.1"])
def test_an_address_that_is_nobodys_alone_is_no_front(address: str) -> None:
    exposure = Exposure(all_packed(f"{address} 192.0.2.2"), all_packed(address))
    (portal,) = portals(view(make(portals=f"{address} 10.0.0.1", ports=":80", exposure=exposure)), HOST)
    assert (portal.inside, portal.public, portal.balancer) == (
        all_packed("10.0.0.1"),
        all_packed("192.0.2.2"),
        (),
    )


@pytest.mark.parametrize("address", ["::", "::1", "ff02::1", "fe80::1"])
def test_the_same_of_ipv6(address: str) -> None:
    (portal,) = portals(view(make(portals=f"{address} fd00::1", ports=":80")), HOST)
    assert portal.inside == all_packed("fd00::1")


@pytest.mark.parametrize("network", special.SPECIAL, ids=str)
def test_what_is_no_front_is_what_apply_and_the_settings_refuse(network: special.Network) -> None:
    ends = {int(network[0]) - 1, int(network[0]), int(network[-1]), int(network[-1]) + 1}
    inside = range(1 << network.max_prefixlen if network.version == 4 else 1 << 128)
    for each in (type(network[0])(number) for number in ends if number in inside):
        assert unusable(each.packed) == bool(special.kind_of(each)), each


def test_class_e_is_routed_by_linux_and_so_may_be_a_front() -> None:
    (portal,) = portals(view(make(portals="240.0.0.1", ports=":80")), HOST)
    assert portal.inside == all_packed("240.0.0.1")


def test_a_portal_ip_that_is_the_nodes_own_is_left_to_the_node_unless_dns_there_is_untracked() -> None:
    service = view(make(portals="192.0.2.7 10.0.0.1", ports=":80"))
    own = Host(own=all_packed("192.0.2.7"))
    assert portals(service, own)[0].inside == all_packed("10.0.0.1")
    untracked = replace(own, untracked=all_packed("192.0.2.7"))
    assert portals(service, untracked)[0].inside == all_packed("192.0.2.7 10.0.0.1")


def test_a_public_address_may_be_the_nodes_own() -> None:
    own = Host(own=all_packed("192.0.2.7"))
    service = make(portals="10.0.0.1", ports=":80", exposure=Exposure(all_packed("192.0.2.7")))
    assert portals(view(service), own)[0].public == all_packed("192.0.2.7")
