"""The index of SkyDNS records: which records a name finds, and which names a change touches."""

from collections.abc import Iterable
from itertools import product

import dns.rdata
import pytest
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cluster.objects import Record
from skydns_py.zone.names import ancestors, from_labels, from_text
from skydns_py.zone.skydns import MAX_VISITED, Found, Records, has_wildcard
from skydns_py.zone.skydns_answers import MAX_RRSET, MAX_TTL

ZONE = from_text("cluster.local")


def index(records: Iterable[Record]) -> Records:
    built = Records()
    for record in records:
        built.put(record)
    return built


def at(*paths: str) -> Records:
    """Records at these paths below the zone, whose addresses count up from 10.0.0.1."""
    return index(Record(f"local/cluster/{path}", f"10.0.0.{n}") for n, path in enumerate(paths, 1))


def last_octets(records: Records, name: str) -> list[int] | None:
    """Which of ``at``'s paths the name finds, counted from 1; None where it does not exist."""
    found = records.lookup(from_text(f"{name}.cluster.local"), ZONE)
    return None if found is None else [rdata[3] for rdata in found.rrsets[1].rdatas]


# Existence


def test_a_name_without_records_at_or_below_does_not_exist() -> None:
    records = at("ns/a", "ns/b/x")
    for name in ("c.ns", "x.a.ns", "ns.ns", "nss", "n", "a", "x"):
        assert last_octets(records, name) is None
    assert records.lookup(from_text("example.com"), from_text("example.com")) is None


def test_a_name_with_records_below_exists_even_if_they_say_nothing() -> None:
    records = index([Record("local/cluster/x/y/z")])
    for name in ("x.cluster.local", "y.x.cluster.local", "z.y.x.cluster.local", "cluster.local"):
        assert records.lookup(from_text(name), ZONE) == Found({}, {})


def test_an_empty_index_has_no_name_not_even_the_root() -> None:
    records = Records()
    assert not records
    assert records.lookup(b"\0", b"\0") is None
    assert not records.has(b"\0", b"\0")


def test_records_below_a_name_hide_the_record_at_it() -> None:
    records = at("a", "a/x", "a/y/z")
    assert last_octets(records, "a") == [2, 3]
    records.remove("local/cluster/a/x")
    records.remove("local/cluster/a/y/z")
    assert last_octets(records, "a") == [1]


def test_a_deleted_record_leaves_the_answer_and_an_emptied_name_ceases_to_exist() -> None:
    records = at("ns/a/1", "ns/a/2")
    records.remove("local/cluster/ns/a/1")
    assert last_octets(records, "a.ns") == [2]
    records.remove("local/cluster/ns/a/2")
    assert last_octets(records, "a.ns") is None
    assert last_octets(records, "ns") is None
    assert len(records) == 0


def test_paths_that_differ_only_in_case_or_slashes_are_one_name_and_both_served() -> None:
    records = at("NS/a", "ns/A", "ns//a/")
    assert last_octets(records, "a.ns") == [1, 3, 2]
    assert len(records) == 3
    records.remove("local/cluster/ns/A")
    assert last_octets(records, "a.ns") == [1, 3]


def test_labels_that_are_not_ascii_are_found_by_their_octets() -> None:
    records = index([Record("local/cluster/bücher", "10.0.0.1")])
    assert records.has(bytes((7,)) + "bücher".encode() + ZONE, ZONE)


# Wildcards


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("*.ns", [1, 2, 3]),
        ("any.ns", [1, 2, 3]),
        ("a.*", [1, 4]),
        ("*.*", [1, 2, 3, 4]),
        ("*", [1, 2, 3, 4]),
        ("x.*.ns", [3]),
        ("*.b.ns", [3]),
        ("*.b.*", [3]),
        ("*.*.*", [3]),
        ("*.*.*.*", None),
        ("c.*", None),
        ("*.c", None),
    ],
)
def test_a_wildcard_stands_for_one_label_and_deeper_keys_match(name: str, expected: list[int] | None) -> None:
    records = at("ns/a", "ns/b", "ns/b/x", "other/a")
    assert last_octets(records, name) == expected
    assert records.has(from_text(f"{name}.cluster.local"), ZONE) == (expected is not None)


def test_a_zone_called_any_is_no_wildcard() -> None:
    zone = from_text("any.corp")
    records = index([Record("corp/any/a", "10.0.0.1"), Record("corp/other/a", "10.0.0.2")])
    found = records.lookup(from_text("a.any.corp"), zone)
    assert found is not None
    assert found.rrsets[1].rdatas == (bytes((10, 0, 0, 1)),)


@pytest.mark.parametrize(
    ("name", "wild"), [("*.a", True), ("a.any.b", True), ("anyone.a*", False), ("a.b", False), (".", False)]
)
def test_has_wildcard_knows_the_two_labels(name: str, wild: bool) -> None:
    assert has_wildcard(from_text(name)) is wild


# Bounds


@pytest.mark.parametrize("name", ["many.cluster.local", "*.many.cluster.local"])
def test_a_lookup_visits_no_more_than_its_bound_and_keeps_the_first_in_key_order(name: str) -> None:
    same = (Record(f"local/cluster/many/{n:05}", "10.0.0.1", ttl=60) for n in range(MAX_VISITED))
    last = Record("local/cluster/many/99999", "10.0.0.2", ttl=60)
    found = index([last, *same]).lookup(from_text(name), ZONE)
    assert found is not None
    assert found.rrsets[1] == (60, (bytes((10, 0, 0, 1)),))


def test_an_rrset_stops_where_a_tcp_message_is_full_in_key_order() -> None:
    hosts = [f"10.1.{n >> 8}.{n & 255}" for n in range(5000)]
    records = index(Record(f"local/cluster/many/{n:05}", host) for n, host in enumerate(hosts))
    found = records.lookup(from_text("many.cluster.local"), ZONE)
    assert found is not None
    served = [f"10.1.{rdata[2]}.{rdata[3]}" for rdata in found.rrsets[1].rdatas]
    assert served == hosts[: MAX_RRSET // 16]
    assert len(found.glue) == len(found.rrsets[33].rdatas) < len(served)


def test_a_text_larger_than_a_message_is_left_out_alone() -> None:
    records = index(
        [Record("local/cluster/a/1", text="x" * 70_000), Record("local/cluster/a/2", text="short")]
    )
    found = records.lookup(from_text("a.cluster.local"), ZONE)
    assert found is not None
    assert found.rrsets[16].rdatas == (b"\5short",)


def test_a_path_deeper_than_any_name_is_not_kept() -> None:
    records = Records()
    assert records.put(Record("a/" * 128, "10.0.0.1")) == ()
    assert len(records) == 0
    assert records.remove("a/" * 128) == ()
    assert len(records.put(Record("a/" * 127, "10.0.0.1"))) == 128
    assert records.has(from_text("a." * 127), from_text("a"))


# What changed


def test_a_change_names_the_record_and_every_name_above_it() -> None:
    records = Records()
    record = Record("local/cluster/ns/a", "10.0.0.1")
    touched = tuple(ancestors(from_text("a.ns.cluster.local")))
    assert records.put(record) == touched
    assert records.put(record) == ()
    assert records.put(Record("local/cluster/ns/a", "10.0.0.2")) == touched
    assert records.remove("local/cluster/ns/b") == ()
    assert records.remove("local/cluster/ns") == ()
    assert records.remove("local/cluster/ns/a") == touched
    assert records.remove("local/cluster/ns/a") == ()


def test_a_key_that_is_no_name_touches_the_names_above_it() -> None:
    assert Records().put(Record("local/cluster/" + "x" * 64, "10.0.0.1")) == tuple(ancestors(ZONE))
    long = "local/" + "/".join(["x" * 63] * 4)
    assert Records().put(Record(long, "10.0.0.1"))[0] == from_labels(*["x" * 63] * 3, "local")


LABELS = ("a", "b", "dns", "ns", "apex")
PLACES = [place for depth in range(4) for place in product(LABELS, repeat=depth)]
PLAIN = [from_labels(*reversed(place), base=from_text("z")) for place in PLACES]
WILD = [from_text(name) for name in ("*.z", "a.*.z", "*.a.z", "any.*.z", "*.*.dns.z")]
HOSTS = ("", "10.0.0.1", "10.0.0.2", "2001:db8::1", "a.z", "b.a.z", "z", "x.example", "bad host")
SMALL = st.integers(0, 3)

records_somewhere = st.builds(
    Record,
    path=st.sampled_from(["/".join(("z", *place)) for place in PLACES]),
    host=st.sampled_from(HOSTS),
    port=SMALL,
    priority=SMALL,
    weight=SMALL,
    text=st.sampled_from(("", "t", "u")),
    mail=st.booleans(),
    ttl=SMALL,
    targetstrip=SMALL,
    group=st.sampled_from(("", "", "g", "h")),
    lease_seconds=SMALL,
)
changes = st.lists(st.tuples(st.booleans(), records_somewhere), max_size=12)


def snapshot(records: Records, names: Iterable[bytes]) -> dict[bytes, Found | None]:
    return {name: records.lookup(name, from_text("z")) for name in names}


@settings(max_examples=60, deadline=None)
@given(changes)
def test_a_change_touches_every_name_whose_lookup_it_changes(steps: list[tuple[bool, Record]]) -> None:
    records = Records()
    before = snapshot(records, PLAIN)
    for added, record in [*steps, *((False, record) for _, record in steps)]:
        touched = records.put(record) if added else records.remove(record.path)
        after = snapshot(records, PLAIN)
        assert {name for name in PLAIN if before[name] != after[name]} <= set(touched)
        before = after
    assert not records
    assert set(before.values()) == {None}


@settings(max_examples=100, deadline=None)
@given(changes)
def test_an_index_after_any_changes_equals_one_built_afresh(steps: list[tuple[bool, Record]]) -> None:
    records, kept = Records(), {}
    for added, record in steps:
        if added:
            records.put(record)
            kept[record.path] = record
        else:
            records.remove(record.path)
            kept.pop(record.path, None)
    fresh = index(sorted(kept.values(), key=lambda record: record.path, reverse=True))
    names = [*PLAIN, *WILD]
    assert snapshot(records, names) == snapshot(fresh, names)
    assert len(records) == len(kept)
    assert all(
        records.has(name, from_text("z")) == (records.lookup(name, from_text("z")) is not None)
        for name in names
    )


wild_records = st.builds(
    Record,
    path=st.one_of(st.text(max_size=8), st.text("ab/", max_size=6)).map(lambda rest: f"z/a/{rest}"),
    host=st.one_of(st.ip_addresses().map(str), st.text(max_size=12), st.sampled_from((*HOSTS, "a.b.", "."))),
    port=st.integers(-1, 70_000),
    priority=st.sampled_from((0, 1, 10, 65535, 65536, -3)),
    weight=st.integers(-1, 2**40),
    text=st.text(max_size=600),
    mail=st.booleans(),
    ttl=st.integers(0, 2**32 - 1),
    targetstrip=st.integers(-1, 6),
    lease_seconds=st.integers(0, 2**40),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(wild_records, max_size=12))
def test_every_rrset_is_well_formed_whatever_the_records_say(given_records: list[Record]) -> None:
    found = index(given_records).lookup(from_text("a.z"), from_text("z"))
    if not given_records:
        assert found is None
        return
    assert found is not None
    for rrsets in (found.rrsets, *found.glue.values()):
        for type_, rrset in rrsets.items():
            assert 0 < rrset.ttl <= MAX_TTL
            assert len(set(rrset.rdatas)) == len(rrset.rdatas) > 0
            for rdata in rrset.rdatas:
                parsed = dns.rdata.from_wire(IN, RdataType(type_), rdata, 0, len(rdata))
                assert parsed.to_wire() == rdata
    assert len(found.rrsets[5].rdatas if 5 in found.rrsets else ()) <= 1
    assert not ({5} <= found.rrsets.keys() and {1, 28} & found.rrsets.keys())


@settings(max_examples=200, deadline=None)
@given(st.lists(wild_records, max_size=12))
def test_weights_of_a_priority_share_a_hundred_apart_from_the_floor_of_one(
    given_records: list[Record],
) -> None:
    found = index(given_records).lookup(from_text("a.z"), from_text("z"))
    shares: dict[bytes, int] = {}
    for rdata in found.rrsets[33].rdatas if found and 33 in found.rrsets else ():
        weight = int.from_bytes(rdata[2:4], "big")
        assert weight >= 1
        shares[rdata[:2]] = shares.get(rdata[:2], 0) + (weight if weight > 1 else 0)
    assert all(share <= 100 for share in shares.values())
