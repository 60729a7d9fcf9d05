"""Autopath, by rules 6 to 12 of ``answers/search.py``: what a search finds, and what it never may."""

from functools import cache
from ipaddress import ip_network

import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.answers.lookup import MAX_CHAIN
from skydns_py.answers.search import BRANCHES, Clients, SearchPath
from skydns_py.cluster.objects import ClusterObject, Record
from skydns_py.zone.names import MAX_NAME, from_text, is_within, to_text
from tests.builders import STRANGER, ZONE, Served, alias, endpoints, headless, lines, packed, pod, service

FIRST = f"my-ns.svc.{ZONE}"
"""The first search domain of ``MINE``."""
MINE, OTHER, TWINS, ON_NODE, IN_DEV, IN_NET = (f"10.1.0.{host}" for host in range(1, 7))
NETWORKS = {f"{IN_NET}/32": "my-ns"}


def objects() -> list[ClusterObject]:
    """Services to be found, and those that no search may end at."""
    return [
        service("web", "10.0.0.1 fd00::1", "http:80", ns="other"),
        service("only-four", "10.0.0.2", ns="other"),
        service("bare", ns="other"),
        headless("db", "sql:5432"),
        endpoints("db", "db-0=10.2.0.1!  db-1=10.2.0.2", "sql:5432"),
        service("db-0", "10.0.9.1", ns="db"),
        service("example", "10.0.9.2", ns="com"),
        service("www", "10.0.9.3", ns="google"),
        service("web", "10.0.9.4", ns="svc"),
        service("other", "10.0.9.5", ns="local"),
        service("localhost", "10.0.9.6", ns="other"),
        alias("in", "web.other.svc", ns="other"),
        alias("out", "www.example.com.", ns="other"),
        alias("nowhere", "nothing.other.svc", ns="other"),
        alias("back", f"back.other.{FIRST}.", ns="other"),
        alias("elsewhere", f"web.other.{FIRST}.", ns="other"),
        Record("local/cluster/town/a", "192.0.2.1"),
        Record("local/cluster/svc/hall/a", "192.0.2.2"),
        pod("a", MINE),
        pod("b", OTHER, ns="other"),
        pod("c", TWINS),
        pod("d", TWINS, ns="other"),
        pod("e", ON_NODE, host_network=True),
        pod("f", IN_DEV, ns="dev"),
    ]


@cache
def cluster() -> Served:
    return Served(*objects(), networks=NETWORKS)


def found(name: str, client: str = MINE, rdtype: str = "A", first: str = FIRST) -> list[str] | str:
    """What a search gets at its first step: the names passed and the rdata, or else the response code."""
    reply = cluster().ask(f"{name}.{first}.", rdtype, client)
    if not reply.answer:
        assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]
        return dns.rcode.to_text(reply.rcode())
    return [line.split(" ", 2)[2] for rrset in reply.answer for line in lines([rrset])]


# Rule 6: what is tried, and when


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("web.other", ["web.other.svc", "10.0.0.1"]),
        ("web.other.svc", ["web.other.svc", "10.0.0.1"]),
        ("WEB.Other", ["web.other.svc", "10.0.0.1"]),
        ("db-1.db.my-ns", ["db-1.db.my-ns.svc", "10.2.0.2"]),
        ("10-1-0-2.other.pod", ["10-1-0-2.other.pod", "10.1.0.2"]),
        ("ns.dns", ["ns.dns", "192.0.2.53"]),
        ("town", ["town", "192.0.2.1"]),
        ("hall", ["hall.svc", "192.0.2.2"]),
        ("in.other", ["in.other.svc", "web.other.svc", "10.0.0.1"]),
        ("out.other", ["out.other.svc", "www.example.com."]),
        ("nothing.other", "NXDOMAIN"),
        ("web", "NXDOMAIN"),
        ("other", "NXDOMAIN"),
        ("bare.other", "NXDOMAIN"),
    ],
)
def test_the_rest_of_the_path_is_tried_in_its_order(name: str, meant: list[str] | str) -> None:
    assert found(name) == meant


def test_a_hit_is_decided_by_name_and_has_the_soa_where_the_type_is_missing() -> None:
    reply = cluster().ask(f"only-four.other.{FIRST}.", "AAAA", MINE)
    assert reply.rcode() == dns.rcode.NOERROR
    assert lines(reply.answer) == ["only-four.other.my-ns.svc CNAME only-four.other.svc"]
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]
    assert found("web.other", rdtype="AAAA") == ["web.other.svc", "fd00::1"]


@pytest.mark.parametrize("stream", [False, True])
def test_srv_records_come_with_their_addresses(stream: bool) -> None:
    reply = cluster().ask(f"_http._tcp.web.other.{FIRST}.", "SRV", MINE, stream=stream, payload=1232)
    (_, srv) = reply.answer
    assert lines([srv]) == ["_http._tcp.web.other.svc SRV 0 50 80 web.other.svc"]
    assert lines(reply.additional) == ["web.other.svc A 10.0.0.1", "web.other.svc AAAA fd00::1"]


def test_any_is_one_rrset_behind_the_alias() -> None:
    assert found("web.other", rdtype="ANY") == ["web.other.svc", "10.0.0.1"]


def test_a_name_that_exists_is_never_replaced() -> None:
    """``_tcp.db`` is an empty non-terminal of the client's own namespace, and a Service of another one."""
    served = Served(
        headless("db"),
        endpoints("db", "x=10.2.0.1", "sql:5432"),
        service("_tcp", "10.0.0.9", ns="db"),
        pod("a", MINE),
        networks={},
    )
    reply = served.ask(f"_tcp.db.{FIRST}.", "A", MINE)
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
    assert lines(served.ask(f"x.db.{FIRST}.", "A", MINE).answer) == ["x.db.my-ns.svc A 10.2.0.1"]


# Rules 7 to 9: names that mean something else


@pytest.mark.parametrize(
    "name",
    [
        *(
            "example.com",
            "www.example.com",
            "EXAMPLE.com",
            "other.local",
            "localhost",
            "1.0.0.10.in-addr.arpa",
        ),
        *(f"web.other.svc.{ZONE}", ZONE, f"web.other.{ZONE}"),
        *("web.svc", "db-0.db", "x.db-1.db"),
    ],
)
def test_a_name_that_means_something_else_is_not_tried(name: str) -> None:
    assert found(name) == "NXDOMAIN"


def test_a_name_in_the_zone_is_not_tried_where_the_zone_is_no_top_level_domain() -> None:
    zone = from_text("cluster.test")
    search = SearchPath(zone, Clients({ip_network("10.0.0.0/8"): "me"}), {b"com"})
    for name, tried in (("a.b.cluster.test", 0), ("cluster.test", 0), ("a.xcluster.test", 2), ("a.test", 2)):
        asked = from_text(f"{name}.me.svc.cluster.test")
        assert len(list(search.rest(asked, packed(MINE), lambda _: None))) == tried


@pytest.mark.parametrize("name", ["www.google", "web.other", "town", "www.google.dev"])
def test_a_namespace_called_like_a_top_level_domain_gets_nothing(name: str) -> None:
    """``www.google.dev`` has come to its second step when it looks like the first one of ``www.google``."""
    assert found(name, IN_DEV, first=f"dev.svc.{ZONE}") == "NXDOMAIN"


def test_an_endpoint_that_is_not_ready_is_no_service_of_another_namespace() -> None:
    assert found("db-0.db") == "NXDOMAIN"
    assert cluster().ask("db-0.db.svc").answer
    assert found("db-0.db", IN_NET) == "NXDOMAIN"


# Rule 10: who asks


@pytest.mark.parametrize("client", [STRANGER, OTHER, TWINS, ON_NODE, "2001:db8::1"])
def test_nobody_else_is_answered_by_a_namespaces_search(client: str) -> None:
    for _ in range(2):
        assert found("web.other", MINE) == ["web.other.svc", "10.0.0.1"]
        assert found("web.other", client) == "NXDOMAIN"


def test_a_configured_network_has_its_namespaces_search() -> None:
    assert found("web.other", IN_NET) == ["web.other.svc", "10.0.0.1"]


def test_other_domains_of_the_path_begin_no_search() -> None:
    for first in (f"svc.{ZONE}", ZONE, f"other.svc.{ZONE}", f"my-ns.pod.{ZONE}", f"my-ns.{ZONE}"):
        assert found("town", MINE, first=f"x.{first}") == "NXDOMAIN"
    assert found("web.other", OTHER, first=f"other.svc.{ZONE}") == ["web.other.svc", "10.0.0.1"]


# Rules 11 and 12: limits and loops


def test_the_longest_name_is_searched_and_its_candidates_are_names() -> None:
    search = SearchPath(from_text(ZONE), Clients({ip_network("10.0.0.0/8"): "my-ns"}), ())
    name = from_text(".".join(["a" * 63] * 3 + ["a" * (MAX_NAME - 1 - 3 * 64 - len(FIRST) - 2), FIRST]))
    assert len(name) == MAX_NAME
    made = list(search.rest(name, packed(MINE), lambda _: None))
    assert [len(each) for each in made] == [MAX_NAME - 6, MAX_NAME - 10]


def test_an_alias_back_to_what_was_asked_is_a_loop_and_ends_without_data() -> None:
    reply = cluster().ask(f"back.other.{FIRST}.", "A", MINE)
    assert reply.rcode() == dns.rcode.NOERROR
    assert lines(reply.answer) == [
        "back.other.my-ns.svc CNAME back.other.svc",
        "back.other.svc CNAME back.other.my-ns.svc",
    ]
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


def test_an_alias_leads_into_no_search() -> None:
    for name, last in (("elsewhere.other", "web.other.my-ns.svc"), ("nowhere.other", "nothing.other.svc")):
        reply = cluster().ask(f"{name}.{FIRST}.", "A", MINE)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert lines(reply.answer)[-1].endswith(f"CNAME {last}")
        assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


def test_as_many_aliases_are_followed_behind_a_hit_as_elsewhere() -> None:
    chain = [alias(f"step-{n}", f"step-{n + 1}.x.svc", ns="x") for n in range(MAX_CHAIN)]
    served = Served(*chain, service(f"step-{MAX_CHAIN}", "10.0.0.8", ns="x"), pod("a", MINE), networks={})
    reply = served.ask(f"step-0.x.{FIRST}.", "A", MINE, stream=True)
    assert f"step-{MAX_CHAIN}.x.svc A 10.0.0.8" in lines(reply.answer)


# What a client's own search would find


LABELS = (
    *(
        "web",
        "other",
        "my-ns",
        "db",
        "db-0",
        "db-1",
        "svc",
        "pod",
        "com",
        "example",
        "town",
        "hall",
        "nothing",
        "dev",
    ),
    *("_sql", "_tcp", "_http", "in", "localhost", "local", "cluster", "10-1-0-2", "dns", "ns"),
)


@settings(max_examples=400, deadline=None)
@given(
    parts=st.lists(st.sampled_from(LABELS), min_size=1, max_size=4),
    rdtype=st.sampled_from(("A", "AAAA", "SRV")),
)
def test_a_hit_is_what_the_clients_own_search_would_find_next(parts: list[str], rdtype: str) -> None:
    """The model: names that exist, and the client's path, one after the other (rule 5 apart)."""
    served, name = cluster(), ".".join(parts)
    directory = served.feed.table
    reply = served.ask(f"{name}.{FIRST}.", rdtype, MINE)
    if directory.node(from_text(f"{name}.{FIRST}")) is not None:
        assert not reply.answer or reply.answer[0].name == dns.name.from_text(f"{name}.{FIRST}")
        return
    rest = (ZONE,) if parts[-1].encode() in BRANCHES else (f"svc.{ZONE}", ZONE)
    steps = [f"{name}.{suffix}" for suffix in rest]
    hit = next((step for step in steps if directory.node(from_text(step))), None)
    if reply.answer:
        assert reply.answer[0][0].target.to_text() == f"{hit}."
        direct = served.ask(f"{hit}.", rdtype, MINE)
        assert lines(reply.answer[1:]) == lines(direct.answer)
        assert reply.rcode() == direct.rcode()
    else:
        assert reply.rcode() == dns.rcode.NXDOMAIN
        withheld = parts == ["localhost"] or (len(parts) > 1 and parts[-1] in ("com", "dev", "local"))
        assert hit is None or withheld or directory.node(from_text(f"{parts[-1]}.{FIRST}")) is not None


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=5))
def test_candidates_of_any_searched_name_are_names_in_the_zone_outside_the_namespace(
    parts: list[bytes],
) -> None:
    above = b"".join(bytes((len(part),)) + part.lower() for part in parts)[: MAX_NAME - len(FIRST) - 2]
    search = SearchPath(from_text(ZONE), Clients({ip_network("10.0.0.0/8"): "my-ns"}), {b"com"})
    for each in search.rest(above + from_text(FIRST), packed(MINE), lambda _: None):
        assert is_within(each, from_text(ZONE)), to_text(each)
        assert len(each) <= MAX_NAME


# Switched off


def test_without_autopath_short_names_still_mean_something_and_searches_end_at_once() -> None:
    search = SearchPath(from_text(ZONE), Clients({ip_network("10.0.0.0/8"): "my-ns"}), (), autopath=False)
    assert list(search.candidates(from_text("web"), packed(MINE))) == [from_text(f"web.{FIRST}")]
    assert list(search.rest(from_text(f"web.other.{FIRST}"), packed(MINE), lambda _: None)) == []


def test_without_short_names_there_is_no_autopath() -> None:
    served = Served(*objects())
    assert served.ask(f"web.other.{FIRST}.", "A", MINE).rcode() == dns.rcode.NXDOMAIN
    assert served.feed.answer(b"") is None
