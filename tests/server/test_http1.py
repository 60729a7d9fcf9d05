"""HTTP/1.1 as clients of DNS speak it, and misspeak it (RFC 9112)."""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.server.doh import LARGEST
from skydns_py.server.http1 import HEAD, Http1
from tests import needs
from tests.dataplane import samples, wire
from tests.reactor import run_in_reactor
from tests.server.secure import (
    MEDIA_TYPE,
    PATH,
    Secure,
    encoded,
    spoken,
    stuff,
)

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)
WIDE = wire.query(samples.WIDE_NAME)

HOST = "Host: x\r\n"
GET = f"GET {PATH}?dns={encoded(PLAIN)} HTTP/1.1\r\n"
POST = f"POST {PATH} HTTP/1.1\r\n{HOST}Content-Type: {MEDIA_TYPE}\r\n"
HTTP1: dict[str, tuple[int, str]] = {
    "RFC9112-3.2-host": (200, f"{GET}{HOST}\r\n"),
    "RFC9112-3.2-no-host": (400, f"{GET}\r\n"),
    "RFC9112-3.2-two-hosts": (400, f"{GET}{HOST}{HOST}\r\n"),
    "RFC9112-3.2.2-absolute-form": (200, f"{GET.replace('/', 'HTTPS://other:1/', 1)}{HOST}\r\n"),
    "RFC9112-2.2-empty-line-before": (200, f"\r\n{GET}{HOST}\r\n"),
    "RFC9112-2.2-bare-line-feeds": (400, f"{GET}{HOST}A: b\nC: d\r\n\r\n"),
    "RFC9112-2.2-bare-carriage-return": (400, f"{GET}{HOST}A: b\rC: d\r\n\r\n"),
    "RFC9112-3-two-spaces": (400, f"{GET.replace(' ', '  ', 1)}{HOST}\r\n"),
    "RFC9112-3-no-version": (400, f"GET {PATH}\r\n\r\n"),
    "RFC9112-2.3-other-version": (400, f"{GET.replace('1.1', '2.0')}{HOST}\r\n"),
    "RFC9112-5.1-space-before-colon": (400, f"{GET}Host : x\r\n\r\n"),
    "RFC9112-5.2-folded-line": (400, f"{GET}{HOST}A: b\r\n c\r\n\r\n"),
    "RFC9110-5.5-nul-in-a-value": (400, f"{GET}{HOST}A: \0\r\n\r\n"),
    "RFC9112-6.1-both-lengths": (
        400,
        f"{POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "RFC9112-6.3-chunked-needs-a-length": (411, f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "RFC9112-6.3-two-lengths": (400, f"{POST}Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
    "RFC9112-6.3-lengths-in-one": (400, f"{POST}Content-Length: 3, 3\r\n\r\n"),
    "RFC9112-6.3-length-with-a-sign": (400, f"{POST}Content-Length: +3\r\n\r\n"),
    "RFC9112-6.3-huge-length": (413, f"{POST}Content-Length: {'9' * 5000}\r\n\r\n"),
    "RFC9110-15.5.15-long-target": (414, f"GET /{'a' * HEAD} HTTP/1.1\r\n"),
    "RFC6585-5-long-headers": (431, f"{GET}{HOST}A: {'a' * HEAD}\r\n"),
    "RFC6585-5-many-headers": (
        431,
        f"{GET}{HOST}{'A: b' * (HEAD // 6)}{chr(13)}{chr(10)}" + "A: b\r\n" * HEAD,
    ),
    "HTTP-2-without-ALPN": (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
}


@pytest.mark.parametrize("rule", HTTP1)
def test_http1_rule(secure: Secure, rule: str) -> None:
    status, octets = HTTP1[rule]
    with secure.http1() as client:
        client.send_octets(octets.encode("latin-1"))
        answer = client.read()
        assert answer.status == status
        assert (answer.headers.get("connection") == "close") == (status != 200)
        if status == 200:
            assert client.get(PLAIN).status == 200
        else:
            assert client.socket.recv(1) == b""


def test_http1_connection_is_closed_where_its_client_asks_for_it(secure: Secure) -> None:
    for octets in (f"{GET}{HOST}Connection: x, CLOSE\r\n\r\n", f"{GET.replace('1.1', '1.0')}\r\n"):
        with secure.http1() as client:
            client.send_octets(octets.encode() * 2)
            answer = client.read()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert client.socket.recv(1) == b"", "the second request is not answered"


def test_http1_requests_may_be_pipelined(secure: Secure) -> None:
    count = 300
    packets = [wire.query(samples.WIDE_NAME, ident=ident) for ident in range(count)]
    with secure.http1() as client:
        client.socket.setblocking(True)
        head = f"{POST}Content-Length: {len(packets[0])}\r\n\r\n".encode()
        client.send_octets(b"".join(head + packet for packet in packets))
        assert [client.read().body[:2] for _ in packets] == [packet[:2] for packet in packets]


def test_http1_client_that_waits_for_leave_gets_it(secure: Secure) -> None:
    """RFC 9110 section 10.1.1."""
    with secure.http1() as client:
        client.send_octets(f"{POST}Content-Length: {len(PLAIN)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert client.read().status == 100
        client.send_octets(PLAIN)
        assert client.read().status == 200


DATE = re.compile(rb"Date: [^\r]*\r\n")


@given(st.data())
def test_http1_requests_cut_anywhere_are_answered_alike(data: st.DataObject) -> None:
    some = [
        f"{GET}{HOST}\r\n",
        f"{POST}Content-Length: {len(PLAIN)}\r\n\r\n" + PLAIN.decode("latin-1"),
        f"{GET}\r\n",
    ]
    octets = "".join(data.draw(st.lists(st.sampled_from(some), max_size=6))).encode("latin-1")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    pieces = [octets[start:end] for start, end in itertools.pairwise([0, *cuts, len(octets)])]
    whole, cut = spoken(Http1, [octets]), spoken(Http1, pieces)
    assert DATE.sub(b"", whole.sent) == DATE.sub(b"", cut.sent)
    assert whole.closed == cut.closed


TEXTS = st.sampled_from(
    [
        GET,
        POST,
        HOST,
        "\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        " ",
        ":",
        "\n",
        "A: b\r\n",
    ]
).map(str.encode)


@given(st.lists(TEXTS | st.binary(max_size=40), max_size=12))
def test_no_octets_break_http1(pieces: list[bytes]) -> None:
    found = spoken(Http1, pieces)
    assert found.sent.startswith(b"HTTP/1.1 ") or not found.sent


def test_http1_client_that_does_not_read_is_paused(limited: Callable[..., Secure]) -> None:
    with limited() as server, server.http1() as client:
        stuff(client, f"GET {PATH}?dns={encoded(WIDE)} HTTP/1.1\r\n{HOST}\r\n".encode() * 100)
        (connection,) = server.streams
        transport = connection.transport.transport
        kept = run_in_reactor(
            lambda: (len(connection._http._buffer), len(transport.dataBuffer) - transport.offset)  # type: ignore[attr-defined]  # it is an Https
        )
        assert kept[0] < HEAD + 20_000
        assert kept[1] < LARGEST
        with server.http1() as other:
            assert other.get(PLAIN).status == 200
