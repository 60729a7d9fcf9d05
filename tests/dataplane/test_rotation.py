"""Rotation spreads clients over the addresses of a name, evenly, whatever else is asked in between."""

from collections import Counter

import pytest

from tests.builders import Served, endpoints, headless
from tests.dataplane import samples, wire

ROUNDS = 5


def first_address(served: Served, packet: bytes) -> bytes:
    raw = served.feed.answer(packet)
    assert raw is not None
    return wire.read(raw).rdatas[0]


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_each_address_comes_first_equally_often(count: int) -> None:
    served = Served(headless(), endpoints(hosts=samples.addresses(count, 8)))
    packet = wire.query(samples.SERVICE)
    firsts = Counter(first_address(served, packet) for _ in range(count * ROUNDS))
    assert len(firsts) == count
    assert set(firsts.values()) == {ROUNDS}


@pytest.mark.parametrize("count", [2, 4])
def test_a_client_that_asks_for_a_and_aaaa_in_turn_gets_every_address_first_of_both(count: int) -> None:
    hosts = f"{samples.addresses(count, 8)} {samples.addresses(count, 8, v6=True)}"
    served = Served(headless(), endpoints(hosts=hosts))
    firsts: Counter[bytes] = Counter()
    for _ in range(count * ROUNDS):
        for rdtype in (wire.A, wire.AAAA):
            firsts[first_address(served, wire.query(samples.SERVICE, rdtype))] += 1
    assert len(firsts) == 2 * count
    assert set(firsts.values()) == {ROUNDS}


def test_rotation_keeps_the_cycle_and_loses_no_address() -> None:
    served = Served(headless(), endpoints(hosts=samples.addresses(5, 8)))
    packet = wire.query(samples.SERVICE)
    replies = [served.feed.answer(packet) for _ in range(5)]
    assert len(set(replies)) == 5
    assert len({wire.canonical(reply) for reply in replies}) == 1


def test_slow_path_lets_every_address_come_first_too() -> None:
    served = Served(headless(), endpoints(hosts=samples.addresses(4, 8)))
    packet = wire.query(samples.SERVICE)
    firsts: Counter[bytes] = Counter()
    for _ in range(4 * ROUNDS):
        raw = served.feed.responder.respond(packet, bytes(4), stream=True)
        assert raw is not None
        firsts[wire.read(raw).rdatas[0]] += 1
    assert len(firsts) == 4


def test_a_truncated_answer_shows_every_address_in_its_turn() -> None:
    served = Served(headless(), endpoints(hosts=samples.addresses(samples.WIDE, 8)))
    packet = wire.query(samples.SERVICE)
    seen: set[bytes] = set()
    for _ in range(samples.WIDE):
        raw = served.feed.responder.respond(packet, bytes(4), stream=False)
        assert raw is not None
        assert wire.read(raw).truncated
        seen.update(wire.read(raw).rdatas)
    assert len(seen) == samples.WIDE
