"""HTTP/2 as clients of DNS speak it, and misuse it (RFC 9113)."""

import time
from collections.abc import Callable

import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.dataplane.counters import Counters
from skydns_py.server import http2
from skydns_py.server.doh import LARGEST, Request, Resource
from skydns_py.server.http2 import Http2
from tests import needs
from tests.builders import Served
from tests.dataplane import samples, strategies, wire
from tests.reactor import run_in_reactor
from tests.server.listening import SECONDS
from tests.server.secure import DNS, MEDIA_TYPE, PATH, Http2Client, Secure, encoded, spoken, until

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)
WIDE = wire.query(samples.WIDE_NAME)
IDLE = 0.5


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113 section 4.1."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


HEADERS = b"\x82\x87" + b"\x44" + bytes((len(PATH),)) + PATH.encode()
FRAMES = st.builds(
    frame,
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5]) | st.integers(0, 255),
    st.integers(0, 9),
    st.just(HEADERS) | st.just(b"") | st.binary(max_size=20),
)


@settings(max_examples=300)
@given(st.lists(FRAMES | st.binary(max_size=20), max_size=12))
def test_no_octets_break_http2(pieces: list[bytes]) -> None:
    spoken(Http2, [PREFACE + frame(4, 0, 0, b""), *pieces])


@given(strategies.broken() | strategies.well_formed().map(lambda asked: asked.packet))
def test_no_message_breaks_what_is_said_of_it(served: Served, packet: bytes) -> None:
    def answer(message: bytes, _: str) -> bytes | None:
        return served.feed.responder.respond(message, b"\x7f\0\0\1", stream=True)

    reply = Resource(PATH, answer, Counters()).reply(Request("POST", PATH, MEDIA_TYPE, packet), "192.0.2.1")
    assert reply.status in (200, 400)


def test_http2_streams_are_answered_each_by_itself(secure: Secure) -> None:
    packets = [wire.query(samples.SERVICE, ident=ident) for ident in range(100)]
    with secure.http2() as client:
        streams = [client.begin("POST", PATH, packet, DNS) for packet in packets]
        assert [client.answer(each).body[:2] for each in reversed(streams)] == [
            p[:2] for p in reversed(packets)
        ]


def test_http2_client_with_a_small_window_gets_everything_when_it_reads(secure: Secure) -> None:
    with secure.http2(window=500) as client, secure.tcp() as tcp:
        assert len(client.ask(WIDE)) == len(tcp.ask(WIDE)) > 500
    with secure.http2() as client:
        streams = [client.begin("POST", PATH, WIDE, DNS) for _ in range(90)]
        assert len({len(client.answer(each).body) for each in streams}) == 1


def engine(server: Secure) -> Http2:
    (connection,) = server.streams
    found = connection._http  # type: ignore[attr-defined]  # it is an Https
    assert isinstance(found, Http2)
    return found


def test_http2_client_that_takes_nothing_is_held_up_and_little_is_kept_for_it(
    limited: Callable[..., Secure],
) -> None:
    with limited() as server, server.http2(window=0, gives=False) as client:
        for _ in range(100):
            client.begin("POST", PATH, WIDE.ljust(1000, b"\0"), DNS)
        refused = client.await_event(h2.events.StreamReset, 2 * 99 + 1)
        assert refused.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        waiting, held = run_in_reactor(
            lambda http: (http._waiting(), [*http._streams.values()]), engine(server)
        )
        assert waiting < 2 * LARGEST
        assert sum(each.size for each in held) <= http2.HELD + 4000
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
        client.gives = True
        client.flush()
        assert client.answer(1).status == 200
        with server.http1() as other:
            assert other.get(PLAIN).status == 200


def test_http2_bodies_on_their_way_are_bounded_together(limited: Callable[..., Secure]) -> None:
    with limited() as server, server.http2() as client:
        sent = 0
        pseudo = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": PATH, **DNS}
        for stream in range(1, 100, 2):
            client.h2.send_headers(stream, list(pseudo.items()))
        client.flush()
        client.await_event(h2.events.SettingsAcknowledged)
        for stream in range(1, 100, 2):
            while room := min(client.h2.local_flow_control_window(stream), 8000):
                if sent % (LARGEST - 1) + room > LARGEST:
                    break
                client.h2.send_data(stream, bytes(room))
                sent += room
        client.flush()
        assert sent <= http2.WINDOW
        until(lambda: sum(each.taken for each in engine(server)._streams.values()) == sent)
        with server.http2() as other:
            assert other.get(PLAIN).status == 200


def test_http2_stream_that_is_taken_back_is_forgotten(limited: Callable[..., Secure]) -> None:
    """Over and over, as in CVE-2023-44487: what is answered is bounded, and nothing stays."""
    with limited() as server, server.http2() as client:
        pseudo = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": PATH, **DNS}
        for stream in range(1, 1000, 2):
            client.h2.send_headers(stream, list(pseudo.items()))
            while client.h2.local_flow_control_window(stream) < 1000:
                client.pump()
            client.h2.send_data(stream, bytes(1000))
            client.h2.reset_stream(stream)
            client.flush()
        assert client.get(PLAIN).status == 200
        assert run_in_reactor(lambda: engine(server)._streams) == {}


def test_http2_connection_that_has_asked_enough_is_sent_away_in_order(
    limited: Callable[..., Secure], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "REQUESTS", 20)
    with limited() as server, server.http2() as client:
        answers = [client.get(PLAIN) for _ in range(20)]
        assert {each.status for each in answers} == {200}
        stream = client.begin("GET", f"{PATH}?dns={encoded(PLAIN)}")
        assert (
            client.await_event(h2.events.StreamReset, stream).error_code
            == h2.errors.ErrorCodes.REFUSED_STREAM
        )
        assert client.await_event(h2.events.ConnectionTerminated).error_code == h2.errors.ErrorCodes.NO_ERROR


def test_http2_too_many_streams_end_the_connection(limited: Callable[..., Secure]) -> None:
    with limited() as server, server.http2() as client:
        client.await_event(h2.events.SettingsAcknowledged)
        block = client.h2.encoder.encode([(":method", "POST"), (":scheme", "https"), (":path", PATH)])
        client.send_octets(b"".join(frame(1, 4, 2 * each + 1, block) for each in range(http2.STREAMS + 1)))
        client.await_event(h2.events.ConnectionTerminated)
        with server.http2() as other:
            assert other.get(PLAIN).status == 200


def test_http2_idle_client_is_told_before_the_end(limited: Callable[..., Secure]) -> None:
    with limited(idle_seconds=IDLE) as server, server.http2() as client:
        assert client.get(PLAIN).status == 200
        start = time.monotonic()
        ended = client.await_event(h2.events.ConnectionTerminated)
        assert ended.error_code == h2.errors.ErrorCodes.NO_ERROR
        assert IDLE * 0.8 < time.monotonic() - start < SECONDS


def test_pings_are_no_activity(limited: Callable[..., Secure]) -> None:
    with limited(idle_seconds=IDLE) as server, server.http2() as client:
        deadline = time.monotonic() + SECONDS
        while not any(isinstance(event, h2.events.ConnectionTerminated) for event in client.events):
            assert time.monotonic() < deadline, "it stays"
            client.h2.ping(bytes(8))
            client.flush()
            client.pump()


@pytest.mark.parametrize("version", ["http1", "http2"])
def test_request_without_an_end_is_idle(limited: Callable[..., Secure], version: str) -> None:
    with limited(idle_seconds=IDLE) as server, getattr(server, version)() as client:
        if isinstance(client, Http2Client):
            pseudo = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": PATH, **DNS}
            client.h2.send_headers(1, list(pseudo.items()))
            client.flush()
        else:
            client.send_octets(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n".encode())
        until(lambda: server.counters.tcp_connections == 1)
        until(lambda: server.counters.tcp_connections == 0)


def test_https_shares_the_places(limited: Callable[..., Secure]) -> None:
    with limited(max_connections=2) as server, server.http2() as first, server.tcp() as second:
        assert first.get(PLAIN).status == 200
        assert second.ask(PLAIN)
        with server.http1() as third:
            assert third.get(PLAIN).status == 200
            with pytest.raises((AssertionError, OSError)):
                first.get(PLAIN)


def test_statuses_are_counted(limited: Callable[..., Secure]) -> None:
    with limited() as server, server.http2() as second, server.http1() as first:
        for client in (first, second):
            client.get(PLAIN)
            client.request("GET", "/")
        assert server.counters.https_statuses == {200: 2, 404: 2}
        assert (server.counters.https, server.counters.tcp, server.counters.tls) == (2, 2, 0)
