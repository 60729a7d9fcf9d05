"""TCP as clients use it, and misuse it (RFC 7766): messages in any pieces, ends of any kind."""

from typing import NamedTuple

import pytest

from tests.builders import STRANGER, Served, endpoints, headless, packed
from tests.dataplane import samples, wire
from tests.reactor import run_in_reactor
from tests.server.listening import LOOPBACK, Connection, Listening, framed, reset

PLAIN = wire.query(samples.SERVICE, ident=1)
OTHER = wire.query(samples.FEW_NAME, wire.AAAA, ident=2)


def numbered(count: int, name: str = samples.SERVICE) -> list[bytes]:
    return [wire.query(name, ident=ident) for ident in range(count)]


def idents(client: Connection, count: int) -> list[int]:
    """The IDs of the next replies."""
    return [int.from_bytes(client.receive()[:2]) for _ in range(count)]


class Stream(NamedTuple):
    """What a client sends, in these pieces, and the IDs of the replies; whether it then ends its half."""

    pieces: tuple[bytes, ...]
    replies: tuple[int, ...]
    ends: bool = False


TWO = framed(PLAIN) + framed(OTHER)
STREAMS = {
    "RFC7766-5-query": Stream((framed(PLAIN),), (1,)),
    "RFC7766-5-query-that-no-datagram-carried": Stream((framed(PLAIN.ljust(0xFFFF, b"\0")),), (1,)),
    "RFC7766-6.2.1-connection-serves-one-query-after-another": Stream((framed(PLAIN), framed(OTHER)), (1, 2)),
    "RFC7766-6.2.1.1-queries-do-not-wait-for-replies": Stream((TWO * 3,), (1, 2) * 3),
    "RFC7766-6.2.4-client-that-is-done-gets-its-reply": Stream((framed(PLAIN),), (1,), True),
    "RFC7766-6.2.4-client-that-is-done-in-mid-query": Stream((TWO[:-1],), (1,), True),
    "RFC7766-6.2.4-client-that-is-done-at-once": Stream((), (), True),
    "RFC7766-8-length-by-itself": Stream((TWO[:2], TWO[2:]), (1, 2)),
    "RFC7766-8-length-in-two-halves": Stream((TWO[:1], TWO[1:2], TWO[2:]), (1, 2)),
}


@pytest.mark.parametrize("rule", STREAMS)
def test_stream_rule(server: Listening, rule: str) -> None:
    pieces, replies, ends = STREAMS[rule]
    with server.tcp() as client:
        for piece in pieces:
            client.send_octets(piece)
        if ends:
            client.socket.shutdown(1)
        assert idents(client, len(replies)) == list(replies)
        assert client.receive() == b"" if ends else client.ask(PLAIN)[:2] == PLAIN[:2]


@pytest.mark.parametrize("host", LOOPBACK)
def test_queries_are_answered_on_both_families(server: Listening, served: Served, host: str) -> None:
    with server.tcp(host) as client:
        for packet in (PLAIN, OTHER):
            expected = served.feed.responder.respond(packet, packed(STRANGER), stream=True)
            assert wire.canonical(client.ask(packet)) == wire.canonical(expected)


def test_hundred_queries_in_one_segment_are_answered_in_their_order(server: Listening) -> None:
    with server.tcp() as client:
        client.send(*numbered(100))
        assert idents(client, 100) == list(range(100))


def test_queries_that_come_octet_by_octet_are_answered(server: Listening) -> None:
    with server.tcp() as client:
        for octet in framed(PLAIN) + framed(OTHER):
            client.send_octets(bytes((octet,)))
        assert wire.read(client.receive()).answers
        assert wire.read(client.receive()).answers


def test_two_messages_cut_anywhere_are_answered(server: Listening) -> None:
    octets = framed(PLAIN) + framed(OTHER)
    with server.tcp() as client:
        for cut in range(len(octets) + 1):
            client.send_octets(octets[:cut])
            if cut >= 2 + len(PLAIN):  # this reply shows that the first part has arrived by itself
                assert client.receive()[:2] == PLAIN[:2]
            client.send_octets(octets[cut:])
            if cut < 2 + len(PLAIN):
                assert client.receive()[:2] == PLAIN[:2]
            assert client.receive()[:2] == OTHER[:2]


@pytest.mark.parametrize("count", [1, 100])
def test_client_that_ends_its_half_still_gets_every_answer(server: Listening, count: int) -> None:
    with server.tcp() as client:
        client.send(*numbered(count, samples.WIDE_NAME))
        client.socket.shutdown(1)
        assert idents(client, count) == list(range(count))
        assert client.receive() == b""


def test_client_that_ends_its_half_in_the_middle_of_a_message_gets_the_whole_ones(server: Listening) -> None:
    with server.tcp() as client:
        client.send_octets(framed(PLAIN) + framed(OTHER)[:-1])
        client.socket.shutdown(1)
        assert client.receive()[:2] == PLAIN[:2]
        assert client.receive() == b""


@pytest.mark.parametrize("length", range(12))
def test_length_below_a_header_ends_the_connection(server: Listening, length: int) -> None:
    with server.tcp() as client:
        client.send_octets(framed(PLAIN[:length]) + framed(PLAIN))
        assert client.is_closed()
    assert_answers(server)


def test_query_before_a_length_out_of_step_is_still_answered(server: Listening) -> None:
    with server.tcp() as client:
        client.send(PLAIN)
        assert client.receive()[:2] == PLAIN[:2]
        client.send_octets(b"\0\0")
        assert client.is_closed()


def test_largest_length_with_little_behind_it_waits_and_holds_nobody_up(server: Listening) -> None:
    with server.tcp() as client:
        client.send_octets(b"\xff\xff" + PLAIN)
        assert_answers(server)
        client.send_octets(bytes(0xFFFF - len(PLAIN)))
        assert wire.read(client.receive()).answers


def test_largest_messages_are_taken_one_after_the_other(server: Listening) -> None:
    with server.tcp() as client:
        for _ in range(3):
            assert wire.read(client.ask(PLAIN.ljust(0xFFFF, b"\xff"))).answers


def test_answer_of_thousands_of_records_is_whole(server: Listening, served: Served) -> None:
    huge = (headless("huge"), endpoints("huge", samples.addresses(samples.HUGE, 6)))
    run_in_reactor(served.change, *huge)
    with server.tcp() as client:
        reply = wire.read(client.ask(wire.query(f"huge.my-ns.svc.{samples.ZONE}")))
    run_in_reactor(served.change, *(each.ref for each in huge))
    assert len(reply.answers) == samples.HUGE
    assert not reply.truncated


@pytest.mark.parametrize(
    "message", [PLAIN[:2] + b"\x80" + PLAIN[3:], b"\xff" * 40], ids=["a response", "noise"]
)
def test_message_without_a_reply_leaves_the_connection_as_it_was(server: Listening, message: bytes) -> None:
    with server.tcp() as client:
        client.send(message, PLAIN)
        assert client.receive()[:2] == PLAIN[:2]


@pytest.mark.parametrize("cut", [0, 1, 2, 9, 2 + len(PLAIN)])
def test_reset_in_the_middle_costs_nobody_else_anything(server: Listening, cut: int) -> None:
    with server.tcp() as bystander:
        assert bystander.ask(PLAIN)
        client = server.tcp()
        with reset(client):
            client.send_octets((framed(PLAIN) + framed(OTHER))[:cut])
        assert bystander.ask(PLAIN)
        assert_answers(server)


def test_reset_while_replies_wait_costs_nobody_else_anything(server: Listening) -> None:
    client = server.tcp(receive_buffer=4096)
    with reset(client):
        client.send(*numbered(200, samples.WIDE_NAME))
    assert_answers(server)


def assert_answers(server: Listening) -> None:
    """A new client is answered."""
    with server.tcp() as client:
        assert wire.read(client.ask(PLAIN)).answers
