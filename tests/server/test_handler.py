"""The handler by itself: whose address a client's is, and what a bug may not do."""

import pytest

from skydns_py.answers.respond import Responder
from skydns_py.dataplane.counters import Counters
from skydns_py.server.handler import Handler
from tests.builders import Served, packed
from tests.dataplane import samples, wire

SHORT_NAME = wire.query("my-service")


class Failing(Responder):
    """A bug that any packet finds."""

    def respond(self, packet: bytes, client: bytes, *, stream: bool) -> bytes | None:
        """Fails, even where silence is due."""
        raise RecursionError("a bug")


@pytest.fixture
def failing(served: Served) -> Handler:
    return Handler(Failing(served.feed.table, None, 1232), Counters())


@pytest.mark.parametrize("host", [samples.MAPPED, f"::ffff:{samples.MAPPED}"])
def test_client_is_known_by_its_ipv4_address_however_it_is_written(served: Served, host: str) -> None:
    reply = Handler(served.feed.responder, Counters()).handle(SHORT_NAME, host, stream=False)
    assert reply is not None
    assert wire.read(reply).rdatas[1:] == [packed("10.0.0.20")]


@pytest.mark.parametrize("host", ["fe80::1%eth0", "fe80::1"])
def test_scope_of_an_address_does_not_matter(served: Served, host: str) -> None:
    reply = Handler(served.feed.responder, Counters()).handle(SHORT_NAME, host, stream=False)
    assert reply is not None
    assert wire.read(reply).rcode == wire.REFUSED


def test_bug_makes_a_servfail_of_a_query(failing: Handler) -> None:
    reply = failing.handle(SHORT_NAME, "127.0.0.1", stream=False)
    assert reply == SHORT_NAME[:2] + b"\x80\x02" + bytes(8)
    assert (failing.counters.failures, failing.counters.silent) == (1, 0)


@pytest.mark.parametrize("packet", [b"", SHORT_NAME[:11], wire.query("x", flags=wire.QR)])
def test_bug_makes_no_reply_where_silence_is_due(failing: Handler, packet: bytes) -> None:
    """Two servers with the bug would otherwise talk to each other for ever."""
    assert failing.handle(packet, "127.0.0.1", stream=False) is None
    assert (failing.counters.failures, failing.counters.silent) == (1, 1)


def test_client_without_an_address_cannot_raise_either(served: Served) -> None:
    counters = Counters()
    reply = Handler(served.feed.responder, counters).handle(SHORT_NAME, "", stream=True)
    assert reply is not None
    assert wire.read(reply).rcode == wire.SERVFAIL
    assert counters.failures == 1
