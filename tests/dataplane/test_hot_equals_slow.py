"""The hot path and the slow one are one server: what the hot path answers, the slow one would have said.

It may decline a packet, which costs time alone; the plain cases it must not decline are listed here too.
"""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import STRANGER, Served, packed, service
from tests.dataplane import samples, wire
from tests.dataplane.strategies import EDNS_SIZE, packets

CLIENTS = (packed(STRANGER), packed(samples.MAPPED), packed("10.5.0.1"), packed("fd00:5::1"))


@pytest.fixture(scope="module")
def eager() -> Served:
    """A cluster small enough to be packed as it comes."""
    return samples.served(edns_size=EDNS_SIZE)


@pytest.fixture(scope="module")
def lazy() -> Served:
    """The same among more, so that names are listed first and packed when they are asked for."""
    filler = [service(f"filler-{i}", f"10.9.{i // 250}.{i % 250 + 1}", "http:80") for i in range(400)]
    return Served(*samples.objects(), *filler, networks=samples.NETWORKS)


def both(served: Served, packet: bytes, client: bytes) -> tuple[bytes | None, bytes | None]:
    """The hot path's reply and the slow one's."""
    hot = served.feed.answer(packet)
    return hot, served.feed.responder.respond(packet, client, stream=False)


def assert_equal(served: Served, packet: bytes, client: bytes) -> None:
    hot, slow = both(served, packet, client)
    if hot is not None:
        assert wire.canonical(hot) == wire.canonical(slow)


@settings(max_examples=500, deadline=None)
@given(packet=packets, client=st.sampled_from(CLIENTS))
def test_replies_are_equal_octet_for_octet_rotation_apart(
    eager: Served, packet: bytes, client: bytes
) -> None:
    assert_equal(eager, packet, client)


@settings(max_examples=300, deadline=None)
@given(packet=packets, client=st.sampled_from(CLIENTS))
def test_replies_are_equal_before_and_after_a_name_is_packed(
    lazy: Served, packet: bytes, client: bytes
) -> None:
    assert_equal(lazy, packet, client)
    assert_equal(lazy, packet, client)


@pytest.mark.parametrize("stage", ["eager", "lazy"])
def test_replies_are_equal_for_every_name_type_flag_and_edns_of_the_sample(
    stage: str, request: pytest.FixtureRequest
) -> None:
    served = request.getfixturevalue(stage)
    for name, rdtype in itertools.product(samples.NAMES, (wire.A, wire.AAAA, wire.SRV, wire.TXT, wire.ANY)):
        for edns in (b"", wire.opt(600), wire.opt(65535, wire.DO)):
            assert_equal(served, wire.query(name, rdtype, edns=edns), CLIENTS[0])


PLAIN_FLAGS = [sum(bits) for n in range(4) for bits in itertools.combinations((wire.RD, wire.AD, wire.CD), n)]
PLAIN_EDNS = (b"", *(wire.opt(payload, bits) for payload in (512, 1232, 65535) for bits in (0, wire.DO)))
PLAIN = {
    "an A record": (samples.SERVICE, wire.A, wire.NOERROR),
    "an AAAA record": (samples.SERVICE, wire.AAAA, wire.NOERROR),
    "several addresses": (samples.FEW_NAME, wire.A, wire.NOERROR),
    "an SRV record": (f"_http._tcp.{samples.SERVICE}", wire.SRV, wire.NOERROR),
    "a PTR record": ("20.0.0.10.in-addr.arpa", wire.PTR, wire.NOERROR),
    "a legacy name": (f"plain.other.{samples.ZONE}", wire.A, wire.NOERROR),
    "an alias by its own type": (f"inside.my-ns.svc.{samples.ZONE}", wire.CNAME, wire.NOERROR),
    "no such type": (f"plain.other.svc.{samples.ZONE}", wire.AAAA, wire.NOERROR),
    "an unknown type": (samples.SERVICE, 65280, wire.NOERROR),
    "an empty non-terminal": (f"_tcp.{samples.SERVICE}", wire.A, wire.NOERROR),
    "no such name": (f"nothing.my-ns.svc.{samples.ZONE}", wire.A, wire.NXDOMAIN),
    "a search path's leftover": (f"{samples.SERVICE}.svc.{samples.ZONE}", wire.AAAA, wire.NXDOMAIN),
    "no such reverse name": ("1.2.0.192.in-addr.arpa", wire.PTR, wire.NXDOMAIN),
    "mixed case": (samples.SERVICE.upper(), wire.A, wire.NOERROR),
}


@pytest.mark.parametrize("case", PLAIN)
def test_hot_path_declines_no_plain_query(eager: Served, case: str) -> None:
    name, rdtype, rcode = PLAIN[case]
    for flags, edns in itertools.product(PLAIN_FLAGS, PLAIN_EDNS):
        packet = wire.query(name, rdtype, edns=edns, flags=flags)
        hot, slow = both(eager, packet, CLIENTS[0])
        assert hot is not None, f"declined with flags {flags:#06x} and OPT {edns.hex()}"
        assert wire.canonical(hot) == wire.canonical(slow)
        assert wire.read(hot).rcode == rcode


NO_SEARCH = (
    f"nothing.other.my-ns.svc.{samples.ZONE}",
    f"www.example.org.my-ns.svc.{samples.ZONE}",
    f"plain.other.nobody.svc.{samples.ZONE}",
    f"plain.other.{samples.ZONE}.{samples.ZONE}",
    f"{samples.SERVICE}.my-ns.svc.{samples.ZONE}",
)
"""Names that do not exist and from which nobody's search could go on: there is nothing to try, or nobody."""


@pytest.mark.parametrize("name", NO_SEARCH)
def test_hot_path_denies_a_name_from_which_no_search_could_go_on(eager: Served, name: str) -> None:
    for client in CLIENTS:
        hot, slow = both(eager, wire.query(name), client)
        assert hot == slow is not None
        assert wire.read(slow).rcode == wire.NXDOMAIN


def test_hot_path_denies_nothing_that_a_configured_networks_search_would_find() -> None:
    served = Served(service("web", "10.0.0.1", ns="other"), networks={"10.0.0.0/8": "quiet"})
    hot, slow = both(served, wire.query(f"web.other.quiet.svc.{samples.ZONE}"), packed("10.0.0.9"))
    assert hot is None
    assert wire.read(slow or b"").rdatas[-1] == packed("10.0.0.1")


@pytest.mark.parametrize("name", samples.HITS)
def test_hot_path_denies_nothing_that_a_clients_search_would_find(eager: Served, name: str) -> None:
    hot, slow = both(eager, wire.query(f"{name}.my-ns.svc.{samples.ZONE}"), packed(samples.MAPPED))
    assert hot is None
    assert wire.take_apart(slow or b"").answers


def test_counts_that_lie_are_no_plain_query(eager: Served) -> None:
    for name, extra in itertools.product(
        (samples.SERVICE, samples.ABSENT[0]), (b"", wire.opt(), wire.opt() * 2)
    ):
        for counts in itertools.product((0, 1, 2), repeat=4):
            assert_equal(eager, wire.message(wire.question(name) + extra, counts=counts), CLIENTS[0])


def test_response_is_not_answered_by_the_hot_path_either(eager: Served) -> None:
    for name, flags in itertools.product((samples.SERVICE, samples.ABSENT[0]), PLAIN_FLAGS):
        assert both(eager, wire.query(name, flags=wire.QR | flags), CLIENTS[0]) == (None, None)


def test_hot_path_answers_nothing_before_the_source_has_synced() -> None:
    served = samples.served()
    served.feed.responder.ready = False
    assert served.feed.answer(wire.query(samples.SERVICE)) is None


def test_a_name_listed_at_the_start_is_answered_by_the_hot_path_from_its_second_query(lazy: Served) -> None:
    packet = wire.query(f"filler-7.my-ns.svc.{samples.ZONE}")
    first, slow = both(lazy, packet, CLIENTS[0])
    assert first is None
    assert lazy.feed.answer(packet) == slow


def test_a_question_whose_name_hides_an_existing_one_behind_a_zero_octet_is_not_taken_for_it(
    eager: Served,
) -> None:
    existing = wire.encode(samples.SERVICE)
    label = existing[:-1] + b"\0\0\1\0\1"
    hidden = existing[:-1] + bytes((len(label),)) + label + wire.encode(samples.ZONE)
    for name in (hidden, b"\x05a\0\0\1\0" + existing, existing[:11] + b"\0" + existing[12:]):
        assert_equal(eager, wire.query(name), CLIENTS[0])


@pytest.mark.parametrize("size", [64, 65, 127, 128, 191, 192, 255])
def test_label_too_long_for_one_is_no_name_that_does_not_exist(eager: Served, size: int) -> None:
    assert_equal(eager, wire.query(bytes((size,)) + b"x" * size + wire.encode(samples.ZONE)), CLIENTS[0])
