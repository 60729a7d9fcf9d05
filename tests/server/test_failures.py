"""Bugs and bad times: a query that hits a bug is SERVFAIL and counted; a name is never denied too early."""

import logging
from collections.abc import Iterator

import pytest

from skydns_py.answers.packed import Node
from skydns_py.cluster.objects import Upsert
from skydns_py.dataplane.pure import PureTable
from skydns_py.feed import Feed
from tests.builders import Served, Turns, packed, settings
from tests.dataplane import samples, wire
from tests.reactor import run_in_reactor
from tests.server.listening import Listening

PLAIN = wire.query(samples.SERVICE)
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


class Broken(PureTable):
    """A table with a bug: one name cannot be looked at."""

    def node(self, name: bytes) -> Node | None:
        """Fails for the one name, whatever its case was."""
        if name == wire.encode(f"inside.my-ns.svc.{samples.ZONE}"):
            raise ZeroDivisionError("a bug")
        return super().node(name)


@pytest.fixture
def broken() -> Iterator[Listening]:
    served = samples.served()
    served.feed.table.__class__ = Broken
    with Listening(served.feed) as server:
        yield server


@TRANSPORTS
def test_bug_is_answered_with_servfail_counted_and_survived(
    broken: Listening, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = wire.query(f"inside.my-ns.svc.{samples.ZONE}", ident=0xBEEF)
    with getattr(broken, transport)() as client, caplog.at_level(logging.ERROR):
        reply = wire.read(client.ask(bad))
        assert (reply.ident, reply.rcode, reply.answers) == (0xBEEF, wire.SERVFAIL, ())
        assert wire.read(client.ask(PLAIN)).answers
    assert broken.counters.failures == 1
    assert bad.hex() in caplog.text
    assert "please report" in caplog.text


def test_log_of_a_bug_that_is_hit_again_and_again_is_bounded(
    broken: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    bad = wire.query(f"inside.my-ns.svc.{samples.ZONE}") + bytes(60_000)
    with broken.tcp() as client, caplog.at_level(logging.ERROR):
        for _ in range(50):
            assert wire.read(client.ask(bad)).rcode == wire.SERVFAIL
    assert broken.counters.failures == 50
    assert len(caplog.records) == 10
    assert len(caplog.text) < 100_000


# Not synced yet


MAY_BE_OURS = {
    "RFC8914-4.15-name-that-exists": samples.SERVICE,
    "RFC8914-4.15-name-that-does-not": f"nothing.my-ns.svc.{samples.ZONE}",
    "RFC8914-4.15-apex": samples.ZONE,
    "RFC8914-4.15-reverse-name-that-exists": "20.0.0.10.in-addr.arpa",
    "RFC8914-4.15-reverse-name-that-does-not": "9.0.0.10.in-addr.arpa",
    "RFC8914-4.15-short-name-for-everyone": "my-service.my-ns",
    "RFC8914-4.15-short-name-of-a-client-that-may-be-a-pod": "my-service",
    "RFC8914-4.15-short-name-of-nothing": "nothing.nowhere",
}


@pytest.fixture
def starting() -> Feed:
    """A server whose source has said something, but not yet that this is all."""
    feed = Feed(settings(), 1232, samples.served_networks(), Turns())
    feed.apply([Upsert(each) for each in samples.objects()])
    return feed


@TRANSPORTS
@pytest.mark.parametrize("rule", MAY_BE_OURS)
def test_until_the_source_has_synced_a_name_that_may_be_ours_is_servfail_and_says_why(
    starting: Feed, transport: str, rule: str
) -> None:
    """NXDOMAIN would be believed; the reason goes into an OPT record, where the client sent one."""
    name = MAY_BE_OURS[rule]
    with Listening(starting) as server, getattr(server, transport)() as client:
        reply = wire.read(client.ask(wire.query(name, edns=wire.opt())))
        assert (reply.rcode, reply.answers, reply.authorities) == (wire.SERVFAIL, (), ())
        assert reply.opt is not None
        assert reply.opt.rdata == wire.option(15, (14).to_bytes(2))
        without = wire.read(client.ask(wire.query(name)))
        assert (without.rcode, without.additionals) == (wire.SERVFAIL, ())


@pytest.mark.parametrize("name", ["www.example.com", "localhost", "."])
def test_name_of_the_world_is_refused_before_and_after_the_source_has_synced(
    starting: Feed, name: str
) -> None:
    with Listening(starting) as server, server.udp() as client:
        for _ in range(2):
            assert wire.read(client.ask(wire.query(name))).rcode == wire.REFUSED
            run_in_reactor(starting.synced)


def test_once_the_source_has_synced_every_name_is_answered(starting: Feed) -> None:
    with Listening(starting) as server, server.udp() as client:
        run_in_reactor(starting.synced)
        assert wire.read(client.ask(PLAIN)).rdatas == [packed("10.0.0.20")]
        assert wire.read(client.ask(wire.query(f"nothing.{samples.ZONE}"))).rcode == wire.NXDOMAIN


def test_losing_the_source_takes_no_answer_away(served: Served) -> None:
    with Listening(served.feed) as server, server.udp() as client:
        run_in_reactor(served.feed.lost, "etcd is gone")
        assert wire.read(client.ask(PLAIN)).answers
        assert wire.read(client.ask(wire.query(f"nothing.{samples.ZONE}"))).rcode == wire.NXDOMAIN
