"""Portal addresses and node ports that ``skydns apply`` gives, against a real etcd."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from tests.cli.allocating import assert_exact, document, join, reserved, specs, stored
from tests.cli.conftest import NET, Apply, Registry, Run

BOTH = "10.96.0.0/24,fd00:96::/108"


def spec(registry: Registry, name: str = "web") -> Any:
    return specs(registry)[f"my-ns/{name}"]


# Who gets what


def test_a_service_without_an_address_gets_one_of_the_net_and_keeps_it(
    apply: Apply, registry: Registry
) -> None:
    assert apply(document("web")).out == ["service/my-ns/web created"]
    address = spec(registry)["clusterIP"]
    assert ip_address(address) in ip_network(NET)
    assert reserved(registry) == {f"portal/{address}": "my-ns/web"}
    before = registry.revision()
    assert apply(document("web")).out == ["service/my-ns/web unchanged"]
    assert registry.revision() == before
    assert apply(document("web", selector={"a": "b"})).out == ["service/my-ns/web configured"]
    assert spec(registry)["clusterIP"] == address
    assert_exact(registry)


def test_the_net_may_come_from_the_configuration(
    skydns: Run, registry: Registry, manifest: Callable[[str, str], str]
) -> None:
    etcd = {"endpoints": [registry.url], "portal_net": NET, "node_ports": "31000-31000"}
    path = manifest("c.yaml", yaml.safe_dump({"source": {"etcd": etcd}}))
    done = skydns("apply", "-f", "-", "-c", path, stdin=document("web", type="NodePort"))
    assert (done.code, done.err) == (0, [])
    assert spec(registry)["ports"][0]["nodePort"] == 31000


def test_without_a_net_nothing_is_given(apply: Apply, registry: Registry) -> None:
    assert apply(document("web", type="NodePort"), net="").out == ["service/my-ns/web created"]
    assert "clusterIP" not in spec(registry)
    assert reserved(registry) == {}


def test_a_service_written_before_there_was_a_net_gets_its_address_at_the_next_apply(
    apply: Apply, registry: Registry
) -> None:
    apply(document("web"), net="")
    assert apply(document("web")).out == ["service/my-ns/web configured"]
    assert_exact(registry)
    assert len(reserved(registry)) == 1


@pytest.mark.parametrize(
    "no_portal", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "db.example"}]
)
def test_headless_and_external_ones_get_none_and_becoming_one_releases_it(
    apply: Apply, registry: Registry, no_portal: dict[str, str]
) -> None:
    apply(document("web"))
    assert len(reserved(registry)) == 1
    assert apply(document("web", **no_portal)).out == ["service/my-ns/web configured"]
    assert reserved(registry) == {}
    assert spec(registry).get("clusterIP", "None") == "None"


@pytest.mark.parametrize(
    ("more", "families"),
    [
        ({}, [4]),
        ({"ipFamilies": ["IPv6"]}, [6]),
        ({"ipFamilies": ["IPv6", "IPv4"]}, [6, 4]),
        ({"ipFamilyPolicy": "SingleStack"}, [4]),
        ({"ipFamilyPolicy": "PreferDualStack"}, [4, 6]),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, [6, 4]),
        ({"ipFamilyPolicy": "RequireDualStack", "clusterIP": "fd00:96::9"}, [6, 4]),
        ({"clusterIP": "fd00:96::9"}, [6]),
    ],
)
def test_families_are_those_that_the_service_asks_for(
    apply: Apply, registry: Registry, more: dict[str, Any], families: list[int]
) -> None:
    assert apply(document("web", **more), net=BOTH).err == []
    found = spec(registry)
    texts = found.get("clusterIPs", [found["clusterIP"]])
    assert [ip_address(each).version for each in texts] == families
    assert found["clusterIP"] == texts[0]
    assert_exact(registry)
    assert apply(document("web", **more), net=BOTH).out == ["service/my-ns/web unchanged"]


def test_a_second_family_is_added_to_the_first_and_taken_away_again(apply: Apply, registry: Registry) -> None:
    apply(document("web"), net=BOTH)
    first = spec(registry)["clusterIP"]
    apply(document("web", ipFamilyPolicy="PreferDualStack"), net=BOTH)
    assert spec(registry)["clusterIPs"][0] == first
    assert len(reserved(registry)) == 2
    apply(document("web"), net=BOTH)
    assert reserved(registry) == {f"portal/{first}": "my-ns/web"}


def test_v1beta1_gets_an_address_and_is_stored_as_v1(apply: Apply, registry: Registry) -> None:
    head = "apiVersion: v1beta1, kind: Service, id: web, namespace: my-ns"
    old = f"{{{head}, port: 80, createExternalLoadBalancer: true}}"
    assert apply(old).out == ["service/my-ns/web created"]
    assert spec(registry)["ports"][0]["nodePort"] in range(30000, 32768)
    assert_exact(registry)
    assert len(reserved(registry)) == 2


# Node ports


def test_node_ports_are_given_kept_by_name_and_released(apply: Apply, registry: Registry) -> None:
    a, b = {"name": "a", "port": 80}, {"name": "b", "port": 81}
    apply(document("web", type="NodePort", ports=[a, b]))
    first, second = (port["nodePort"] for port in spec(registry)["ports"])
    assert first != second
    apply(document("web", type="NodePort", ports=[b, {"name": "c", "port": 82}]))
    kept, new = (port["nodePort"] for port in spec(registry)["ports"])
    assert (kept, new not in (second,)) == (second, True)
    assert_exact(registry)
    apply(document("web", ports=[b]))
    assert [key for key in reserved(registry) if key.startswith("nodeport/")] == []


def test_the_same_port_in_two_protocols_shares_a_node_port(apply: Apply, registry: Registry) -> None:
    ports = [{"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}]
    apply(document("dns", type="NodePort", ports=ports))
    first, second = (port["nodePort"] for port in spec(registry, "dns")["ports"])
    assert first == second
    assert_exact(registry)


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({"type": "LoadBalancer"}, 1),
        ({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}, 0),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, 2),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, 1),
        ({"type": "ClusterIP"}, 0),
    ],
)
def test_which_services_get_node_ports(
    apply: Apply, registry: Registry, more: dict[str, Any], count: int
) -> None:
    apply(document("web", **more))
    assert len([key for key in reserved(registry) if key.startswith("nodeport/")]) == count
    assert ("healthCheckNodePort" in spec(registry)) == (count == 2)
    assert_exact(registry)


# What is named


def test_an_address_that_is_named_is_reserved_inside_the_net_and_outside(
    apply: Apply, registry: Registry
) -> None:
    apply(join(document("in", clusterIP="10.96.0.7"), document("out", clusterIP="192.0.2.7")))
    assert reserved(registry) == {"portal/10.96.0.7": "my-ns/in", "portal/192.0.2.7": "my-ns/out"}


def test_naming_another_address_releases_the_first(apply: Apply, registry: Registry) -> None:
    apply(document("web"))
    apply(document("web", clusterIP="10.96.0.7"))
    assert reserved(registry) == {"portal/10.96.0.7": "my-ns/web"}


@pytest.mark.parametrize("reserve", [True, False])
def test_what_another_service_has_is_refused_before_anything_is_written(
    apply: Apply, registry: Registry, reserve: bool
) -> None:
    if reserve:
        apply(document("other", clusterIP="10.96.0.7"))
    else:
        stored(registry, "my-ns/other", clusterIP="10.96.0.7")
    before = registry.revision()
    done = apply(join(document("first"), document("web", clusterIP="10.96.0.7")))
    assert (done.code, done.out) == (1, [])
    assert done.err == [
        "skydns: standard input document 2: 10.96.0.7 belongs to service/my-ns/other; "
        "name another, or none to be given one"
    ]
    assert registry.revision() == before


def test_two_documents_that_name_the_same_are_refused(apply: Apply, registry: Registry) -> None:
    ports = [{"port": 80, "nodePort": 30007}]
    done = apply(join(*(document(name, type="NodePort", ports=ports) for name in "ab")))
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert "node port 30007 belongs to service/my-ns/a" in done.err[0]
    assert registry.held() == []


def test_an_address_may_move_between_services_of_one_apply(apply: Apply, registry: Registry) -> None:
    apply(join(document("a", clusterIP="10.96.0.7"), document("b", clusterIP="10.96.0.8")))
    done = apply(join(document("a", clusterIP="10.96.0.9"), document("b", clusterIP="10.96.0.7")))
    assert (done.code, done.err) == (0, [])
    assert spec(registry, "b")["clusterIP"] == "10.96.0.7"
    assert_exact(registry)


def test_what_is_named_later_in_a_run_is_not_given_to_an_earlier_service(
    apply: Apply, registry: Registry
) -> None:
    named = [document(f"n{last}", clusterIP=f"10.96.0.{last}") for last in (1, 2, 3, 4)]
    done = apply(join(document("first"), document("second"), *named), net="10.96.0.0/29")
    assert (done.code, done.err) == (0, [])
    assert_exact(registry)


@pytest.mark.parametrize(
    ("more", "net", "reason"),
    [
        ({"ipFamilies": ["IPv6"]}, NET, "spec.ipFamilies: asks for IPv6, which portal_net lacks"),
        ({"ipFamilyPolicy": "RequireDualStack"}, NET,
         "spec.ipFamilyPolicy: asks for IPv6, which portal_net lacks"),
        ({"ipFamilies": ["IPX"]}, NET, "spec.ipFamilies: must be a list of IPv4 and IPv6"),
        ({"ipFamilies": 4}, NET, "spec.ipFamilies: must be a list of IPv4 and IPv6"),
        ({"ipFamilyPolicy": "Dual"}, NET, "spec.ipFamilyPolicy: must be one of SingleStack, PreferDualStack, "
         "RequireDualStack"),
    ],
)  # fmt: skip
def test_families_that_cannot_be_had_are_refused(
    apply: Apply, registry: Registry, more: dict[str, Any], net: str, reason: str
) -> None:
    done = apply(join(document("fine"), document("web", **more)), net=net)
    assert (done.code, done.out, done.err) == (1, [], [f"skydns: standard input document 2: {reason}"])
    assert registry.held() == []


# Full, and free again


def test_a_net_is_given_to_its_last_address_and_then_refused_in_one_line(
    apply: Apply, registry: Registry
) -> None:
    done = apply(join(*(document(f"s{at}") for at in range(6))), net="10.96.0.0/29")
    assert (done.code, done.err) == (0, [])
    assert sorted(each["clusterIP"] for each in specs(registry).values()) == [
        f"10.96.0.{last}" for last in range(1, 7)
    ]
    full = apply(document("more"), net="10.96.0.0/29")
    assert (full.code, full.out) == (1, [])
    assert full.err == [
        "skydns: service/my-ns/more: portal_net: none of its 6 IPv4 addresses is free; widen it"
    ]


def test_cycles_of_apply_and_delete_do_not_use_up_the_net(
    skydns: Run, apply: Apply, registry: Registry
) -> None:
    for cycle in range(4):
        apply(join(*(document(f"c{cycle}s{at}", type="NodePort") for at in range(6))), net="10.96.0.0/29")
        assert len(reserved(registry)) == 12
        for at in range(6):
            done = skydns("delete", "svc", f"c{cycle}s{at}", "-n", "my-ns", "--etcd", registry.url)
            assert done.code == 0
        assert reserved(registry) == {}


def test_a_deleted_service_leaves_a_reservation_that_is_not_its_own(
    skydns: Run, apply: Apply, registry: Registry
) -> None:
    apply(document("other", clusterIP="10.96.0.7"))
    stored(registry, "my-ns/web", clusterIP="10.96.0.7")
    assert skydns("delete", "svc", "web", "-n", "my-ns", "--etcd", registry.url).code == 0
    assert reserved(registry) == {"portal/10.96.0.7": "my-ns/other"}


def test_an_address_given_up_stays_reserved_for_another_that_has_it(apply: Apply, registry: Registry) -> None:
    apply(document("other", clusterIP="10.96.0.7"))
    stored(registry, "my-ns/web", clusterIP="10.96.0.7")
    apply(document("web", clusterIP="10.96.0.8"))
    assert_exact(registry)
    assert reserved(registry)["portal/10.96.0.7"] == "my-ns/other"


def test_an_address_that_a_service_has_without_reservation_is_not_given(
    apply: Apply, registry: Registry
) -> None:
    for last in range(1, 6):
        stored(registry, f"my-ns/old{last}", clusterIP=f"10.96.0.{last}")
    assert apply(document("web"), net="10.96.0.0/29").err == []
    assert spec(registry)["clusterIP"] == "10.96.0.6"
