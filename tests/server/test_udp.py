"""UDP sockets: who gets an answer, from where, and what cannot stop the next one."""

import logging

import dns.message
import dns.query
import pytest

from skydns_py.server.udp import BATCH
from tests.builders import STRANGER, Served, packed
from tests.dataplane import samples, wire
from tests.dataplane.strategies import EDNS_SIZE
from tests.server.listening import LOOPBACK, SECONDS, Listening

PLAIN = wire.query(samples.SERVICE)
SLOW = wire.query(f"inside.my-ns.svc.{samples.ZONE}")


@pytest.mark.parametrize("host", LOOPBACK)
def test_hot_and_slow_queries_are_answered_on_both_families(
    server: Listening, served: Served, host: str
) -> None:
    with server.udp(host) as client:
        for packet in (PLAIN, SLOW):
            expected = served.feed.responder.respond(packet, packed(STRANGER), stream=False)
            assert wire.canonical(client.ask(packet)) == wire.canonical(expected)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
def test_wildcard_socket_answers_from_the_ipv4_address_that_was_asked(served: Served, asked: str) -> None:
    with Listening(served.feed, ("0.0.0.0",)) as server, server.udp(asked) as client:
        assert wire.read(client.ask(PLAIN)).answers
        assert wire.read(client.ask(SLOW)).answers


def test_both_wildcards_are_served_on_one_port(served: Served) -> None:
    with Listening(served.feed, ("0.0.0.0", "::")) as server:
        for host in LOOPBACK:
            with server.udp(host) as datagrams, server.tcp(host) as connection:
                assert wire.read(datagrams.ask(PLAIN)).answers
                assert wire.read(connection.ask(PLAIN)).answers


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("0.0.0.0",)])
def test_short_name_is_answered_by_the_address_of_the_client(
    served: Served, hosts: tuple[str, ...], transport: str
) -> None:
    packet = wire.query("my-service")
    with Listening(served.feed, hosts) as server:
        with getattr(server, transport)(source=samples.MAPPED) as mapped:
            assert wire.read(mapped.ask(packet)).rdatas[1:] == [packed("10.0.0.20")]
        with getattr(server, transport)(source="127.0.0.3") as stranger:
            assert wire.read(stranger.ask(packet)).rcode == wire.REFUSED


@pytest.mark.parametrize(
    "packet",
    [b"", b"\0", PLAIN[:11], PLAIN[:2] + b"\x80" + PLAIN[3:], b"\xff" * 512],
    ids=["empty", "one octet", "eleven octets", "a response", "noise"],
)
def test_silence_costs_the_next_query_nothing(server: Listening, packet: bytes) -> None:
    silent = server.counters.silent
    with server.udp() as client:
        client.send(packet)
        assert client.ask(wire.query(samples.SERVICE, ident=77))[:2] == b"\0\x4d"
    assert server.counters.silent == silent + 1


def test_burst_of_more_than_a_batch_is_answered_whole(server: Listening) -> None:
    count = 3 * BATCH + 1
    with server.udp() as client:
        for ident in range(count):
            client.send(wire.query(samples.SERVICE, ident=ident))
        assert {int.from_bytes(client.receive()[:2]) for _ in range(count)} == set(range(count))


def test_datagram_longer_than_any_query_is_answered_or_refused_but_not_in_the_way(server: Listening) -> None:
    with server.udp() as client:
        assert wire.read(client.ask(PLAIN + bytes(20_000))).rcode == wire.NOERROR
        assert wire.read(client.ask(PLAIN)).answers


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("payload", [0, 512, 1232, 65535])
def test_truncated_reply_is_whole_over_tcp(server: Listening, host: str, payload: int) -> None:
    query = dns.message.make_query(
        samples.WIDE_NAME, "A", use_edns=0 if payload else -1, payload=payload, ednsflags=wire.DO
    )
    reply, over_tcp = dns.query.udp_with_fallback(query, host, SECONDS, server.port)
    assert over_tcp
    assert len(reply.answer[0]) == samples.WIDE
    truncated = dns.query.udp(query, host, SECONDS, server.port)
    assert truncated.flags & wire.TC
    assert len(truncated.to_wire()) <= min(max(payload, 512), EDNS_SIZE)


ODD = wire.query(samples.SERVICE, flags=wire.RD | wire.CD)
"""A plain query with a plan of its own (``dataplane.pure`` rule 3), for a test to break."""


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("0.0.0.0",)], ids=["one address", "wildcard"])
def test_bug_in_the_hot_path_is_counted_and_the_slow_path_answers(
    hosts: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    served = samples.served()
    served.feed.table._plans[ODD[2:12]] = (99, 512, b"")
    with Listening(served.feed, hosts) as server, server.udp() as client:
        with caplog.at_level(logging.ERROR):
            assert wire.read(client.ask(ODD)).answers
        assert server.counters.failures == 1
        assert wire.read(client.ask(PLAIN)).answers
    assert ODD.hex() in caplog.text


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("0.0.0.0",)], ids=["one address", "wildcard"])
def test_reply_that_cannot_be_sent_is_counted_and_the_next_one_is(hosts: tuple[str, ...]) -> None:
    served = samples.served()
    served.feed.table._plans[ODD[2:12]] = (0, 100_000, bytes(70_000))
    with Listening(served.feed, hosts) as server, server.udp() as client:
        client.send(ODD)
        assert wire.read(client.ask(PLAIN)).answers
        assert server.counters.send_errors == 1
