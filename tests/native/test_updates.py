"""Changes while the threads serve: none is felt by a client, and nothing replaced is kept."""

import gc
import itertools
from pathlib import Path
from typing import Any

import pytest

from skydns_py.zone.rrset import RRset
from tests.dataplane import wire
from tests.native.built import needed, plane
from tests.native.served import SOA, ZONE, Asker, name_of, node_of, serving, table_of

pytestmark = needed

FULL = 100_000
WITHIN = 4 << 20
"""Octets that memory may grow by over many replacements: what the heap's own pools take."""


def resident() -> int:
    """Octets of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def where(table: Any, name: bytes) -> list[int]:
    """Where in memory the records of a name lie."""
    views = plane.ffi.new("struct view[]", 255)
    found = plane.lib.plane_find(table._plane, name, len(name), views)
    return [int(plane.ffi.cast("uintptr_t", view.records)) for view in views[0:found]]


def test_full_replacement_of_100_000_services_never_misses_an_answer() -> None:
    table = table_of(FULL)
    with serving(table) as (port,), Asker(port, FULL) as asker:
        for generation, number in itertools.product((1, 2), range(FULL)):
            table.replace(name_of(number), node_of(number, generation))
        replaced = asker.asked
    assert replaced > 0
    assert (asker.lost, asker.wrong) == (0, 0)
    assert table.counters()["misses"] == 0
    assert table.waiting() == 0


def test_names_that_come_and_go_by_the_thousands_disturb_no_other() -> None:
    table = table_of(1000)
    with serving(table) as (port,), Asker(port, 1000) as asker:
        for generation in range(5):
            for number in range(1000, 20_000):
                table.replace(name_of(number), node_of(number, generation))
            for number in range(1000, 20_000):
                table.remove(name_of(number))
    assert asker.asked > 0
    assert (asker.lost, asker.wrong) == (0, 0)
    assert len(table) == 1001


def test_a_relist_that_changes_nothing_touches_nothing() -> None:
    table = table_of(1000)
    before = [where(table, name_of(number)) for number in range(1000)]
    for number in range(1000):
        table.replace(name_of(number), node_of(number))
    table.replace_zone(ZONE, RRset(5, (SOA,)))
    table.remove(wire.encode("nothing.cluster.local"))
    assert [where(table, name_of(number)) for number in range(1000)] == before
    assert table.waiting() == 0


def test_a_change_is_seen_by_the_next_query() -> None:
    table = table_of(10)
    for generation in range(1, 200):
        table.replace(name_of(1), node_of(1, generation))
        reply = table.answer(wire.query(name_of(1)))
        assert wire.read(reply).rdatas[0][-1] == generation % 256
    table.remove(name_of(1))
    assert wire.read(table.answer(wire.query(name_of(1)))).rcode == wire.NXDOMAIN


def churn(rounds: int, names: int) -> int:
    """Octets that ``rounds`` replacements of a whole table add to the process, after some to warm it up."""
    table = table_of(names)
    before = 0
    with serving(table) as (_,):
        for generation in range(rounds):
            if generation == rounds // 4:
                gc.collect()
                before = resident()
            for number in range(names):
                table.replace(name_of(number), node_of(number, generation))
            if generation % 3 == 0:
                for number in range(0, names, 2):
                    table.remove(name_of(number))
    gc.collect()
    return resident() - before


def test_memory_stays_flat_while_a_table_is_replaced_over_and_over() -> None:
    assert churn(60, 2000) < WITHIN


@pytest.mark.nightly
def test_memory_stays_flat_while_a_table_is_replaced_ten_thousand_times() -> None:
    assert churn(10_000, 2000) < WITHIN


def test_clients_search_paths_and_zones_replaced_over_and_over_leave_nothing_behind() -> None:
    table = table_of(10)
    before = 0
    for turn in range(400):
        if turn == 100:
            before = resident()
        table.set_search_path(ZONE, {}, {f"tld-{turn}-{i}".encode() for i in range(100)})
        table.replace_zone(ZONE, RRset(turn + 1, (SOA,)))
        for host in range(100):
            table.set_client(bytes((10, 0, 0, host)), f"ns-{turn}")
        for host in range(100):
            table.remove_client(bytes((10, 0, 0, host)))
    assert resident() - before < WITHIN
    assert table.waiting() == 0


def test_a_name_of_a_large_cluster_takes_a_hundred_octets_at_the_most() -> None:
    """100 000 Services have nine names each: 90 MB of what they may take."""
    table = table_of(0)
    names = [wire.encode(f"_http._tcp.svc-{i}.ns-{i % 100}.svc.cluster.local") for i in range(300_000)]
    gc.collect()
    before = resident()
    for name in names:
        table.replace(name, None)
    assert (resident() - before) / len(names) < 100


def query_of(number: int) -> bytes:
    return wire.query(f"svc-{number}.ns-{number % 100}.svc.cluster.local", wire.A)


def test_a_name_that_is_only_listed_exists_and_goes_the_slow_path_until_it_has_answers() -> None:
    table = table_of(10)
    listed = [name_of(number) for number in range(10, 5000)]
    table.defer(listed)
    assert len(table) == 5001
    assert all(table.answer(query_of(number)) is None for number in (10, 1234, 4999))
    table.replace(name_of(1234), node_of(1234))
    assert table.answer(query_of(1234)) is not None
    table.defer([name_of(1234), name_of(3)])
    assert table.answer(query_of(1234)) is table.answer(query_of(3)) is None
    for name in listed[::2]:
        table.remove(name)
    assert len(table) == 5001 - len(listed[::2])
    assert table.answer(query_of(10))[3] & 15 == 3
    assert table.answer(query_of(11)) is None


def test_names_listed_take_no_memory_of_their_own() -> None:
    """Their slots alone: entries would be 25 MB more.  The heap may keep those before the last doubling."""
    table = table_of(0)
    names = [name_of(number) for number in range(400_000)]
    before = resident()
    for at in range(0, len(names), 1000):
        table.defer(names[at : at + 1000])
    assert resident() - before < 24 * len(names) + 2 * WITHIN
