"""Numbers and addresses from ranges, of which some are taken.

1. A pool counts its numbers from 0, range after range; such a count is a position.  What is taken is kept
   as runs of positions, disjoint, ascending and never touching, so the position after a run is free or the
   end of the pool.  Finding, taking and releasing is a binary search and at most one insertion, however
   many are taken and however large the ranges are: some 10 µs each at 20 000, in an IPv6 /64 as well.
2. Two ways to choose: the lowest free one, and the first free one from a start that the caller gives.  A
   start that is a hash of the name (``hashed``) makes the choice repeatable, and lets writers who do not
   know of each other seldom meet.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from skydns_py.cluster.objects import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
V4, V6 = 4, 16
"""An address family by the octets of its addresses."""


class Pool:
    """Whole numbers from ranges (first, last), both included, which may overlap; none is taken at first."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._ranges = _merged(ranges)
        self._offsets: list[int] = []
        self.size = 0
        for first, last in self._ranges:
            self._offsets.append(self.size)
            self.size += last - first + 1
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.taken = 0

    def __contains__(self, number: int) -> bool:
        return self._position(number) is not None

    def is_taken(self, number: int) -> bool:
        """Whether it is in the pool, and taken."""
        at = self._position(number)
        if at is None:
            return False
        run = bisect_right(self._starts, at) - 1
        return run >= 0 and self._ends[run] > at

    def take(self, number: int) -> bool:
        """Whether it was in the pool and free; it is taken now."""
        at = self._position(number)
        if at is None:
            return False
        after = bisect_right(self._starts, at)
        if after and self._ends[after - 1] > at:
            return False
        joins_left = after > 0 and self._ends[after - 1] == at
        joins_right = after < len(self._starts) and self._starts[after] == at + 1
        start = self._starts[after - 1] if joins_left else at
        end = self._ends[after] if joins_right else at + 1
        self._replace(after - joins_left, after + joins_right, [(start, end)])
        self.taken += 1
        return True

    def release(self, number: int) -> bool:
        """Whether it was taken; it is free now."""
        at = self._position(number)
        if at is None or not self.is_taken(number):
            return False
        run = bisect_right(self._starts, at) - 1
        halves = [(self._starts[run], at), (at + 1, self._ends[run])]
        self._replace(run, run + 1, [(start, end) for start, end in halves if start < end])
        self.taken -= 1
        return True

    def lowest(self) -> int | None:
        """The lowest free number; None where all are taken."""
        return self.free_from(0)

    def hashed(self, name: str) -> int | None:
        """The first free number from a start that ``name`` gives, always the same for it."""
        start = int.from_bytes(blake2b(name.encode(), digest_size=24).digest())
        return self.free_from(start)

    def free_from(self, start: int) -> int | None:
        """The first free number from position ``start`` (modulo the size), round the end where need be."""
        if self.taken >= self.size:
            return None
        at = start % self.size
        run = bisect_right(self._starts, at) - 1
        if run >= 0 and self._ends[run] > at:
            at = self._ends[run]
        if at == self.size:
            at = self._ends[0] if self._starts[0] == 0 else 0
        return self._number(at)

    def _replace(self, first: int, last: int, runs: list[tuple[int, int]]) -> None:
        self._starts[first:last] = [start for start, _ in runs]
        self._ends[first:last] = [end for _, end in runs]

    def _position(self, number: int) -> int | None:
        index = bisect_right(self._ranges, (number, number)) - 1
        for near in (index, index + 1):  # (number, last) sorts after (number, number)
            if 0 <= near < len(self._ranges) and self._ranges[near][0] <= number <= self._ranges[near][1]:
                return self._offsets[near] + number - self._ranges[near][0]
        return None

    def _number(self, position: int) -> int:
        index = bisect_right(self._offsets, position) - 1
        return self._ranges[index][0] + position - self._offsets[index]


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, last in sorted(each for each in ranges if each[0] <= each[1]):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


class Range(NamedTuple):
    """Addresses of one family from ``first`` to ``last``, both included, as numbers."""

    octets: int
    first: int
    last: int


def parse_range(text: str) -> Range:
    """``192.0.2.0/24``, ``192.0.2.10-192.0.2.20`` or one address, in either family; ValueError otherwise."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if not dash:
            network = ipaddress.ip_network(first)
            return Range(network.max_prefixlen // 8, *_ends(network))
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        raise ValueError(f"{text!r} is no address, network or range, as 192.0.2.10-192.0.2.20") from None
    if low.version != high.version or int(low) > int(high):
        raise ValueError(f"{text!r} must go from a lower to a higher address of one family")
    return Range(low.max_prefixlen // 8, int(low), int(high))


def hosts(network: Network) -> Range:
    """The addresses that a host may have: without the first, and in IPv4 without the last (broadcast).

    The first is the network itself, or the routers' anycast address (RFC 4291 section 2.6.1).
    """
    first, last = _ends(network)
    octets = network.max_prefixlen // 8
    return Range(octets, first + 1, last - (octets == V4))


def _ends(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


class AddressPool:
    """Addresses of both families from ranges. Sizes and positions are those of one family's ``Pool``."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        given = list(ranges)
        self.families: tuple[int, ...] = tuple(dict.fromkeys(each.octets for each in given))
        self._pools: Mapping[int, Pool] = {
            octets: Pool((each.first, each.last) for each in given if each.octets == octets)
            for octets in (V4, V6)
        }

    def __contains__(self, address: Address) -> bool:
        return int.from_bytes(address) in self._pools[len(address)]

    def is_taken(self, address: Address) -> bool:
        """Whether it is in the pool, and taken."""
        return self._pools[len(address)].is_taken(int.from_bytes(address))

    def take(self, address: Address) -> bool:
        """Whether it was in the pool and free; it is taken now."""
        return self._pools[len(address)].take(int.from_bytes(address))

    def release(self, address: Address) -> bool:
        """Whether it was taken; it is free now."""
        return self._pools[len(address)].release(int.from_bytes(address))

    def size(self, octets: int) -> int:
        """How many addresses of that family there are, taken or not."""
        return self._pools[octets].size

    def lowest(self, octets: int) -> Address | None:
        """The lowest free address of a family; None where all are taken."""
        return _address(self._pools[octets].lowest(), octets)

    def hashed(self, octets: int, name: str) -> Address | None:
        """See ``Pool.hashed``."""
        return _address(self._pools[octets].hashed(name), octets)

    def free_from(self, octets: int, start: int) -> Address | None:
        """See ``Pool.free_from``; a random ``start`` picks at random."""
        return _address(self._pools[octets].free_from(start), octets)


def _address(number: int | None, octets: int) -> Address | None:
    return None if number is None else number.to_bytes(octets)
