"""The native table is the pure one: the same octets in reply, rotation apart, and the same packets declined.

Short names, and searches that it goes on with (autopath), are what it answers beyond: there the slow path is
what it must equal.
"""

import itertools
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.answers.packed import Answer, record
from skydns_py.answers.respond import Responder
from skydns_py.answers.search import Clients, SearchPath
from skydns_py.dataplane.pure import PureTable
from skydns_py.zone.rrset import RRset
from skydns_py.zone.settings import Pods
from tests import builders
from tests.builders import packed, service
from tests.dataplane import samples, wire
from tests.dataplane.strategies import packets
from tests.dataplane.test_changes import NAMES as CHANGING
from tests.dataplane.test_changes import POOL, REFS, ClusterObject, Ref, steps
from tests.native.built import NativeTable, needed
from tests.native.twins import CLIENTS, Twin

pytestmark = needed

STAGES = ("eager", "lazy")
CORPUS = Path(__file__).parent.parent / "fuzz/corpus"
TYPES = (wire.A, wire.AAAA, wire.SRV, wire.TXT, wire.CNAME, wire.ANY, 65)
EDNS = (b"", wire.opt(), wire.opt(600, wire.DO), wire.opt(65535))
Pair = dict[str, Twin]


def twins(*objects: ClusterObject) -> Pair:
    return {kind: Twin(kind, *objects) for kind in ("pure", "native")}


@pytest.fixture(scope="module", params=STAGES)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Both servers of the sample cluster, its names packed as they come, or listed first."""
    if request.param == "eager":
        return twins(*samples.objects())
    filler = [service(f"filler-{i}", f"10.9.{i // 250}.{i % 250 + 1}", "http:80") for i in range(400)]
    return twins(*samples.objects(), *filler)


STRANGER = packed(builders.STRANGER)


def is_denial(reply: bytes | None) -> bool:
    return reply is not None and reply[3] & 15 == wire.NXDOMAIN


def assert_equal(pair: Pair, packet: bytes, client: bytes) -> None:
    pure, native, slow = (
        pair["pure"].hot(packet),
        pair["native"].hot(packet),
        pair["native"].slow(packet, client),
    )
    if pure is not None:
        assert wire.canonical(pure) == wire.canonical(slow)
    if pure is None and is_denial(
        native
    ):  # the pure one does not know who asks, nor whether a search may go on
        pure = pair["pure"].slow(packet, STRANGER)
    assert wire.canonical(native) == wire.canonical(pure)
    asked = pair["native"].hot(packet, client)
    if asked is not None:
        assert wire.canonical(asked) == wire.canonical(slow)
    assert wire.canonical(slow) == wire.canonical(pair["pure"].slow(packet, client))


@settings(max_examples=600, deadline=None)
@given(packet=packets, client=st.sampled_from(CLIENTS))
def test_any_packet_gets_the_same_octets_or_is_declined_by_both(
    pair: Pair, packet: bytes, client: bytes
) -> None:
    assert_equal(pair, packet, client)


def test_every_name_type_edns_and_flag_of_the_sample_gets_the_same_octets(pair: Pair) -> None:
    for name, rdtype in itertools.product(samples.NAMES, TYPES):
        for edns, flags in itertools.product(EDNS, (0, wire.RD)):
            client = CLIENTS[(len(name) + rdtype) % len(CLIENTS)]
            assert_equal(pair, wire.query(name, rdtype, edns=edns, flags=flags), client)


def test_every_packet_of_the_fuzz_corpus_gets_the_same_octets(pair: Pair) -> None:
    for file in sorted(path for path in CORPUS.rglob("*") if path.is_file()):
        assert_equal(pair, file.read_bytes(), CLIENTS[0])


def test_a_query_cut_at_any_octet_or_with_one_changed_gets_the_same_octets(pair: Pair) -> None:
    whole = wire.query(samples.SERVICE, edns=wire.opt(600, wire.DO))
    cut = [whole[:size] for size in range(len(whole))]
    changed = [
        whole[:at] + bytes((octet,)) + whole[at + 1 :]
        for at in range(len(whole))
        for octet in (0, 1, 3, 0x29, 63, 64, 0x80, 0xC0, 0xFF)
    ]
    for packet in (*cut, *changed):
        assert_equal(pair, packet, CLIENTS[1])


SHORT = (
    "my-service",
    "my-service.my-ns",
    "my-service.my-ns.svc",
    "few.my-ns",
    "few",
    "db",
    "db-0.db",
    "inside",
)
SHORT_MORE = (
    *(
        "wide",
        "pending",
        "outside",
        "plain",
        "plain.other",
        "x.sky",
        "east.sky",
        "sky",
        "a.east.sky",
        "text.sky",
    ),
    *("localhost", "my-service.com", "my-service.local", "_http._tcp.my-service", "_http._tcp.few.my-ns"),
    *("svc", "pod", "my-ns.svc", "a.svc", "a.pod", "*.sky", "any.sky", "MY-SERVICE.My-Ns", "mail.sky"),
    *("x" * 63, ".".join(["y" * 60] * 4), "10-5-0-1.my-ns.pod", "dns-version", "ns.dns", "a.xn--p1ai"),
)


def test_short_names_get_what_the_slow_path_says_whoever_asks(pair: Pair) -> None:
    for name, rdtype, client in itertools.product((*SHORT, *SHORT_MORE), TYPES, CLIENTS):
        for edns, _ in itertools.product((b"", wire.opt(), wire.opt(600, wire.DO)), range(2)):
            assert_equal(pair, wire.query(name, rdtype, edns=edns), client)


def test_searches_get_what_the_slow_path_says_whoever_asks(pair: Pair) -> None:
    for name, rdtype, client in itertools.product(samples.SEARCHED, TYPES, CLIENTS):
        for edns, _ in itertools.product((b"", wire.opt(), wire.opt(600, wire.DO)), range(2)):
            assert_equal(pair, wire.query(name, rdtype, edns=edns), client)


def searched(name: str) -> str:
    """What a client of ``my-ns`` asks first when it searches for a name."""
    return f"{name}.my-ns.svc.{samples.ZONE}"


PLAIN_SEARCHES = {
    "a Service of another namespace": ("plain.other", wire.A),
    "with svc": ("plain.other.svc", wire.A),
    "a type that is not there": ("plain.other", wire.AAAA),
    "SRV with addresses to add": ("_http._tcp.my-service.my-ns", wire.SRV),
    "several addresses": ("few.my-ns", wire.A),
    "one label": ("dns-version", wire.TXT),
    "no hit": ("nothing.other", wire.A),
    "a name of the world": ("example.com", wire.A),
    "an endpoint of an own Service": ("db-2.db", wire.A),
}


@pytest.mark.parametrize("case", PLAIN_SEARCHES)
@pytest.mark.parametrize("host", ["10.5.0.1", "fd00:5::1", samples.MAPPED, "10.5.0.2", "198.51.100.1"])
def test_plain_searches_are_not_declined(case: str, host: str) -> None:
    name, rdtype = PLAIN_SEARCHES[case]
    native, client = Twin("native", *samples.objects()), packed(host)
    for edns in EDNS:
        packet = wire.query(searched(name), rdtype, edns=edns)
        reply = native.hot(packet, client)
        assert reply is not None
        assert wire.canonical(reply) == wire.canonical(native.slow(packet, client))


@pytest.mark.parametrize("kind", ["pure", "native"])
def test_what_one_clients_search_finds_is_for_nobody_else(kind: str) -> None:
    """In turns, so that nothing kept from one of them can reach the next."""
    served, packet = Twin(kind, *samples.objects()), wire.query(searched("plain.other"))
    expected = {"10.5.0.1": wire.NOERROR, "10.5.0.2": wire.NXDOMAIN, samples.MAPPED: wire.NOERROR}
    expected |= {"198.51.100.1": wire.NXDOMAIN, "fd00:5::1": wire.NOERROR, "10.5.0.3": wire.NXDOMAIN}
    for _, (host, rcode) in itertools.product(range(3), expected.items()):
        client = packed(host)
        hot = served.hot(packet, client) if kind == "native" else served.hot(packet)
        for reply in (hot or served.slow(packet, client), served.slow(packet, client)):
            assert wire.read(reply or b"").rcode == rcode


OWN_ZONE = wire.encode("cluster.test")
A_RECORD = record(0xC00C, wire.A, 5, bytes((10, 0, 0, 1)))
IN_OWN_ZONE = (
    "web.other.svc",
    "localhost",
    "web.cluster.test.svc",
    "svc.cluster.test",
    "web",
    "a.b",
    "a.b.svc",
    "b.my-ns.svc",
)


def test_searches_get_the_same_in_a_zone_that_is_no_top_level_domains() -> None:
    """There a full name that was searched is told by its end alone (rule 7)."""
    table, clients = NativeTable(lambda name: None, 1232), Clients({ip_network("10.0.0.0/8"): "my-ns"})
    table.replace_zone(OWN_ZONE, RRset(5, (bytes(22),)))
    table.set_search_path(OWN_ZONE, {ip_network("10.0.0.0/8"): "my-ns"}, ())
    for name in IN_OWN_ZONE:
        table.replace(wire.encode(name)[:-1] + OWN_ZONE, {wire.A: Answer(1, 0, A_RECORD)})
    responder = Responder(table, SearchPath(OWN_ZONE, clients, ()), 1232, ready=True)
    hits = []
    for name in (
        "web.other",
        "web.cluster.test",
        "web.other.svc.cluster.test",
        "web",
        "a.b",
        "b.x",
        "localhost",
    ):
        packet = wire.query(f"{name}.my-ns.svc.cluster.test")
        native, slow = table.answer(packet, CLIENTS[2]), responder.respond(packet, CLIENTS[2], stream=False)
        assert native == slow is not None
        hits += [name] if not is_denial(slow) else []
    assert hits == ["web.other", "web"]


def test_a_search_ends_with_its_first_step_without_autopath() -> None:
    native, client, packet = (
        Twin("native", *samples.objects()),
        CLIENTS[2],
        wire.query(searched("plain.other")),
    )
    assert not is_denial(native.hot(packet, client))
    native.table.set_search_path(wire.encode(samples.ZONE), {}, (), autopath=False)
    assert is_denial(native.hot(packet, client))
    assert native.hot(wire.query("my-service"), client) is not None
    native.table.set_search_path(None, {}, ())
    assert is_denial(native.hot(packet, client))


def test_a_search_may_end_at_any_pods_name_where_pods_are_insecure() -> None:
    pair = {kind: Twin(kind, *samples.objects(), pods=Pods.INSECURE) for kind in ("pure", "native")}
    for name, client in itertools.product(
        ("10-9-9-9.other.pod", "10-9-9-9.nobody.pod", "x.other.pod"), CLIENTS
    ):
        packet = wire.query(searched(name))
        assert_equal(pair, packet, client)
        found = wire.take_apart(pair["native"].slow(packet, client) or b"").rdatas[-1:]
        mine = pair["pure"].feed.responder.search._clients.namespace(client) == "my-ns"
        assert found == ([packed("10.9.9.9")] if mine and name == "10-9-9-9.other.pod" else [])


def test_a_search_follows_the_names_and_clients_as_they_come_and_go() -> None:
    """A namespace's first client, its last one, the name meant, and the one that was asked."""
    client, packet = packed("10.5.0.9"), wire.query(f"late.other.fresh.svc.{samples.ZONE}")
    pair = twins(*samples.objects())
    late, guest = service("late", "10.0.0.90", ns="other"), builders.pod("g", "10.5.0.9", ns="fresh")
    own = builders.headless("other", ns="fresh")
    ready = builders.endpoints("other", "late=10.6.0.1", ns="fresh")
    steps: list[tuple[ClusterObject | Ref, int]] = [
        *((late, wire.NXDOMAIN), (guest, wire.NOERROR), (own, wire.NOERROR), (ready, wire.NOERROR)),
        *((ready.ref, wire.NOERROR), (late.ref, wire.NXDOMAIN), (late, wire.NOERROR)),
        (guest.ref, wire.NXDOMAIN),
    ]
    for step, rcode in steps:
        for twin in pair.values():
            twin.change(step)
            reply = twin.hot(packet, client) if twin is pair["native"] else twin.hot(packet)
            assert wire.read(reply or twin.slow(packet, client) or b"").rcode == rcode
        assert_equal(pair, packet, client)


PLAIN_SHORT = {
    "a pod's own namespace": ("my-service", wire.A, "10.5.0.1"),
    "a pod's own namespace over IPv6": ("my-service", wire.A, "fd00:5::1"),
    "a network's namespace": ("my-service", wire.AAAA, samples.MAPPED),
    "a Service and its namespace": ("plain.other", wire.A, "198.51.100.1"),
    "a type that is not there": ("plain.other", wire.AAAA, "198.51.100.1"),
    "SRV with addresses to add": ("_http._tcp.my-service", wire.SRV, "10.5.0.1"),
    "several addresses": ("few.my-ns.svc", wire.A, "198.51.100.1"),
}


@pytest.mark.parametrize("case", PLAIN_SHORT)
def test_plain_short_names_are_not_declined(case: str) -> None:
    name, rdtype, host = PLAIN_SHORT[case]
    native, client = Twin("native", *samples.objects()), packed(host)
    for edns in EDNS:
        reply = native.hot(wire.query(name, rdtype, edns=edns), client)
        assert reply is not None
        assert wire.canonical(reply) == wire.canonical(
            native.slow(wire.query(name, rdtype, edns=edns), client)
        )


def test_short_names_mean_nothing_without_a_client_or_once_switched_off() -> None:
    native, client, packet = Twin("native", *samples.objects()), CLIENTS[2], wire.query("my-service")
    assert native.hot(packet) is None
    assert native.hot(packet, client) is not None
    native.table.set_search_path(None, {}, ())
    assert native.hot(packet, client) is None


def test_a_client_that_is_forgotten_falls_back_to_its_network_and_an_ambiguous_one_does_not() -> None:
    native, client = Twin("native", *samples.objects()), packed(samples.MAPPED)
    packet = wire.query("my-service")
    for namespace, answered in (("other", False), ("my-ns", True), (None, False)):
        native.table.set_client(client, namespace)
        assert (native.hot(packet, client) is not None) == answered
    native.table.remove_client(client)
    assert native.hot(packet, client) is not None


PACKETS = [
    wire.query(name, rdtype, edns=wire.opt(65535))
    for name, rdtype in itertools.product(
        (*CHANGING, "twin.my-ns", "my-service", *map(searched, ("twin.my-ns", "sky", "a.sky", "my-ns.svc"))),
        (wire.A, wire.SRV, wire.PTR),
    )
]


@settings(max_examples=40, deadline=None)
@given(steps=steps)
def test_after_any_changes_of_the_cluster_both_answer_alike(steps: list[ClusterObject | Ref]) -> None:
    pair = twins()
    for step in steps:
        for served in pair.values():
            served.change(step)
        for packet in PACKETS[:: len(steps)]:
            assert_equal(pair, packet, CLIENTS[2])


def test_after_every_single_change_both_answer_alike_and_hold_as_many_names() -> None:
    pair = twins()
    for step in [*POOL, *reversed(POOL), *REFS]:
        for served in pair.values():
            served.change(step)
        assert len(pair["pure"].table) == len(pair["native"].table)
        for packet in PACKETS:
            assert_equal(pair, packet, CLIENTS[2])


def test_nodes_zones_and_soas_read_back_are_those_put_in(pair: Pair) -> None:
    pure, native = pair["pure"].table, pair["native"].table
    for name in map(wire.encode, samples.NAMES):
        assert native.zone_of(name) == pure.zone_of(name)
        expected, found = pure.node(name), native.node(name)
        assert found == expected
        assert expected is None or list(found) == list(expected)
        if apex := pure.zone_of(name):
            assert native.soa(apex)[0] == pure.soa(apex)[0]


@pytest.mark.parametrize("size", [0, 511, 65536])
def test_an_edns_size_no_reply_could_have_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="from 512 to 65535"):
        NativeTable(lambda name: None, size)


@pytest.mark.parametrize("edns_size", [512, 1232, 4096, 65535])
def test_replies_keep_to_the_smaller_of_both_sizes(edns_size: int) -> None:
    pair = {kind: Twin(kind, *samples.objects(), edns_size=edns_size) for kind in ("pure", "native")}
    for name, payload in itertools.product(
        (samples.WIDE_NAME, samples.FEW_NAME), (0, 512, 1000, 4000, 65535)
    ):
        assert_equal(pair, wire.query(name, edns=wire.opt(payload)), CLIENTS[0])


def test_pure_table_is_the_one_compared_with() -> None:
    assert type(Twin("pure").table) is PureTable
    assert type(Twin("native").table) is NativeTable
