"""Short names, by the rules of ``answers/search.py``: who asks, what may be meant, and what never is."""

from functools import cache
from ipaddress import ip_network

import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.answers.search import BRANCHES, Clients, SearchPath
from skydns_py.answers.toplevel import top_level_domains
from skydns_py.cluster.objects import Kind, Namespace, Pod, Ref
from skydns_py.feed import Feed
from skydns_py.zone.names import MAX_NAME, from_text, to_text
from tests.builders import (
    STRANGER,
    Served,
    Turns,
    alias,
    endpoints,
    headless,
    lines,
    packed,
    pod,
    service,
    settings,
    slice_of,
)
from tests.zone.strategies import pods

ZONE = from_text("cluster.local")
NETWORKS = {
    "127.0.0.2/32": "my-ns",
    "192.0.2.0/24": "wide",
    "192.0.2.128/25": "narrow",
    "2001:db8::/32": "six",
}

IN_MY_NS, IN_OTHER = "10.1.0.1", "10.1.0.2"
TWINS, ON_NODE, BOTH, FINISHED, SIX = "10.1.0.3", "192.0.2.1", "192.0.2.2", "192.0.2.130", "fd00::1"


@cache
def cluster() -> Served:
    return Served(
        service("my-service", "10.0.0.1"),
        service("my-service", "10.0.0.2", ns="other"),
        service("six", "fd00::6"),
        service("dual", "10.0.0.3 fd00::3"),
        service("only-other", "10.0.0.4", ns="other"),
        service("example", "10.0.9.1", ns="com"),
        service("web", "10.0.9.2", ns="dev"),
        service("web", "10.0.9.3", ns="svc"),
        headless("default", ns="svc"),
        slice_of("default", "kubernetes=10.9.9.9", ns="svc"),
        headless("my-ns", ns="pod"),
        slice_of("my-ns", "10-1-0-1=10.9.9.8", ns="pod"),
        service("kubernetes", "10.96.0.1", ns="default"),
        service("web", "10.0.9.4", ns="wide"),
        service("web", "10.0.9.5", ns="narrow"),
        service("web", "10.0.9.6", ns="six"),
        service("web", "10.0.9.7", ns="local"),
        service("web", "10.0.9.8", ns="internal"),
        service("web", "10.0.9.9", ns="test"),
        service("localhost", "10.0.9.10"),
        service("localhost", "10.0.9.11", ns="test"),
        service("dns", "10.0.9.12", ns="dns"),
        headless("db"),
        slice_of("db", "db-0=10.2.0.1", "pg:5432"),
        alias("out", "www.example.com."),
        alias("in", "my-service.my-ns.svc"),
        pod("a", f"{IN_MY_NS} {SIX}"),
        pod("b", IN_OTHER, ns="other"),
        pod("c", TWINS),
        pod("d", TWINS, ns="other"),
        pod("e", ON_NODE, host_network=True),
        pod("f", BOTH),
        pod("g", BOTH, ns="other", host_network=True),
        pod("h", FINISHED, finished=True),
        Namespace("bare"),
        networks=NETWORKS,
    )


def found(name: str, client: str = STRANGER, rdtype: str = "A") -> list[str] | str:
    """The names that the answer passes through and its last rdata; REFUSED, or what else it is instead."""
    reply = cluster().ask(f"{name}.", rdtype, client)
    if not reply.answer:
        return dns.rcode.to_text(reply.rcode())
    return [line.split(" ", 2)[2] for rrset in reply.answer for line in lines([rrset])]


# Rule 1: whose path has what


@pytest.mark.parametrize(
    ("name", "client", "meant"),
    [
        pytest.param("my-service", IN_MY_NS, ["my-service.my-ns.svc", "10.0.0.1"], id="own namespace"),
        pytest.param("my-service", IN_OTHER, ["my-service.other.svc", "10.0.0.2"], id="another's own"),
        pytest.param("my-service", SIX, ["my-service.my-ns.svc", "10.0.0.1"], id="by IPv6"),
        pytest.param(
            "my-service", "127.0.0.2", ["my-service.my-ns.svc", "10.0.0.1"], id="configured network"
        ),
        pytest.param("only-other", IN_MY_NS, "REFUSED", id="a Service of another namespace"),
        pytest.param("my-service", STRANGER, "REFUSED", id="an unknown client"),
        pytest.param("my-ns", IN_MY_NS, "REFUSED", id="a namespace is no host"),
        pytest.param("bare", IN_MY_NS, "REFUSED", id="nor a bare one"),
        pytest.param("svc", IN_MY_NS, "REFUSED", id="nor svc"),
        *(
            pytest.param(
                "my-service.my-ns", client, ["my-service.my-ns.svc", "10.0.0.1"], id=f"everyone: {client}"
            )
            for client in (IN_MY_NS, IN_OTHER, TWINS, ON_NODE, STRANGER, "2001:db9::1")
        ),
        pytest.param("my-service.my-ns.svc", STRANGER, ["my-service.my-ns.svc", "10.0.0.1"], id="with svc"),
        pytest.param("db-0.db", IN_MY_NS, ["db-0.db.my-ns.svc", "10.2.0.1"], id="an endpoint of mine"),
        pytest.param("db-0.db", IN_OTHER, "REFUSED", id="an endpoint of another"),
        pytest.param(
            "db-0.db.my-ns", IN_OTHER, ["db-0.db.my-ns.svc", "10.2.0.1"], id="an endpoint of another's"
        ),
        pytest.param("10-1-0-2.other.pod", STRANGER, ["10-1-0-2.other.pod", "10.1.0.2"], id="a pod"),
        pytest.param("ns.dns", STRANGER, ["ns.dns", "192.0.2.53"], id="the name server"),
        pytest.param("dns.dns", STRANGER, ["dns.dns.svc", "10.0.9.12"], id="a namespace called dns"),
        pytest.param("nosuch.my-ns", STRANGER, "REFUSED", id="no such Service"),
        pytest.param("nosuch", IN_MY_NS, "REFUSED", id="no such Service of mine"),
        pytest.param("MY-Service.My-NS", STRANGER, ["my-service.my-ns.svc", "10.0.0.1"], id="upper case"),
        pytest.param(
            "MY-SERVICE", IN_MY_NS, ["my-service.my-ns.svc", "10.0.0.1"], id="upper case, one label"
        ),
        pytest.param(
            "in.my-ns", STRANGER, ["in.my-ns.svc", "my-service.my-ns.svc", "10.0.0.1"], id="an alias"
        ),
        pytest.param("out.my-ns", STRANGER, ["out.my-ns.svc", "www.example.com."], id="an alias to outside"),
    ],
)
def test_what_a_name_means_to_a_client(name: str, client: str, meant: list[str] | str) -> None:
    assert found(name, client) == meant


# Rule 2: whose address is whose


@pytest.mark.parametrize(
    ("client", "namespace"),
    [
        pytest.param(IN_MY_NS, "my-ns", id="a pod"),
        pytest.param(TWINS, None, id="two pods"),
        pytest.param(ON_NODE, None, id="a pod on the host's network, whatever network the host is in"),
        pytest.param(BOTH, None, id="a pod and one on the host's network"),
        pytest.param(FINISHED, "narrow", id="a finished pod has left the address to its network"),
        pytest.param("192.0.2.5", "wide", id="a network"),
        pytest.param("192.0.2.200", "narrow", id="the longest prefix"),
        pytest.param("2001:db8::5", "six", id="an IPv6 network"),
        pytest.param(STRANGER, None, id="nobody"),
    ],
)
def test_the_namespace_of_a_client(client: str, namespace: str | None) -> None:
    meant = [f"web.{namespace}.svc"] if namespace not in (None, "my-ns") else None
    reply = found("web", client)
    assert reply[:1] == meant if meant else reply == "REFUSED"
    assert (found("my-service", client) != "REFUSED") == (namespace == "my-ns")


def test_two_pods_of_one_namespace_with_one_address_leave_it_nobodys() -> None:
    clients = Clients({ip_network("10.0.0.0/8"): "net"})
    first, second = pod("a", "10.1.0.1"), pod("b", "10.1.0.1")
    clients.change(None, first)
    assert clients.namespace(packed("10.1.0.1")) == "my-ns"
    clients.change(None, second)
    assert clients.namespace(packed("10.1.0.1")) is None
    clients.change(first, None)
    assert clients.namespace(packed("10.1.0.1")) == "my-ns"
    clients.change(second, pod("b", "10.1.0.1", finished=True))
    assert clients.namespace(packed("10.1.0.1")) == "net"


@given(st.lists(pods, max_size=12))
def test_clients_are_what_the_pods_are_now(changes: list[Pod]) -> None:
    clients, now = Clients({}), dict[Ref, Pod]()
    for each in changes:
        clients.change(now.get(each.ref), each)
        now[each.ref] = each
    for address in {address for each in changes for address in each.addresses}:
        owners = [each for each in now.values() if not each.finished and address in each.addresses]
        sole = owners[0] if len(owners) == 1 and not owners[0].host_network else None
        assert clients.namespace(address) == (sole.namespace if sole else None)
    for ref, each in now.items():
        clients.change(each, None)
        assert ref == each.ref
    assert (clients._claims, clients._guests) == ({}, {})


# Rule 3: one name for every type


@pytest.mark.parametrize("rdtype", ["AAAA", "SRV", "TXT", "MX", "HTTPS", "SOA", "PTR"])
def test_a_name_with_only_an_address_wins_for_every_type(rdtype: str) -> None:
    reply = cluster().ask("my-service.", rdtype, IN_MY_NS)
    assert lines(reply.answer) == ["my-service. CNAME my-service.my-ns.svc"]
    assert reply.rcode() == dns.rcode.NOERROR
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


@pytest.mark.parametrize("name", ["dual", "dual.my-ns", "dual.my-ns.svc"])
def test_both_families_come_from_one_name(name: str) -> None:
    assert found(name, IN_MY_NS, "A") == ["dual.my-ns.svc", "10.0.0.3"]
    assert found(name, IN_MY_NS, "AAAA") == ["dual.my-ns.svc", "fd00::3"]


def test_an_own_name_wins_for_a_type_that_only_another_candidate_has() -> None:
    served = Served(
        headless("x"),
        endpoints("x", "y=10.0.0.1"),
        service("y", "fd00::1", ns="x"),
        pod("a", IN_MY_NS),
        networks={},
    )
    for rdtype in ("A", "AAAA"):
        (first, *_) = lines(served.ask("y.x.", rdtype, IN_MY_NS).answer[:1])
        assert first == "y.x. CNAME y.x.my-ns.svc"
        (first, *_) = lines(served.ask("y.x.", rdtype, STRANGER).answer[:1])
        assert first == "y.x. CNAME y.x.svc"


def test_a_candidate_that_owns_nothing_is_passed_over() -> None:
    served = Served(
        headless("x"),
        slice_of("x", "a=10.0.0.1", "y:80"),
        service("_tcp", "10.0.0.9", ns="x"),
        pod("p", IN_MY_NS),
        networks={},
    )
    assert served.ask("_tcp.x.my-ns.svc").rcode() == dns.rcode.NOERROR
    assert lines(served.ask("_tcp.x.", "A", IN_MY_NS).answer) == [
        "_tcp.x. CNAME _tcp.x.svc",
        "_tcp.x.svc A 10.0.0.9",
    ]


# Rules 4 and 5: what is the world's, or the zone's


@pytest.mark.parametrize(
    "name",
    [
        *(
            "example.com",
            "www.example.com",
            "web.dev",
            "web.local",
            "web.internal",
            "localhost.test.localhost",
        ),
        *(
            "web.onion",
            "web.alt",
            "web.invalid",
            "localhost",
            "com",
            "dev",
            "x.arpa",
            "xn--p1ai",
            "a.xn--p1ai",
        ),
        *("EXAMPLE.COM", "Web.Dev", "LOCALHOST", "web.nosuch.com"),
    ],
)
@pytest.mark.parametrize("client", [IN_MY_NS, "192.0.2.5", STRANGER])
def test_a_name_of_the_world_is_never_ours(name: str, client: str) -> None:
    assert found(name, client) == "REFUSED"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("web.test", ["web.test.svc", "10.0.9.9"]),
        ("localhost.test", ["localhost.test.svc", "10.0.9.11"]),
        ("web.dev.svc", ["web.dev.svc", "10.0.9.2"]),
        ("example.com.svc", ["example.com.svc", "10.0.9.1"]),
        ("kubernetes.default", ["kubernetes.default.svc", "10.96.0.1"]),
        ("kubernetes.default.svc", ["kubernetes.default.svc", "10.96.0.1"]),
        ("10-1-0-1.my-ns.pod", ["10-1-0-1.my-ns.pod", "10.1.0.1"]),
        ("web.svc", "REFUSED"),
        ("web.svc.svc", ["web.svc.svc", "10.0.9.3"]),
    ],
)
@pytest.mark.parametrize("client", [IN_MY_NS, STRANGER])
def test_no_namespace_speaks_for_a_name_that_means_something_else(
    name: str, meant: list[str] | str, client: str
) -> None:
    assert found(name, client) == meant


def test_the_full_name_needs_no_search_and_is_not_an_alias() -> None:
    assert found("my-service.my-ns.svc.cluster.local", IN_OTHER) == ["10.0.0.1"]
    assert found("nosuch.my-ns.svc.cluster.local", IN_MY_NS) == "NXDOMAIN"


def test_without_a_search_path_no_short_name_means_anything() -> None:
    served = Served(service("my-service", "10.0.0.1"), pod("a", IN_MY_NS))
    for name in ("my-service.", "my-service.my-ns."):
        assert served.ask(name, "A", IN_MY_NS).rcode() == dns.rcode.REFUSED


# The candidates themselves


def path(**networks: str) -> SearchPath:
    known = {ip_network(network): namespace for network, namespace in networks.items()}
    return SearchPath(ZONE, Clients(known), {b"com"})


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("a", ["a.me.svc"]),
        ("a.b", ["a.b.me.svc", "a.b.svc", "a.b"]),
        ("a.b.c", ["a.b.c.me.svc", "a.b.c.svc", "a.b.c"]),
        ("a.b.svc", ["a.b.svc.me.svc", "a.b.svc"]),
        ("a.b.pod", ["a.b.pod.me.svc", "a.b.pod"]),
        ("com", ["com.me.svc"]),
        ("a.com", []),
        ("a.com.b", ["a.com.b.me.svc", "a.com.b.svc", "a.com.b"]),
        ("localhost", []),
        (".", []),
    ],
)
def test_the_candidates_of_a_client_in_namespace_me(name: str, candidates: list[str]) -> None:
    made = path(**{"10.0.0.0/8": "me"}).candidates(from_text(name), packed("10.0.0.1"))
    assert list(made) == [from_text(f"{each}.cluster.local") for each in candidates]


def test_a_candidate_too_long_for_a_name_is_left_out() -> None:
    search = path(**{"10.0.0.0/8": "m" * 63})
    name = from_text(".".join(["a" * 60] * 3))
    made = list(search.candidates(name, packed("10.0.0.1")))
    assert [to_text(each)[183:] for each in made] == ["svc.cluster.local.", "cluster.local."]
    longest = from_text(".".join(["a" * 63] * 3 + ["a" * 61]))
    assert list(search.candidates(longest, packed("10.0.0.1"))) == []


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=5))
def test_candidates_of_any_name_are_names_in_the_zone(parts: list[bytes]) -> None:
    name = b"".join(bytes((len(part),)) + part.lower() for part in parts)[: MAX_NAME - 1] + b"\0"
    search = path(**{"10.0.0.0/8": "me"})
    made = list(search.candidates(name, packed("10.0.0.1")))
    assert all(len(each) <= MAX_NAME and each.endswith(ZONE) for each in made)
    if made:
        assert search.may_mean_something(name)


# Top-level domains


@pytest.mark.parametrize(
    "label",
    [
        *(b"com", b"dev", b"org", b"arpa", b"uk", b"de", b"app", b"zip", b"onion"),
        pytest.param(b"za", id="za: the list has co.za only"),
        pytest.param(b"ck", id="ck: the list has *.ck only"),
        pytest.param(b"xn--p1ai", id="xn--p1ai: the list has it in Cyrillic"),
    ],
)
def test_a_real_top_level_domain_is_one(label: bytes) -> None:
    assert label in top_level_domains()


@pytest.mark.parametrize(
    "label",
    [
        *(b"default", b"kube-system", b"my-ns", b"co.uk", b"", b"\xff", b"test", b"example", b"*", b"//"),
        *BRANCHES,
        pytest.param(b"blogspot", id="blogspot: a company's"),
    ],
)
def test_what_is_no_top_level_domain_is_none(label: bytes) -> None:
    assert label not in top_level_domains()


def test_every_country_has_its_own() -> None:
    known = top_level_domains()
    letters = "abcdefghijklmnopqrstuvwxyz"
    countries = [first + second for first in letters for second in letters]
    assert 240 < sum(country.encode() in known for country in countries) < 260


# Before the first list is whole


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        *(("my-service", "SERVFAIL"), ("my-service.my-ns", "SERVFAIL"), ("a.b.c", "SERVFAIL")),
        *(("my-service.my-ns.svc.cluster.local", "SERVFAIL"), ("cluster.local", "SERVFAIL")),
        *(("1.0.0.10.in-addr.arpa", "SERVFAIL"), ("www.example.com", "REFUSED"), ("localhost", "REFUSED")),
        ("", "REFUSED"),
    ],
)
def test_until_it_is_ready_a_server_denies_nothing_that_may_be_its_own(name: str, rcode: str) -> None:
    served = object.__new__(Served)
    served.feed = Feed(settings(), 1232, {}, Turns())
    for client in (STRANGER, IN_MY_NS):
        reply = served.ask(f"{name}.", "A", client, payload=1232)
        assert dns.rcode.to_text(reply.rcode()) == rcode
        assert [option.otype for option in reply.options] == ([15] if rcode == "SERVFAIL" else [])
        assert reply.answer == []


def test_a_pod_that_comes_is_known_at_once_and_one_that_goes_is_forgotten() -> None:
    served = Served(service("my-service", "10.0.0.1"), networks={})
    assert served.ask("my-service.", "A", IN_MY_NS).rcode() == dns.rcode.REFUSED
    served.change(pod("a", IN_MY_NS))
    assert served.ask("my-service.", "A", IN_MY_NS).rcode() == dns.rcode.NOERROR
    served.change(Ref(Kind.POD, "my-ns", "a"))
    assert served.ask("my-service.", "A", IN_MY_NS).rcode() == dns.rcode.REFUSED
