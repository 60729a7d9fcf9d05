"""Which address a Service gets: classes, namespaces, pools, wishes, sharing, keeping, and every refusal."""

from ipaddress import ip_address

import pytest

from skydns_py.balancer.choose import NoAddress, NoPool, NotOurs, Pools, owner_of
from skydns_py.balancer.store import Reservation
from skydns_py.cluster.objects import Exposure, Service, ServicePort, Wishes
from skydns_py.settings import PoolSettings
from tests.builders import all_packed, packed

POOLS = (
    PoolSettings("web", ("192.0.2.10-192.0.2.12",)),
    PoolSettings("six", ("2001:db8::/126",)),
    PoolSettings("mine", ("192.0.2.20",), namespaces=("special",)),
    PoolSettings("classy", ("192.0.2.30",), classes=("gold",)),
)


class Known:
    """Pools, and the Services that have something from them."""

    def __init__(self, *pools: PoolSettings) -> None:
        self.services: dict[str, Service] = {}
        self.reservation: dict[bytes, Reservation] = {}
        self.pools = Pools(pools or POOLS, self.services.get)

    def give(self, service: Service) -> str:
        """What it gets, which is reserved for it; with spaces between."""
        owner = owner_of(service)
        self.services[owner] = service
        for address in self.pools.choose(service):
            before = self.reservation.get(address, Reservation(()))
            after = tuple(dict.fromkeys([*before.services, owner]))
            self.reservation[address] = Reservation(after, service.exposure.wishes.sharing_key)
            self.pools.note(address, self.reservation[address])
        return " ".join(_text(each) for each in self.pools.choose(service))

    def free(self, address: str) -> None:
        del self.reservation[packed(address)]
        self.pools.note(packed(address), None)


def _text(address: bytes) -> str:
    return str(ip_address(address))


def service(
    name: str = "a",
    portals: str = "10.0.0.1",
    *,
    ns: str = "my-ns",
    port: int = 80,
    wanted: str = "",
    shown: str = "",
    local: bool = False,
    **wishes: str,
) -> Service:
    exposure = Exposure(
        wants_balancer=True,
        external_local=local,
        balancer_addresses=all_packed(shown),
        wishes=Wishes(addresses=all_packed(wanted), **wishes),
    )
    ports = (ServicePort("", "TCP", port),)
    return Service(ns, name, ports, all_packed(portals), selector=(("app", name),), exposure=exposure)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (service(), "192.0.2.10"),
        (service(portals="fd00::1"), "2001:db8::"),
        (service(portals="10.0.0.1 fd00::1"), "192.0.2.10 2001:db8::"),
        (service(portals="fd00::1 10.0.0.1"), "2001:db8:: 192.0.2.10"),
        (service(portals=""), "192.0.2.10"),
        (service(ns="special"), "192.0.2.20"),
        (service(ns="special", pool="web"), "192.0.2.10"),
        (service(balancer_class="gold"), "192.0.2.30"),
        (service(wanted="192.0.2.12"), "192.0.2.12"),
        (service(wanted="192.0.2.12 2001:db8::2"), "192.0.2.12 2001:db8::2"),
        (service(shown="192.0.2.11"), "192.0.2.11"),
        (service(shown="203.0.113.1"), "192.0.2.10"),
    ],
)
def test_a_service_gets(asked: Service, expected: str) -> None:
    assert Known().give(asked) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (service(wanted="192.0.2.99"), "192.0.2.99 is asked for and in no pool for it"),
        (service(wanted="192.0.2.20"), "192.0.2.20 is asked for and in no pool for it"),
        (service(pool="mine"), "no pool is for namespace my-ns; see balancer.pools[].namespaces"),
        (
            service(pool="none"),
            "there is no pool none for it; see the annotation skydns/address-pool",
        ),
        (
            service(portals="fd00::1", balancer_class="gold"),
            "no pool for it has IPv6 addresses, as its portal IP",
        ),
    ],
)
def test_a_service_is_refused(asked: Service, expected: str) -> None:
    with pytest.raises(NoAddress) as refused:
        Known().give(asked)
    assert str(refused.value) == expected


def test_another_class_is_another_balancers() -> None:
    with pytest.raises(NotOurs):
        Known().give(service(balancer_class="silver"))
    with pytest.raises(NoPool, match="no pool for Services without a class"):
        Known(PoolSettings("classy", ("192.0.2.30",), classes=("gold",))).give(service())


def test_a_pool_runs_out_and_says_how_many_it_had() -> None:
    known = Known()
    found = [known.give(service(f"web-{number}")) for number in range(3)]
    assert found == ["192.0.2.10", "192.0.2.11", "192.0.2.12"]
    with pytest.raises(NoAddress, match="none of the 3 IPv4 addresses of its pools is free"):
        known.give(service("late"))
    known.free("192.0.2.11")
    assert known.give(service("late")) == "192.0.2.11"
    assert known.pools.usage()["web"] == (3, 3)


def test_what_a_service_has_it_keeps_even_where_no_pool_contains_it_any_more() -> None:
    known = Known()
    known.pools.note(packed("203.0.113.7"), Reservation(("my-ns/a",)))
    assert _text(known.pools.choose(service())[0]) == "203.0.113.7"
    known.pools.note(packed("203.0.113.7"), None)
    known.pools.note(packed("192.0.2.20"), Reservation(("my-ns/a",)))  # of a pool for others
    assert _text(known.pools.choose(service())[0]) == "192.0.2.10"


def test_an_address_is_shared_by_one_key_and_different_ports() -> None:
    known = Known()
    first = known.give(service("a", port=80, sharing_key="k"))
    assert known.give(service("b", port=81, sharing_key="k")) == first
    assert known.give(service("c", port=80, sharing_key="k")) != first
    assert known.give(service("d", port=82, sharing_key="other")) != first


def test_the_local_policy_shares_only_between_the_same_pods() -> None:
    known = Known()
    first = known.give(service("a", port=80, sharing_key="k", local=True))
    assert known.give(service("b", port=81, sharing_key="k")) != first
    known.services["my-ns/a"] = service("a", port=80, sharing_key="k", local=True)
    assert known.give(service("c", port=82, sharing_key="k", local=True)) != first


def test_a_shared_address_that_is_asked_for_is_refused_where_a_port_is_taken() -> None:
    known = Known()
    known.give(service("a", wanted="192.0.2.12", sharing_key="k"))
    assert known.give(service("b", wanted="192.0.2.12", port=81, sharing_key="k")) == "192.0.2.12"
    with pytest.raises(NoAddress) as refused:
        known.give(service("c", wanted="192.0.2.12", port=81, sharing_key="k"))
    expected = "192.0.2.12 is asked for and belongs to service/my-ns/a, service/my-ns/b"
    assert str(refused.value) == expected
