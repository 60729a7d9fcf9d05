"""What a name owns, derived from SkyDNS messages; each test's title is the claim."""

from collections.abc import Mapping
from dataclasses import replace

import dns.rdata
import pytest
from dns.rdataclass import IN
from dns.rdatatype import RdataType

from skydns_py.cluster.objects import Record
from skydns_py.zone.names import from_text, to_text
from skydns_py.zone.rrset import RRset
from skydns_py.zone.skydns import Found, Records
from skydns_py.zone.skydns_answers import parse_host

ZONE = "cluster.local"
TYPES = ("A", "AAAA", "CNAME", "SRV", "MX", "TXT", "PTR", "NS")


def index(*records: Record) -> Records:
    built = Records()
    for record in records:
        built.put(record)
    return built


def text(type_: int, rdata: bytes) -> str:
    """Presentation form, by dnspython: what is no rdata of the type raises."""
    return dns.rdata.from_wire(IN, RdataType(type_), rdata, 0, len(rdata)).to_text()


def shown(rrsets: Mapping[int, RRset]) -> dict[str, list[str]]:
    return {
        RdataType(type_).name: [text(type_, rdata) for rdata in rrset.rdatas]
        for type_, rrset in rrsets.items()
    }


def find(name: str, *records: Record, zone: str = ZONE) -> Found | None:
    return index(*records).lookup(from_text(name), from_text(zone))


def owned(name: str, *records: Record, zone: str = ZONE) -> dict[str, list[str]]:
    """What the name owns, as text; the name must exist."""
    found = find(name, *records, zone=zone)
    assert found is not None
    return shown(found.rrsets)


def glue(name: str, *records: Record, zone: str = ZONE) -> dict[str, dict[str, list[str]]]:
    found = find(name, *records, zone=zone)
    assert found is not None
    return {to_text(target): shown(rrsets) for target, rrsets in found.glue.items()}


# Every record shape with every type

PATH = "local/cluster/ns/a"
HERE = "a.ns.cluster.local."
WWW = "www.example.com."
SHAPES = {
    "IPv4": Record(PATH, "10.0.0.1", port=80),
    "IPv6": Record(PATH, "2001:db8::1", port=80),
    "IPv4-mapped": Record(PATH, "::ffff:10.0.0.1"),
    "alias": Record(PATH, "www.example.com", port=80),
    "text": Record(PATH, text="hello"),
    "IPv4 and text": Record(PATH, "10.0.0.1", text="hello"),
    "alias and text": Record(PATH, "www.example.com", text="hello"),
    "mail IPv4": Record(PATH, "10.0.0.1", mail=True),
    "mail IPv6": Record(PATH, "2001:db8::1", mail=True, priority=20),
    "mail alias": Record(PATH, "www.example.com.", mail=True),
    "mail text": Record(PATH, text="hello", mail=True),
    "bad host": Record(PATH, "not a host", port=80, mail=True),
    "bad host and text": Record(PATH, "10.0.0.256", text="hello"),
    "nothing": Record(PATH, port=80, mail=True),
}
EXPECTED = {
    "IPv4": {"A": "10.0.0.1", "SRV": f"10 100 80 {HERE}"},
    "IPv6": {"AAAA": "2001:db8::1", "SRV": f"10 100 80 {HERE}"},
    "IPv4-mapped": {"A": "10.0.0.1", "SRV": f"10 100 0 {HERE}"},
    "alias": {"CNAME": WWW, "SRV": f"10 100 80 {WWW}", "PTR": WWW},
    "text": {"TXT": '"hello"'},
    "IPv4 and text": {"A": "10.0.0.1", "SRV": f"10 100 0 {HERE}", "TXT": '"hello"'},
    "alias and text": {"CNAME": WWW, "SRV": f"10 100 0 {WWW}", "PTR": WWW, "TXT": '"hello"'},
    "mail IPv4": {"A": "10.0.0.1", "SRV": f"10 100 0 {HERE}", "MX": f"10 {HERE}"},
    "mail IPv6": {"AAAA": "2001:db8::1", "SRV": f"20 100 0 {HERE}", "MX": f"20 {HERE}"},
    "mail alias": {"CNAME": WWW, "SRV": f"10 100 0 {WWW}", "PTR": WWW, "MX": f"10 {WWW}"},
    "mail text": {"TXT": '"hello"'},
    "bad host": {},
    "bad host and text": {"TXT": '"hello"'},
    "nothing": {},
}


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_record_shape_answers_each_type_at_its_own_name(shape: str, type_: str) -> None:
    expected = EXPECTED[shape].get(type_)
    assert owned("a.ns.cluster.local", SHAPES[shape]).get(type_) == (expected and [expected])


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_record_shape_answers_each_type_one_label_up_except_ptr(shape: str, type_: str) -> None:
    expected = EXPECTED[shape].get(type_) if type_ != "PTR" else None
    assert owned("ns.cluster.local", SHAPES[shape]).get(type_) == (expected and [expected])


# Hosts


@pytest.mark.parametrize(
    ("host", "address", "alias"),
    [
        ("10.0.0.1", b"\x0a\0\0\1", ""),
        ("::1", bytes(15) + b"\1", ""),
        ("::ffff:10.0.0.1", b"\x0a\0\0\1", ""),
        ("example.com", b"", "example.com."),
        ("EXAMPLE.com.", b"", "example.com."),
        ("_sip._tcp.example.com", b"", "_sip._tcp.example.com."),
        ("1.0/25.2.0.192.in-addr.arpa", b"", "1.0/25.2.0.192.in-addr.arpa."),
        ("localhost", b"", "localhost."),
        (".", b"", "."),
    ],
)
def test_a_host_is_an_address_or_a_name(host: str, address: bytes, alias: str) -> None:
    assert parse_host(host) == (address, from_text(alias) if alias else b"")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "..",
        "a..b",
        ".a",
        "a b",
        " a",
        "a\n",
        "http://a.example",
        "a.example:80",
        "10.0.0.300",
        "10.0.0.1.",
        "1",
        "fe80::1%eth0",
        "bücher.example",
        "a" * 64,
        "a." * 128,
        "a" * 1_000_000,
    ],
)
def test_a_host_that_is_neither_makes_nothing(host: str) -> None:
    assert parse_host(host) == (b"", b"")


def test_a_record_with_a_bad_host_leaves_the_others_served() -> None:
    good, bad = Record("local/cluster/a/1", "10.0.0.1"), Record("local/cluster/a/0", "no host")
    assert owned("a.cluster.local", good, bad) == owned("a.cluster.local", good)


# Addresses and aliases


def test_addresses_below_a_name_are_merged_in_key_order() -> None:
    records = [
        Record(f"local/cluster/a/{n}", host) for n, host in enumerate(("10.0.0.2", "10.0.0.1", "10.0.0.2"))
    ]
    assert owned("a.cluster.local", *records)["A"] == ["10.0.0.2", "10.0.0.1"]


@pytest.mark.parametrize(("type_", "host"), [("A", "10.0.0.1"), ("AAAA", "2001:db8::1")])
def test_an_address_of_either_family_wins_over_aliases(type_: str, host: str) -> None:
    alias, address = Record("local/cluster/a/1", "b.example"), Record("local/cluster/a/2", host)
    owns = owned("a.cluster.local", alias, address)
    assert (owns[type_], owns.get("CNAME")) == ([host], None)


def test_among_several_aliases_the_first_by_key_order_is_the_only_one() -> None:
    records = [Record(f"local/cluster/a/{n}", f"{n}.example.com") for n in (2, 1, 3)]
    assert owned("a.cluster.local", *records)["CNAME"] == ["1.example.com."]


def test_the_alias_at_the_name_itself_comes_before_aliases_below_it() -> None:
    at, below = Record("local/cluster/a", "at.example"), Record("local/cluster/a/1", "below.example")
    assert owned("a.cluster.local", below, at)["CNAME"] == ["at.example."]


@pytest.mark.parametrize("target", ["a.ns.cluster.local", "NS.cluster.local.", "cluster.local", "local", "."])
def test_an_alias_to_the_name_itself_or_above_is_skipped(target: str) -> None:
    records = [Record("local/cluster/ns/a/1", target), Record("local/cluster/ns/a/2", "b.ns.cluster.local")]
    assert owned("a.ns.cluster.local", *records)["CNAME"] == ["b.ns.cluster.local."]
    assert "CNAME" not in owned("a.ns.cluster.local", records[0])


def test_an_alias_to_a_name_with_the_same_ending_is_no_loop() -> None:
    assert owned("ba.cluster.local", Record("local/cluster/ba", "a.cluster.local"))["CNAME"]


def test_pointers_come_from_the_exact_key_only() -> None:
    record = Record("arpa/in-addr/10/0/0/127", "reverse.skydns.local.")
    assert owned("127.0.0.10.in-addr.arpa", record, zone="in-addr.arpa")["PTR"] == ["reverse.skydns.local."]
    assert "PTR" not in owned("0.0.10.in-addr.arpa", record, zone="in-addr.arpa")


# TTL


@pytest.mark.parametrize(
    ("ttl", "lease", "served"),
    [
        (0, 0, 300),
        (60, 0, 60),
        (0, 20, 20),
        (60, 20, 20),
        (20, 60, 20),
        (2**32 - 1, 0, 2**31 - 1),
        (-5, 0, 300),
    ],
)
def test_the_ttl_is_the_smaller_of_record_and_lease(ttl: int, lease: int, served: int) -> None:
    found = find("a.cluster.local", Record("local/cluster/a", "10.0.0.1", ttl=ttl, lease_seconds=lease))
    assert found is not None
    assert {rrset.ttl for rrset in found.rrsets.values()} == {served}


def test_an_rrset_has_the_smallest_ttl_of_its_records_rfc_2181_5_2() -> None:
    ttls = [("10.0.0.1", 60), ("10.0.0.2", 30), ("2001:db8::1", 90), ("10.0.0.1", 20)]
    found = find(
        "a.cluster.local",
        *(Record(f"local/cluster/a/{n}", host, ttl=ttl) for n, (host, ttl) in enumerate(ttls)),
    )
    assert found is not None
    assert (found.rrsets[1].ttl, found.rrsets[28].ttl) == (20, 90)


# What real writers write


def test_external_dns_ownership_text_hides_neither_address_nor_alias() -> None:
    heritage = "heritage=external-dns,external-dns/owner=default,external-dns/resource=service/ns/web"
    web = Record("local/cluster/web/1a2b3c4d", "192.0.2.7", text=heritage, targetstrip=1, ttl=60)
    other = replace(web, path="local/cluster/web/5e6f7081", host="192.0.2.8", text="")
    alias = Record("local/cluster/blog/0badcafe", "lb.example.com", text=heritage, targetstrip=1)
    assert owned("web.cluster.local", web, other) == {
        "A": ["192.0.2.7", "192.0.2.8"],
        "SRV": ["10 50 0 web.cluster.local."],
        "TXT": [f'"{heritage}"'],
    }
    assert glue("web.cluster.local", web, other) == {"web.cluster.local.": {"A": ["192.0.2.7", "192.0.2.8"]}}
    assert owned("blog.cluster.local", alias) == {
        "CNAME": ["lb.example.com."],
        "SRV": ["10 100 0 lb.example.com."],
        "TXT": [f'"{heritage}"'],
    }


def test_kube2sky_of_the_first_releases_one_value_at_the_services_name() -> None:
    record = Record("local/kubernetes/my-ns/my-service", "10.0.0.11", port=80, priority=10, weight=10, ttl=30)
    assert owned("my-service.my-ns.kubernetes.local", record, zone="kubernetes.local") == {
        "A": ["10.0.0.11"],
        "SRV": ["10 100 80 my-service.my-ns.kubernetes.local."],
    }


def test_kube2sky_of_later_releases_hashed_values_and_named_ports() -> None:
    base = "local/cluster/svc/my-ns/my-service"
    address = Record(f"{base}/3f2a01bc", "10.0.0.11", priority=10, weight=10, ttl=30)
    target = "3f2a01bc.my-service.my-ns.svc.cluster.local."
    port = replace(address, path=f"{base}/_tcp/_http/3f2a01bc", host=target, port=80)
    name = "my-service.my-ns.svc.cluster.local"
    owns = owned(name, address, port)
    assert owns["A"] == ["10.0.0.11"]
    assert "CNAME" not in owns
    assert owned(f"_http._tcp.{name}", address, port)["SRV"] == [f"10 100 80 {target}"]
    assert owned(f"3f2a01bc.{name}", address, port)["A"] == ["10.0.0.11"]
