"""What the name of several SkyDNS records owns: SRV, MX and their targets, TXT, groups, the apex."""

from dataclasses import replace

import dns.rdata
import pytest
from dns.rdataclass import IN
from dns.rdatatype import RdataType

from skydns_py.cluster.objects import Record
from tests.zone.test_skydns import find, glue, owned, shown

# SRV, MX and their targets


def weights(*given: tuple[int, int]) -> list[str]:
    """The SRV records' first two fields, for records of (priority, weight)."""
    records = [
        Record(f"local/cluster/a/{n}", f"h{n}.example", priority=priority, weight=weight)
        for n, (priority, weight) in enumerate(given)
    ]
    return [" ".join(line.split()[:2]) for line in owned("a.cluster.local", *records)["SRV"]]


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ([(0, 120), (0, 100), (0, 130)], ["10 34", "10 28", "10 37"]),
        ([(0, 0)], ["10 100"]),
        ([(0, 0), (0, 0), (0, 0)], ["10 33", "10 33", "10 33"]),
        ([(0, 0), (0, 50)], ["10 66", "10 33"]),
        ([(0, 10_000), (0, 1)], ["10 99", "10 1"]),
        ([(5, 10), (20, 10), (20, 30)], ["5 100", "20 25", "20 75"]),
        ([(0, 10), (10, 10)], ["10 50", "10 50"]),
        ([(0, -7), (0, 100)], ["10 50", "10 50"]),
    ],
)
def test_weights_share_a_hundred_per_priority(given: list[tuple[int, int]], served: list[str]) -> None:
    assert weights(*given) == served


def test_a_large_number_of_equal_weights_are_all_one() -> None:
    assert set(weights(*[(0, 0)] * 150)) == {"10 1"}


def test_records_that_differ_only_in_weight_are_one_srv_record() -> None:
    records = [Record(f"local/cluster/a/{n}", "h.example", port=80, weight=n, ttl=n * 10) for n in (1, 3)]
    found = find("a.cluster.local", *records)
    assert found is not None
    assert shown(found.rrsets)["SRV"] == ["10 25 80 h.example."]
    assert found.rrsets[33].ttl == 10


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_ports_that_fit_are_served_zero_too(port: int) -> None:
    assert owned("a.cluster.local", Record("local/cluster/a", "h.example", port=port))["SRV"] == [
        f"10 100 {port} h.example."
    ]


@pytest.mark.parametrize("field", [{"port": -1}, {"port": 65536}, {"priority": -1}, {"priority": 65536}])
def test_values_out_of_range_leave_the_srv_record_out(field: dict[str, int]) -> None:
    bad = replace(Record("local/cluster/a/1", "10.0.0.1", mail=True), **field)  # type: ignore[arg-type]  # ints all
    owns = owned("a.cluster.local", bad, Record("local/cluster/a/2", "10.0.0.2"))
    assert owns["A"] == ["10.0.0.1", "10.0.0.2"]
    assert owns["SRV"] == ["10 100 0 2.a.cluster.local."]
    assert ("MX" in owns) == ("priority" not in field)


@pytest.mark.parametrize(
    ("strip", "target"),
    [
        (0, "x.a.ns.cluster.local."),
        (1, "a.ns.cluster.local."),
        (2, "ns.cluster.local."),
        (3, "cluster.local."),
        (4, "x.a.ns.cluster.local."),
        (5, "x.a.ns.cluster.local."),
        (99, "x.a.ns.cluster.local."),
        (-1, "x.a.ns.cluster.local."),
    ],
)
def test_targetstrip_takes_labels_off_the_keys_name_but_never_leaves_the_zone(
    strip: int, target: str
) -> None:
    record = Record("local/cluster/ns/a/x", "10.0.0.1", targetstrip=strip, mail=True)
    owns = owned("a.ns.cluster.local", record)
    assert (owns["SRV"], owns["MX"]) == ([f"10 100 0 {target}"], [f"10 {target}"])
    assert glue("a.ns.cluster.local", record) == {target: {"A": ["10.0.0.1"]}}


def test_targetstrip_of_the_whole_name_is_too_many_in_the_root_zone_too() -> None:
    record = Record("local/a", "10.0.0.1", targetstrip=2)
    assert owned("a.local", record, zone=".")["SRV"] == ["10 100 0 a.local."]


def test_targetstrip_leaves_a_named_host_alone() -> None:
    record = Record("local/cluster/a/x", "lb.example.com", targetstrip=1)
    assert owned("a.cluster.local", record)["SRV"] == ["10 100 0 lb.example.com."]


def test_glue_has_both_families_of_a_shared_target_and_none_for_names() -> None:
    records = [
        Record("local/cluster/a/1", "10.0.0.1", targetstrip=1),
        Record("local/cluster/a/2", "2001:db8::1", targetstrip=1),
        Record("local/cluster/a/3", "lb.example.com"),
    ]
    assert owned("a.cluster.local", *records)["SRV"] == [
        "10 33 0 a.cluster.local.",
        "10 33 0 lb.example.com.",
    ]
    assert glue("a.cluster.local", *records) == {
        "a.cluster.local.": {"A": ["10.0.0.1"], "AAAA": ["2001:db8::1"]}
    }


def test_a_key_that_is_no_name_still_gives_its_address_to_the_name_above() -> None:
    sha256 = "ab" * 32
    record = Record(f"local/cluster/a/{sha256}", "10.0.0.1", mail=True)
    assert owned("a.cluster.local", record) == {"A": ["10.0.0.1"]}
    assert owned("a.cluster.local", replace(record, targetstrip=1))["SRV"] == ["10 100 0 a.cluster.local."]


# TXT


@pytest.mark.parametrize(
    ("given", "sizes"),
    [("x" * 255, [255]), ("x" * 256, [255, 1]), ("x" * 600, [255, 255, 90]), ("é" * 200, [255, 145])],
)
def test_long_text_is_cut_into_strings_of_255_octets_rfc_1035_3_3_14(given: str, sizes: list[int]) -> None:
    found = find("a.cluster.local", Record("local/cluster/a", text=given))
    assert found is not None
    (rdata,) = found.rrsets[16].rdatas
    strings = dns.rdata.from_wire(IN, RdataType.TXT, rdata, 0, len(rdata)).strings  # type: ignore[attr-defined]  # TXT's own
    assert [len(string) for string in strings] == sizes
    assert b"".join(strings).decode() == given


def test_text_that_is_no_unicode_is_served_with_replacements() -> None:
    assert owned("a.cluster.local", Record("local/cluster/a", text="a\ud800b"))["TXT"] == ['"a?b"']


# Groups


def grouped(*given: tuple[str, str]) -> list[str]:
    """The names of the (key below a, group) records that are served."""
    records = [
        Record(f"local/cluster/a/{key}", f"10.0.0.{n}", group=group, text=key)
        for n, (key, group) in enumerate(given)
    ]
    owns = owned("a.cluster.local", *records)
    keys = sorted(given[int(address.rpartition(".")[2])][0] for address in owns["A"])
    assert keys == sorted(line.strip('"') for line in owns["TXT"])
    return keys


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ([("1", ""), ("2", "")], ["1", "2"]),
        ([("1", "g"), ("2", "g")], ["1", "2"]),
        ([("1", "g"), ("2", "")], ["1", "2"]),
        ([("1", "g"), ("2", "h")], ["1", "2"]),
        ([("1", "g"), ("2/x", "h")], ["1"]),
        ([("1", "g"), ("2/x", "h"), ("3/x", "g"), ("4/x", "")], ["1", "3/x", "4/x"]),
        ([("1/x", "h"), ("2", "g")], ["2"]),
        ([("1/x", "h"), ("2", "g"), ("3", "h")], ["1/x", "2", "3"]),
        ([("1", ""), ("2/x", "g")], ["1", "2/x"]),
        ([("1/x", "h"), ("2", ""), ("3", "g")], ["1/x", "2"]),
    ],
)
def test_the_shallowest_keys_group_is_served_with_what_has_none(
    given: list[tuple[str, str]], served: list[str]
) -> None:
    assert grouped(*given) == served


def test_a_record_without_host_has_no_say_in_the_hosts_group() -> None:
    text, host = Record("local/cluster/a/1", text="t", group="g"), Record("local/cluster/a/2/x", "10.0.0.1")
    assert owned("a.cluster.local", text, replace(host, group="h"))["A"] == ["10.0.0.1"]


def test_a_record_with_a_host_has_its_say_in_the_texts_group() -> None:
    host, text = Record("local/cluster/a/1", "10.0.0.1", group="g"), Record("local/cluster/a/2/x", text="t")
    assert owned("a.cluster.local", host, text)["TXT"] == ['"t"']
    assert "TXT" not in owned("a.cluster.local", host, replace(text, group="h"))


# The apex

NS1 = Record("local/cluster/dns/ns/ns1", "10.0.0.53", ttl=60)


def test_the_apex_does_not_sum_up_its_zone() -> None:
    record = Record("local/cluster/x1", "10.0.0.1", text="t", mail=True)
    assert owned("cluster.local", record) == {}


def test_apex_dns_is_what_the_apex_owns() -> None:
    records = [Record(f"local/cluster/dns/apex/{n}", f"10.0.0.{n}", text=str(n), mail=True) for n in (1, 2)]
    owns = owned("cluster.local", *records, Record("local/cluster/other", "10.0.0.9"))
    assert (owns["A"], owns["TXT"]) == (["10.0.0.1", "10.0.0.2"], ['"1"', '"2"'])
    assert owns["MX"] == ["10 1.apex.dns.cluster.local.", "10 2.apex.dns.cluster.local."]
    assert glue("cluster.local", *records)["1.apex.dns.cluster.local."] == {"A": ["10.0.0.1"]}
    assert owned("cluster.local", Record("local/cluster/dns/apex", "10.0.0.1"))["A"] == ["10.0.0.1"]


@pytest.mark.parametrize("path", ["local/cluster", "local/cluster/"])
def test_without_apex_dns_the_record_at_the_zones_own_key_is_the_apex(path: str) -> None:
    own = Record(path, "10.0.0.1")
    assert owned("cluster.local", own, Record("local/cluster/x", "10.0.0.2"))["A"] == ["10.0.0.1"]
    assert owned("cluster.local", own, Record("local/cluster/dns/apex", "10.0.0.3"))["A"] == ["10.0.0.3"]


def test_the_apex_as_external_dns_writes_it_is_served_and_www_beside_it_is_not() -> None:
    records = [
        Record("local/cluster/0f3a9c21", "10.0.0.1", text='"heritage=external-dns"', targetstrip=1),
        Record("local/cluster/www/4be1d077", "10.0.0.2", targetstrip=1),
    ]
    owns = owned("cluster.local", *records)
    assert (owns["A"], owns["SRV"]) == (["10.0.0.1"], ["10 100 0 cluster.local."])
    assert owned("www.cluster.local", *records)["A"] == ["10.0.0.2"]


def test_the_apex_has_no_alias_rfc_1034_3_6_2() -> None:
    records = [Record("local/cluster/dns/apex", "www.example.com"), Record("local/cluster", "b.example.com")]
    assert "CNAME" not in owned("cluster.local", *records)


def test_name_servers_are_the_addresses_below_ns_dns_with_glue() -> None:
    records = [NS1, replace(NS1, path="local/cluster/dns/ns/ns2", host="2001:db8::53", ttl=30)]
    found = find("cluster.local", *records)
    assert found is not None
    assert shown(found.rrsets)["NS"] == ["ns1.ns.dns.cluster.local.", "ns2.ns.dns.cluster.local."]
    assert found.rrsets[2].ttl == 30
    assert glue("cluster.local", *records) == {
        "ns1.ns.dns.cluster.local.": {"A": ["10.0.0.53"]},
        "ns2.ns.dns.cluster.local.": {"AAAA": ["2001:db8::53"]},
    }


def test_a_name_server_given_by_name_is_left_out() -> None:
    named = Record("local/cluster/dns/ns/ns2", "ns.example.com")
    assert owned("cluster.local", NS1, named)["NS"] == ["ns1.ns.dns.cluster.local."]


def test_each_zone_has_its_own_apex() -> None:
    inner = Record("local/cluster/sub/dns/apex", "10.0.0.2")
    outer = Record("local/cluster/dns/apex", "10.0.0.1")
    assert owned("sub.cluster.local", inner, outer, zone="sub.cluster.local")["A"] == ["10.0.0.2"]
    assert owned("cluster.local", inner, outer)["A"] == ["10.0.0.1"]
