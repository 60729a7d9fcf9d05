"""All Services at once: who gets what, and who keeps it."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from skydns_py.balancer.allocation.assign import Assigned, assign
from skydns_py.balancer.allocation.ledger import Exhausted, Ledger
from skydns_py.balancer.allocation.pool import AddressPool, Pool, hosts
from skydns_py.balancer.allocation.service import PLAIN, Item, Wish, granted, with_grant
from skydns_py.cluster.objects import Service, ServicePort

NODE_PORTS = Wish(node_ports=True)
NAMES = [f"s{number}" for number in range(12)]


def service(name: str, address: str = "", node_port: int = 0) -> Service:
    ports = (ServicePort("http", "TCP", 80, 0, node_port),)
    return Service("ns", name, ports, (ip_address(address).packed,) if address else ())


def run(
    services: list[Service], before: list[Service] | None = None, net: str = "10.0.0.0/28", wish: Wish = PLAIN
) -> Assigned:
    ledger = Ledger(AddressPool([hosts(ip_network(net))]), Pool([(30000, 30011)]))
    return assign(
        ((each, wish) for each in services), ledger, {f"ns/{each.name}": each for each in before or []}
    )


def as_given(services: list[Service], found: Assigned) -> list[Service]:
    return [with_grant(each, found.grants[f"ns/{each.name}"]) for each in services]


PRESENT = st.lists(st.sampled_from(NAMES), unique=True)
NAMED = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 14).map(lambda last: f"10.0.0.{last}")),
    max_size=3,
    unique_by=(lambda pair: pair[0], lambda pair: pair[1]),
).map(dict)


@given(PRESENT, NAMED, st.randoms())
def test_everybody_has_something_of_its_own_and_the_order_of_files_does_not_matter(
    names: list[str], named: dict[str, str], shuffle: st.DataObject
) -> None:
    services = [service(name, named.get(name, "")) for name in names]
    found = run(services, wish=NODE_PORTS)
    assert found.refused == {}
    chosen: list[Item] = []
    for each in services:
        has = found.grants[f"ns/{each.name}"]
        assert len(has.addresses) == 1
        assert all(has.node_ports)
        chosen += has.items - granted(each).items
    named_items = {item for each in services for item in granted(each).items}
    assert len(set(chosen)) == len(chosen)
    assert not named_items & set(chosen)
    again = list(services)
    shuffle.shuffle(again)
    assert run(again, wish=NODE_PORTS).grants == found.grants


@given(st.lists(st.tuples(PRESENT, NAMED), min_size=2, max_size=6))
def test_with_what_was_given_before_nobody_moves_unless_its_address_is_named_by_another(
    steps: list[tuple[list[str], dict[str, str]]],
) -> None:
    before: list[Service] = []
    for names, named in steps:
        services = [service(name, named.get(name, "")) for name in names]
        taken = {item for each in services for item in granted(each).items}
        now = as_given(services, run(services, before, wish=NODE_PORTS))
        old = {each.name: each for each in before}
        for each in now:
            if each.name in old and each.name not in named and old[each.name].addresses[0] not in taken:
                assert each.addresses == old[each.name].addresses
                assert each.ports == old[each.name].ports
        assert len({each.addresses for each in now}) == len({each.ports for each in now}) == len(now)
        before = now


def test_what_was_given_from_another_net_is_given_up() -> None:
    (moved,) = as_given(
        [service("a")], run([service("a")], [service("a", "192.0.2.1", 20000)], wish=NODE_PORTS)
    )
    assert ip_address(moved.addresses[0]) in ip_network("10.0.0.0/28")
    assert moved.ports[0].node_port >= 30000


def test_those_that_find_nothing_are_named_and_the_others_have_theirs() -> None:
    found = run([service(name) for name in NAMES], net="10.0.0.0/29")
    assert len(found.refused) == len(NAMES) - 6
    assert all(isinstance(error, Exhausted) for error in found.refused.values())
    assert all(
        bool(found.grants[f"ns/{name}"].addresses) == (f"ns/{name}" not in found.refused) for name in NAMES
    )


def test_a_family_that_the_pool_lacks_is_refused_and_costs_nobody_else_anything() -> None:
    found = assign(
        [(service("a"), Wish(families=(16,))), (service("b"), PLAIN)],
        Ledger(AddressPool([hosts(ip_network("10.0.0.0/28"))]), Pool([])),
        {},
    )
    assert str(found.refused["ns/a"]) == "spec.ipFamilies: asks for IPv6, which portal_net lacks"
    assert len(found.grants["ns/b"].addresses) == 1


def test_a_service_with_everything_is_the_same_object_afterwards() -> None:
    full = service("a", "10.0.0.3", 30003)
    assert as_given([full], run([full]))[0] is full
