"""The serving threads: what they answer, what they pass on, and that they end."""

import itertools
import select
import socket
import time

import pytest

from skydns_py.answers.packed import Answer, record
from tests.dataplane import wire
from tests.native.built import needed
from tests.native.served import (
    Asker,
    ask,
    await_misses,
    client,
    name_of,
    node_of,
    serving,
    table_of,
)

pytestmark = needed

RING_PLACES = 1024
STOP_SECONDS = 1.0


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_replies_over_the_socket_are_those_of_answer() -> None:
    table = table_of(10)
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        for name, rdtype, edns in itertools.product(
            (name_of(3), wire.encode("nothing.cluster.local")),
            (wire.A, wire.AAAA),
            (b"", wire.opt(4096, wire.DO)),
        ):
            packet = wire.query(name, rdtype, edns=edns)
            assert ask(sock, packet) == table.answer(packet)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_thread_on_a_port_answers(threads: int) -> None:
    table = table_of(10)
    with serving(table, threads=threads) as (port,):
        for _ in range(20):
            with client("127.0.0.1", port) as sock:
                assert wire.read(ask(sock, wire.query(name_of(1)))).rcode == 0
        received = table.counters()["threads"]
        assert len(received) == threads
        assert sum(received) == 20
    assert table.counters()["received"] == 20


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.9", "127.1.2.3"])
def test_wildcard_socket_replies_from_the_address_that_was_asked(asked: str) -> None:
    table = table_of(10)
    with serving(table, "0.0.0.0") as (port,), client(asked, port) as sock:
        assert wire.read(ask(sock, wire.query(name_of(1)))).rcode == 0
        sock.send(wire.query("elsewhere.example"))
        (miss,) = await_misses(table)
        assert miss.local == socket.inet_aton(asked)
        table.send(b"from the slow path", miss)
        assert sock.recv(100) == b"from the slow path"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("host", ["::", "::1"])
def test_ipv6_is_served_and_its_misses_too(host: str) -> None:
    table = table_of(10)
    with serving(table, host) as (port,), client("::1", port) as sock:
        assert wire.read(ask(sock, wire.query(name_of(1)))).rcode == 0
        sock.send(wire.query("elsewhere.example"))
        (miss,) = await_misses(table)
        assert (miss.host_text, miss.port) == ("::1", sock.getsockname()[1])
        assert miss.local == (socket.inet_pton(socket.AF_INET6, "::1") if host == "::" else b"")
        table.send(b"from the slow path", miss)
        assert sock.recv(100) == b"from the slow path"


def test_a_miss_carries_the_packet_as_it_came_and_who_sent_it() -> None:
    table = table_of(10)
    packet = wire.query("elsewhere.example", edns=wire.opt(options=wire.option(10, b"12345678")))
    with serving(table, "127.0.0.1", "127.0.0.2") as (_, port), client("127.0.0.2", port) as sock:
        sock.send(packet)
        (miss,) = await_misses(table)
        assert (miss.packet, miss.socket) == (packet, 1)
        assert (miss.host_text, miss.port) == sock.getsockname()
        assert table.misses() == []
        table.send(b"reply", miss)
        assert sock.recv(100) == b"reply"


def test_everything_is_a_miss_until_the_table_is_ready() -> None:
    table = table_of(10)
    table.ready = False
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        sock.send(wire.query(name_of(1)))
        assert await_misses(table)[0].packet == wire.query(name_of(1))
        table.ready = True
        assert wire.read(ask(sock, wire.query(name_of(1)))).rcode == 0


def test_short_names_are_answered_by_the_address_they_come_from() -> None:
    table = table_of(10)
    table.set_search_path(wire.encode("cluster.local"), {}, ())
    table.set_client(socket.inet_aton("127.0.0.2"), "ns-7")
    with serving(table) as (port,), client("127.0.0.1", port, "127.0.0.2") as sock:
        reply = wire.read(ask(sock, wire.query("svc-7")))
        assert [each.rdtype for each in reply.answers] == [wire.CNAME, wire.A]
        assert reply.rdatas[1] == node_of(7)[wire.A].body[12:]
        assert table.counters()["outcomes"]["short answer"] == 1


def test_searches_go_on_by_the_address_they_come_from() -> None:
    table = table_of(10)
    table.set_search_path(wire.encode("cluster.local"), {}, ())
    table.set_client(socket.inet_aton("127.0.0.2"), "ns-3")
    packet = wire.query("svc-7.ns-7.ns-3.svc.cluster.local")
    with (
        serving(table) as (port,),
        client("127.0.0.1", port, "127.0.0.2") as pod,
        client("127.0.0.1", port, "127.0.0.3") as stranger,
    ):
        for _ in range(2):
            reply = wire.read(ask(pod, packet))
            assert [each.rdtype for each in reply.answers] == [wire.CNAME, wire.A]
            assert reply.rdatas == [name_of(7), node_of(7)[wire.A].body[12:]]
            assert wire.read(ask(stranger, packet)).rcode == wire.NXDOMAIN
        reply = wire.read(ask(pod, wire.query("svc-7.ns-7.ns-3.svc.cluster.local", wire.AAAA)))
        assert [each.rdtype for each in (*reply.answers, *reply.authorities)] == [wire.CNAME, wire.SOA]
        outcomes = {key: n for key, n in table.counters()["outcomes"].items() if n}
        assert outcomes == {"autopath answer": 2, "autopath nodata": 1, "nxdomain": 2}


def test_responses_and_fragments_get_silence_and_wake_nobody() -> None:
    table = table_of(10)
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        for packet in (b"", b"short", wire.query(name_of(1), flags=wire.QR)):
            sock.send(packet)
        assert wire.read(ask(sock, wire.query(name_of(1)))).rcode == 0
        assert table.counters()["silent"] == 3
        assert table.misses() == []


def test_the_newest_misses_win_their_place_from_the_oldest() -> None:
    table, sent = table_of(10), RING_PLACES + 100
    table.ready = False
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        for number in range(sent):
            sock.send(wire.query(name_of(1), ident=number))
            if number % 64 == 63:  # the socket's buffer must not be what drops
                wait_for(table, "received", number + 1)
        wait_for(table, "received", sent)
        wait_for(table, "overwritten", 100)
        assert table.counters()["ring_depth"] == RING_PLACES
        found = table.misses()
        assert [int.from_bytes(miss.packet[:2]) for miss in found] == list(range(100, sent))
        assert table.counters()["ring_depth"] == 0


def test_the_event_stays_raised_while_misses_are_left() -> None:
    table, sent = table_of(10), 10
    table.ready = False
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        for number in range(sent):
            sock.send(wire.query(name_of(1), ident=number))
        wait_for(table, "received", sent)
        found = []
        while select.select([table.fileno()], [], [], 0.2)[0]:
            batch = table.misses(3)
            assert len(batch) <= 3
            found += batch
        assert [int.from_bytes(miss.packet[:2]) for miss in found] == list(range(sent))


def wait_for(table: object, counter: str, value: int) -> None:
    """Until a counter has reached ``value``: the threads raise no event for it."""
    deadline = time.monotonic() + 5
    while table.counters()[counter] < value:  # type: ignore[attr-defined]  # a NativeTable
        assert time.monotonic() < deadline, f"{counter} did not reach {value}"
        select.select([], [], [], 0.001)


def test_counters_tell_outcomes_types_sizes_and_how_long_misses_took() -> None:
    table = table_of(10)
    many = b"".join(record(0xC00C, wire.A, 5, bytes((10, 0, i // 250, i % 250))) for i in range(200))
    table.replace(name_of(1), {wire.A: Answer(200, 0, many, 16)})
    asked = ((name_of(1), wire.A), (name_of(2), wire.A), (name_of(2), 64), (name_of(77), wire.AAAA))
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        for name, rdtype in asked:
            ask(sock, wire.query(name, rdtype))
        sock.send(wire.query("elsewhere.example", wire.TXT))
        table.send(bytes((0, 0, 0x80, 5)) + bytes(8), await_misses(table)[0])
        sock.recv(100)
        found = table.counters()
    assert {key: n for key, n in found["outcomes"].items() if n} == {
        "answer": 1, "nodata": 1, "nxdomain": 1, "truncated": 1
    }  # fmt: skip  # four lines for four words
    assert {key: n for key, n in found["types"].items() if n} == {"A": 2, "AAAA": 1, "TXT": 1, "other": 1}
    assert {key: n for key, n in found["rcodes"].items() if n} == {"0": 3, "3": 1, "5": 1}
    assert (found["received"], found["misses"], found["overwritten"]) == (5, 1, 0)
    assert sum(found["query_octets"].values()) == sum(found["reply_octets"].values()) == 5
    assert sum(found["miss_microseconds"].values()) == 1


def test_counters_outlive_the_threads_that_counted() -> None:
    table = table_of(10)
    for _ in range(2):
        with serving(table) as (port,), client("127.0.0.1", port) as sock:
            ask(sock, wire.query(name_of(1)))
    assert table.counters()["received"] == 2
    assert table.counters()["threads"] == []


def test_threads_stop_within_a_second_idle_and_under_load() -> None:
    table = table_of(10)
    for load in (False, True):
        with serving(table, threads=2) as (port,):
            asker = Asker(port, 10)
            if load:
                asker.__enter__()
                wait_for(table, "received", 1000)
            start = time.monotonic()
            table.stop()
            assert time.monotonic() - start < STOP_SECONDS
            asker._stop.set()


def test_a_reply_that_comes_after_the_threads_ended_goes_nowhere() -> None:
    table = table_of(10)
    with serving(table) as (port,), client("127.0.0.1", port) as sock:
        sock.send(wire.query("elsewhere.example"))
        (miss,) = await_misses(table)
    table.send(b"too late", miss)


def test_threads_that_cannot_start_say_why_and_leave_nothing_running() -> None:
    table = table_of(10)
    with pytest.raises(OSError, match="cannot serve"):
        table.start([-1], [False])
    assert table.counters()["threads"] == []
    with pytest.raises(ValueError, match="out of bounds"):
        table.start([0] * 65, [False] * 65)
