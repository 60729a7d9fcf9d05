"""Pools of numbers and addresses, held against sets."""

from ipaddress import ip_address, ip_network
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skydns_py.balancer.allocation.pool import V4, V6, AddressPool, Pool, Range, hosts, parse_range

NUMBERS = st.integers(0, 60)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5)


class PoolModel(RuleBasedStateMachine):
    """A pool does what a sorted list and a set of what is taken would do."""

    @initialize(ranges=RANGES)
    def start(self, ranges: list[tuple[int, int]]) -> None:
        self.pool = Pool(ranges)
        self.all = sorted({number for first, last in ranges for number in range(first, last + 1)})
        self.taken: set[int] = set()

    @rule(number=NUMBERS)
    def take(self, number: int) -> None:
        assert self.pool.take(number) == (number in self.all and number not in self.taken)
        self.taken |= {number} & set(self.all)

    @rule(number=NUMBERS)
    def release(self, number: int) -> None:
        assert self.pool.release(number) == (number in self.taken)
        self.taken.discard(number)

    @rule(start=st.integers(0, 200))
    def find(self, start: int) -> None:
        at = start % len(self.all) if self.all else 0
        free = [number for number in self.all[at:] + self.all[:at] if number not in self.taken]
        assert self.pool.free_from(start) == (free[0] if free else None)

    @rule(name=st.text(max_size=5))
    def find_by_name(self, name: str) -> None:
        found = self.pool.hashed(name)
        assert found == self.pool.hashed(name)
        assert (found is None) == (len(self.taken) == len(self.all))
        assert found is None or (found in self.all and found not in self.taken)

    @invariant()
    def counts_agree(self) -> None:
        assert (self.pool.size, self.pool.taken) == (len(self.all), len(self.taken))
        assert self.pool.lowest() == next((each for each in self.all if each not in self.taken), None)
        for number in range(62):
            assert (number in self.pool) == (number in self.all)
            assert self.pool.is_taken(number) == (number in self.taken)


TestPoolModel = PoolModel.TestCase


def test_ten_thousand_more_cost_no_more_than_the_first() -> None:
    """In a pool as large as an IPv6 network."""
    pool = Pool([(0, 2**64 - 1)])

    def take(start: int) -> float:
        began = perf_counter()
        for number in range(start, start + 10_000):
            found = pool.hashed(f"ns/{number}")
            assert found is not None
            assert pool.take(found)
        return perf_counter() - began

    first, second = take(0), take(10_000)
    assert second < 5 * first + 0.1
    assert pool.taken == 20_000


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.0/30", "192.0.2.0", "192.0.2.3"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.250 - 192.0.3.5", "192.0.2.250", "192.0.3.5"),
        ("fd00::/126", "fd00::", "fd00::3"),
        ("fd00::9-fd00::a", "fd00::9", "fd00::a"),
    ],
)
def test_a_range_is_a_network_an_address_or_two_ends(text: str, first: str, last: str) -> None:
    low, high = ip_address(first), ip_address(last)
    assert parse_range(text) == Range(low.max_prefixlen // 8, int(low), int(high))


@pytest.mark.parametrize(
    "text", ["", "web", "192.0.2.1/24", "192.0.2.9-192.0.2.1", "192.0.2.1-fd00::1", "-", "1-2", "192.0.2.1-"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address, network or range|must go from a lower to a higher"):
        parse_range(text)


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [("10.0.0.0/24", "10.0.0.1", "10.0.0.254"), ("fd00::/120", "fd00::1", "fd00::ff")],
)
def test_the_first_address_is_never_given_nor_the_broadcast(network: str, first: str, last: str) -> None:
    found = hosts(ip_network(network))
    assert (found.first, found.last) == (int(ip_address(first)), int(ip_address(last)))


def test_the_families_of_a_pool_are_apart() -> None:
    pool = AddressPool([parse_range("fd00::5"), parse_range("10.0.0.5-10.0.0.6")])
    assert pool.families == (V6, V4)
    assert (pool.size(V4), pool.size(V6)) == (2, 1)
    six = ip_address("fd00::5").packed
    assert pool.lowest(V6) == six
    assert pool.take(six)
    assert pool.is_taken(six)
    assert pool.lowest(V6) is None
    assert pool.hashed(V6, "a") is None
    assert pool.free_from(V4, 1) == ip_address("10.0.0.6").packed
    assert ip_address("10.0.0.7").packed not in pool
    assert pool.release(six)
    assert pool.lowest(V6) == six


@given(st.sets(st.text(min_size=1, max_size=8), max_size=30))
def test_names_that_take_one_each_take_different_ones(names: set[str]) -> None:
    pool = AddressPool([hosts(ip_network("10.0.0.0/27"))])
    found = []
    for name in names:
        address = pool.hashed(V4, name)
        assert address is not None
        assert pool.take(address)
        found.append(address)
    assert len(set(found)) == len(names)
