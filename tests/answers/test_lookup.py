"""The walk along aliases, and what a whole reply may hold: through the server, where sections are counted."""

from functools import cache

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

from skydns_py.answers.lookup import MAX_CHAIN
from skydns_py.cluster.objects import Endpoint, EndpointPort, EndpointSlice, Record, Service, Subset
from skydns_py.zone import rrset
from tests.builders import Served, alias, headless, lines, qualified, service, slice_of
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim

LONG = "x" * 56


def chained(length: int, last: str) -> list[Service]:
    """Aliases ``1-x…`` to ``length-x…`` with long names, the highest of which is an alias for ``last``."""
    names = [f"{n}-{LONG}" for n in range(1, length + 1)]
    targets = [*(f"{name}.{LONG}.svc" for name in names[1:]), last]
    return [alias(name, target, ns=LONG) for name, target in zip(names, targets, strict=True)]


FIRST = f"1-{LONG}.{LONG}.svc"

# The chain


def test_a_chain_of_the_most_aliases_is_followed_to_its_end() -> None:
    served = Served(*chained(MAX_CHAIN, "web.my-ns.svc"), service("web", "10.0.0.1"))
    reply = served.ask(FIRST, stream=True)
    assert [found.rdtype for found in reply.answer] == [dns.rdatatype.CNAME] * MAX_CHAIN + [dns.rdatatype.A]
    assert "web.my-ns.svc A 10.0.0.1" in lines(reply.answer)
    assert reply.authority == []


@pytest.mark.parametrize("length", [MAX_CHAIN + 1, MAX_CHAIN + 2, 40])
def test_a_longer_chain_is_cut_and_denies_nothing(length: int) -> None:
    served = Served(*chained(length, "web.my-ns.svc"), service("web", "10.0.0.1"))
    reply = served.ask(FIRST, stream=True)
    assert [found.rdtype for found in reply.answer] == [dns.rdatatype.CNAME] * (MAX_CHAIN + 1)
    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.authority == []


@pytest.mark.parametrize("length", range(1, MAX_CHAIN + 2))
def test_a_ring_ends_without_data_once_it_closes(length: int) -> None:
    reply = Served(*chained(length, FIRST)).ask(FIRST, stream=True)
    assert len(reply.answer) == length
    assert reply.rcode() == dns.rcode.NOERROR
    assert [found.rdtype for found in reply.authority] == [dns.rdatatype.SOA]


def test_a_large_answer_with_glue_far_behind_is_whole_at_the_end_of_the_longest_chain() -> None:
    hosts = " ".join(f"h{n:02}{LONG}=10.1.0.{n}" for n in range(90))
    web = f"{'w' * 60}.{LONG}.svc"
    served = Served(
        *chained(MAX_CHAIN, f"_http._tcp.{web}"),
        headless("w" * 60, ns=LONG),
        slice_of("w" * 60, hosts, "http:80", ns=LONG),
    )
    direct = served.ask(f"_http._tcp.{web}", "SRV", stream=True)
    reply = served.ask(FIRST, "SRV", stream=True)
    assert len(lines(direct.additional)) == 90
    assert len(lines(reply.answer)) == MAX_CHAIN + 90
    assert set(lines(reply.answer)) > set(lines(direct.answer))
    assert lines(reply.additional) == lines(direct.additional)


# Every type, every way it can end


@cache
def cluster() -> Served:
    served = Served(
        service("web", "10.0.0.1 fd00::1", "http:80"),
        service("bare", ""),
        alias("to-web", "web.my-ns.svc"),
        alias("to-bare", "bare.my-ns.svc"),
        alias("to-apex", "@"),
        alias("to-version", "dns-version"),
        alias("to-address", "1.0.0.10.in-addr.arpa."),
        alias("to-mail", "mail"),
        alias("to-nowhere", "nosuch"),
        alias("to-outside", "www.example.com."),
        Record("local/cluster/mail/x", "192.0.2.25", mail=True, priority=7, ttl=5),
    )
    served.feed._publisher.publish([], 7)  # a serial that is the same each time
    return served


OWNERS = {
    "A": ("web.my-ns.svc", "to-web", "A 10.0.0.1"),
    "AAAA": ("web.my-ns.svc", "to-web", "AAAA fd00::1"),
    "SRV": ("web.my-ns.svc", "to-web", "SRV 0 50 80 web.my-ns.svc"),
    "NS": ("@", "to-apex", "NS ns.dns"),
    "SOA": ("@", "to-apex", "SOA ns.dns hostmaster 7 7200 1800 86400 5"),
    "TXT": ("dns-version", "to-version", 'TXT "1.1.0"'),
    "PTR": ("1.0.0.10.in-addr.arpa.", "to-address", "PTR web.my-ns.svc"),
    "MX": ("mail", "to-mail", "MX 7 x.mail"),
}
"""Of each type but CNAME: who has it, an alias of that, and the record."""


def ends(rdtype: str) -> dict[str, Claim]:
    """A claim for each way that a lookup of a type other than CNAME can end."""
    owner, other, rdata = OWNERS[rdtype]
    alias_of = f"CNAME {owner}"
    return {
        "answer": claim("", f"{owner} {rdtype}", rdata),
        "no data": claim("", f"bare.my-ns.svc {rdtype}", NODATA),
        "no name": claim("", f"nosuch {rdtype}", NXDOMAIN),
        "alias, answer": claim("", f"{other}.my-ns.svc {rdtype}", alias_of, f"{owner} {rdata}"),
        "alias, no data": claim("", f"to-bare.my-ns.svc {rdtype}", "CNAME bare.my-ns.svc", NODATA),
        "alias, no name": claim("", f"to-nowhere.my-ns.svc {rdtype}", "CNAME nosuch", NXDOMAIN),
        "alias, outside": claim("", f"to-outside.my-ns.svc {rdtype}", "CNAME www.example.com."),
    }


MATRIX = {(rdtype, end): row for rdtype in OWNERS for end, row in ends(rdtype).items()} | {
    ("CNAME", "answer"): claim("", "to-nowhere.my-ns.svc CNAME", "CNAME nosuch"),
    ("CNAME", "no data"): claim("", "web.my-ns.svc CNAME", NODATA),
    ("CNAME", "no name"): claim("", "nosuch CNAME", NXDOMAIN),
}

SUPPORTED = {name: value for name, value in vars(rrset).items() if name.isupper() and isinstance(value, int)}
"""The types that the zone can have, by name."""


def test_every_supported_type_has_a_case_for_every_end() -> None:
    assert "A" in SUPPORTED
    plain = {"answer", "no data", "no name"}
    wanted = {
        (rdtype, end) for rdtype in SUPPORTED for end in (plain if rdtype == "CNAME" else ends("A").keys())
    }
    assert set(MATRIX) == wanted
    assert {rdtype: int(dns.rdatatype.from_text(rdtype)) for rdtype in SUPPORTED} == SUPPORTED


@pytest.mark.parametrize("case", MATRIX, ids=", ".join)
def test_each_type_and_end(case: tuple[str, str]) -> None:
    check(cluster(), MATRIX[case])


@pytest.mark.parametrize("rdtype", [*SUPPORTED, "ANY", "HTTPS", "TYPE65280"])
@pytest.mark.parametrize("name", ["www.example.com.", "local.", ".", "com.", "nosuch.", "arpa."])
def test_what_is_in_no_zone_is_refused(name: str, rdtype: str) -> None:
    reply = cluster().ask(name, rdtype)
    assert reply.rcode() == dns.rcode.REFUSED
    assert not reply.flags & dns.flags.AA
    assert [reply.answer, reply.authority, reply.additional] == [[], [], []]


@pytest.mark.parametrize("rdtype", ["HTTPS", "SVCB", "NAPTR", "DS", "DNSKEY", "TYPE65280", "HINFO"])
def test_a_type_that_the_zone_never_has_is_no_data_where_the_name_exists(rdtype: str) -> None:
    for name, rcode in (("web.my-ns.svc", "NOERROR"), ("@", "NOERROR"), ("nosuch", "NXDOMAIN")):
        reply = cluster().ask(name, rdtype)
        assert (dns.rcode.to_text(reply.rcode()), reply.answer) == (rcode, [])
        assert [found.rdtype for found in reply.authority] == [dns.rdatatype.SOA]


# ANY (RFC 8482)


@pytest.mark.parametrize("name", ["web.my-ns.svc", "@", "mail", "dns-version", "1.0.0.10.in-addr.arpa."])
def test_any_is_one_rrset_that_the_name_has(name: str) -> None:
    reply = cluster().ask(name, "ANY")
    (found,) = reply.answer
    assert found.name.to_text() == qualified(name)
    assert lines([found]) == lines(cluster().ask(name, dns.rdatatype.to_text(found.rdtype)).answer)


def test_any_at_an_alias_is_the_alias_and_is_not_followed() -> None:
    assert lines(cluster().ask("to-web.my-ns.svc", "ANY").answer) == ["to-web.my-ns.svc CNAME web.my-ns.svc"]


@pytest.mark.parametrize(("name", "rcode"), [("bare.my-ns.svc", 0), ("svc", 0), ("nosuch", 3)])
def test_any_where_there_is_nothing_is_a_denial(name: str, rcode: int) -> None:
    reply = cluster().ask(name, "ANY")
    assert (reply.rcode(), reply.answer) == (rcode, [])
    assert [found.rdtype for found in reply.authority] == [dns.rdatatype.SOA]


# Size


@cache
def large() -> Served:
    """A headless Service of 5 000 endpoints."""
    hosts = tuple(Endpoint(b"\x0a\1" + n.to_bytes(2), f"host-{n}") for n in range(5000))
    backends = Subset(hosts, (EndpointPort("http", "TCP", 80),))
    return Served(headless("web"), EndpointSlice("my-ns", "web-1", "web", (backends,)))


@pytest.mark.parametrize("rdtype", ["A", "SRV"])
@pytest.mark.parametrize(
    ("stream", "payload", "limit"),
    [(True, 0, 65535), (True, 4096, 65535), (False, 0, 512), (False, 512, 512), (False, 4096, 1232)],
)
def test_an_answer_beyond_its_limit_is_cut_between_records_and_says_so(
    rdtype: str, stream: bool, payload: int, limit: int
) -> None:
    reply = large().ask("web.my-ns.svc", rdtype, stream=stream, payload=payload)
    (found,) = reply.answer
    assert limit - 80 < len(reply.wire or b"") <= limit
    assert reply.flags & dns.flags.TC
    assert 0 < len(found) < 5000
    assert reply.additional == []
    assert reply.edns == (0 if payload else -1)


def test_a_stream_carries_what_a_datagram_does_not() -> None:
    hosts = " ".join(f"10.1.0.{n}" for n in range(200))
    served = Served(headless("web"), slice_of("web", hosts))
    assert served.ask("web.my-ns.svc", payload=4096).flags & dns.flags.TC
    reply = served.ask("web.my-ns.svc", stream=True)
    assert not reply.flags & dns.flags.TC
    assert len(lines(reply.answer)) == 200


def test_additional_records_are_left_out_by_whole_rrsets_and_without_tc() -> None:
    hosts = " ".join(f"{name}=10.{n}.0.{last}" for n, name in enumerate("ab") for last in range(1, 14))
    served = Served(headless("web"), slice_of("web", hosts, "http:80"))
    reply = served.ask("_http._tcp.web.my-ns.svc", "SRV")
    assert not reply.flags & dns.flags.TC
    assert len(lines(reply.answer)) == 2
    assert [(found.name.to_text()[0], len(found)) for found in reply.additional] == [("a", 13)]
    assert len(lines(served.ask("_http._tcp.web.my-ns.svc", "SRV", payload=1232).additional)) == 26
