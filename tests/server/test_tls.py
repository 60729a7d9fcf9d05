"""DNS over TLS as clients use it (RFC 7858, RFC 8310): answers, padding, and what is agreed on."""

import itertools
import socket
import ssl

import pytest

from skydns_py.answers.padding import BLOCK, PADDING, padded
from tests import needs
from tests.dataplane import samples, wire
from tests.server.listening import SECONDS, Connection, framed
from tests.server.secure import Secure, replies

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)
PADDED = wire.opt(options=wire.option(PADDING, bytes(60)))


def asked(server: Secure, client: Connection, packets: list[bytes]) -> list[bytes]:
    """The replies over a stream."""
    return replies(server, client, client.ask, packets)


def queries() -> list[bytes]:
    """Every name of the sample cluster, as several types, with EDNS and without."""
    types = (wire.A, wire.AAAA, wire.SRV, wire.ANY)
    forms = itertools.product(samples.NAMES, types, (b"", wire.opt(1232, wire.DO)))
    return [wire.query(name, rdtype, edns=edns) for name, rdtype, edns in forms]


# Answers


@pytest.mark.parametrize("source", ["127.0.0.1", samples.MAPPED])
def test_answers_are_those_over_tcp_octet_for_octet(secure: Secure, source: str) -> None:
    packets = queries()
    over_tls = asked(secure, secure.tls(source), packets)
    assert over_tls == asked(secure, secure.tcp(source=source), packets)


def test_short_name_means_what_the_clients_address_says(secure: Secure) -> None:
    packet = wire.query("my-service")
    with secure.tls(samples.MAPPED) as pod, secure.tls() as stranger:
        assert wire.read(pod.ask(packet)).rdatas[1:] == [b"\x0a\0\0\x14"]
        assert wire.read(stranger.ask(packet)).rcode == wire.REFUSED


def test_answer_of_more_than_a_hundred_endpoints_is_whole(secure: Secure) -> None:
    with secure.tls() as client:
        reply = wire.read(client.ask(wire.query(samples.WIDE_NAME)))
    assert len(reply.answers) == samples.WIDE
    assert not reply.truncated


def test_pipelined_queries_are_answered_in_their_order(secure: Secure) -> None:
    packets = [wire.query(samples.SERVICE, ident=ident) for ident in range(1000)]
    with secure.tls() as client:
        client.send(*packets)
        assert [client.receive()[:2] for _ in packets] == [packet[:2] for packet in packets]


def test_queries_that_come_octet_by_octet_are_answered(secure: Secure) -> None:
    with secure.tls() as client:
        for octet in framed(PLAIN) * 2:
            client.send_octets(bytes((octet,)))
        assert [wire.read(client.receive()).rcode for _ in range(2)] == [0, 0]


def test_client_that_ends_its_half_with_its_query_gets_the_reply(secure: Secure) -> None:
    """The end, a close_notify (RFC 8446 section 6.1), travels with the query."""
    with secure.tls() as client:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        raw = socket.create_connection(("127.0.0.1", secure.tls_port), SECONDS)
        speaker = secure.context("dot").wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                speaker.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        speaker.write(framed(PLAIN))
        with pytest.raises(ssl.SSLWantReadError):
            speaker.unwrap()
        raw.sendall(outgoing.read())
        while data := raw.recv(65536):
            incoming.write(data)
        raw.close()
        assert speaker.read(65536) == framed(client.ask(PLAIN))


# Padding


@pytest.mark.parametrize("name", [samples.SERVICE, samples.WIDE_NAME, samples.ABSENT[0], "example.com"])
def test_padded_query_gets_a_padded_reply_with_the_same_records(secure: Secure, name: str) -> None:
    """RFC 7830 section 3, RFC 8467 section 4.1."""
    packets = [wire.query(name, edns=PADDED)]
    (found,) = asked(secure, secure.tls(), packets)
    (plain,) = asked(secure, secure.tcp(), packets)
    assert len(found) % BLOCK == 0
    assert len(plain) + 4 <= len(found) < len(plain) + 4 + BLOCK
    padding = len(found) - len(plain) - 4
    option = wire.option(PADDING, bytes(padding))
    assert wire.read(found).opt.rdata == wire.read(plain).opt.rdata + option  # type: ignore[union-attr]  # both have it
    assert found[: len(plain) - 2] == plain[:-2]


@pytest.mark.parametrize("edns", [b"", wire.opt(), wire.opt(options=wire.option(10, bytes(8)))])
def test_query_without_padding_gets_none(secure: Secure, edns: bytes) -> None:
    packets = [wire.query(samples.SERVICE, edns=edns)]
    assert asked(secure, secure.tls(), packets) == asked(secure, secure.tcp(), packets)


def test_padding_never_makes_a_message_too_long() -> None:
    """RFC 8467 section 4.1: the block that does not fit is cut short."""
    query = wire.query("x", edns=PADDED)
    for size in range(65535 - 2 * BLOCK, 65536):
        filler = wire.message(wire.question("x"), counts=(1, 1, 0, 1))
        room = size - len(filler) - 12 - 11
        big = filler + b"\xc0\x0c" + b"\0\x10\0\1\0\0\0\5" + room.to_bytes(2) + bytes(room) + wire.opt()
        assert len(big) == size
        found = padded(query, big)
        assert len(found) <= 65535
        assert len(found) in (size, 65535) or len(found) % BLOCK == 0
        assert wire.take_apart(found).answers == wire.take_apart(big).answers


def test_tcp_is_never_padded(secure: Secure) -> None:
    with secure.tcp() as client:
        assert len(client.ask(wire.query(samples.SERVICE, edns=PADDED))) < BLOCK


# Agreement


def of_version(server: Secure, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server.context()
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_modern_versions_are_spoken(secure: Secure, version: ssl.TLSVersion) -> None:
    with secure.tls(context=of_version(secure, version)) as client:
        assert wire.read(client.ask(PLAIN)).answers


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(secure: Secure) -> None:
    context = of_version(secure, ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        secure.tls(context=context)


def test_ciphers_without_forward_secrecy_are_refused(secure: Secure) -> None:
    context = of_version(secure, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        secure.tls(context=context)


@pytest.mark.parametrize("offered", [(), ("dot",), ("h2", "dot")])
def test_client_that_offers_dot_or_nothing_is_welcome(secure: Secure, offered: tuple[str, ...]) -> None:
    with secure.tls(context=secure.context(*offered)) as client:
        assert client.tls.selected_alpn_protocol() == ("dot" if offered else None)
        assert wire.read(client.ask(PLAIN)).answers


def test_client_that_offers_other_protocols_is_refused(secure: Secure) -> None:
    """RFC 7301 section 3.2; it took us for a web server."""
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        secure.tls(context=secure.context("http/1.1"))


def test_sessions_are_resumed(secure: Secure) -> None:
    context = secure.context("dot")
    with secure.tls(context=context) as first:
        assert first.ask(PLAIN)
        session = first.tls.session
    raw = socket.create_connection(("127.0.0.1", secure.tls_port), SECONDS)
    with context.wrap_socket(raw, server_hostname="127.0.0.1", session=session) as second:
        second.sendall(framed(PLAIN))
        assert second.recv(65536)
        assert second.session_reused
