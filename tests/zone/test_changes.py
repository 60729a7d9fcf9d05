"""A change of the cluster: the answers after it, the empty non-terminals, and how much it touches."""

from itertools import permutations

import pytest

from skydns_py.cluster.objects import Kind, Namespace, Ref, Service, Upsert
from skydns_py.cluster.state import Cluster
from skydns_py.zone.names import to_text
from skydns_py.zone.zone import Zone
from tests.builders import (
    Served,
    alias,
    endpoints,
    headless,
    lines,
    pod,
    relative,
    service,
    settings,
    slice_of,
)

NAME = "my-service.my-ns.svc"
SERVICE = Ref(Kind.SERVICE, "my-ns", "my-service")

FORMS: dict[str, tuple[Service | Ref, dict[str, list[str]]]] = {
    "portal": (
        service(portals="10.0.0.1", ports="http:80"),
        {
            f"{NAME} A": [f"{NAME} A 10.0.0.1"],
            f"_http._tcp.{NAME} SRV": [f"_http._tcp.{NAME} SRV 0 100 80 {NAME}"],
            "my-service.my-ns A": ["my-service.my-ns A 10.0.0.1"],
            "1.0.0.10.in-addr.arpa. PTR": [f"1.0.0.10.in-addr.arpa. PTR {NAME}"],
        },
    ),
    "another portal": (
        service(portals="10.0.0.2", ports="https:443"),
        {
            f"{NAME} A": [f"{NAME} A 10.0.0.2"],
            f"_https._tcp.{NAME} SRV": [f"_https._tcp.{NAME} SRV 0 100 443 {NAME}"],
            "2.0.0.10.in-addr.arpa. PTR": [f"2.0.0.10.in-addr.arpa. PTR {NAME}"],
        },
    ),
    "headless": (
        headless(ports="http:80"),
        {
            f"{NAME} A": [f"{NAME} A 10.1.0.1"],
            f"_http._tcp.{NAME} SRV": [f"_http._tcp.{NAME} SRV 0 100 8080 web-0.{NAME}"],
            "my-service.my-ns A": ["my-service.my-ns A 10.1.0.1"],
        },
    ),
    "alias": (
        alias("my-service", "www.example.com."),
        {f"{NAME} A": [f"{NAME} CNAME www.example.com."], f"web-0.{NAME} A": []},
    ),
    "unassigned": (service(ports="http:80"), {f"{NAME} A": [], f"_http._tcp.{NAME} SRV": []}),
    "gone": (SERVICE, {f"{NAME} A": [], f"web-0.{NAME} A": [], "1.0.1.10.in-addr.arpa. PTR": []}),
}
"""What a Service can become, and what is answered then."""

QUESTIONS = sorted({question for _, wanted in FORMS.values() for question in wanted} | {f"{NAME} CNAME"})


def answers(served: Served) -> dict[str, tuple[int, list[str]]]:
    """Response code and answer to every question."""
    replies = {question: served.ask(*question.split()) for question in QUESTIONS}
    return {question: (int(reply.rcode()), lines(reply.answer)) for question, reply in replies.items()}


@pytest.mark.parametrize(("before", "after"), list(permutations(FORMS, 2)))
def test_a_service_that_changes_its_kind_leaves_nothing_behind(before: str, after: str) -> None:
    backends = slice_of(hosts="web-0=10.1.0.1", ports="http:8080")
    served = Served(backends, FORMS[before][0], Namespace("my-ns"))
    served.change(FORMS[after][0])
    found = answers(served)
    assert {question: found[question][1] for question in FORMS[after][1]} == FORMS[after][1]
    assert found == answers(Served(backends, FORMS[after][0], Namespace("my-ns")))


# Empty non-terminals (RFC 8020)


def exists(served: Served, *names: str) -> list[bool]:
    return [served.ask(name, "TXT").rcode() == 0 for name in names]


def test_names_above_a_name_come_and_go_with_it() -> None:
    names = (f"_tcp.{NAME}", "my-ns.svc", "my-ns", "0.10.in-addr.arpa.", "10.in-addr.arpa.")
    served = Served()
    assert exists(served, *names) == [False] * 5
    served.change(service(portals="10.0.0.1", ports="http:80"))
    assert exists(served, *names) == [True] * 5
    served.change(SERVICE)
    assert exists(served, *names) == [False] * 5


def test_a_name_above_two_goes_with_the_second() -> None:
    served = Served(service(portals="10.0.0.1", ports="http:80 https:443"), service("other", "10.0.0.2"))
    served.change(service(portals="10.0.0.1", ports="https:443"))
    assert exists(served, f"_tcp.{NAME}", f"_http._tcp.{NAME}") == [True, False]
    served.change(SERVICE)
    assert exists(served, f"_tcp.{NAME}", "my-ns.svc", "0.0.10.in-addr.arpa.") == [False, True, True]


def test_a_namespace_stays_a_name_as_long_as_it_or_a_service_in_it_exists() -> None:
    served = Served(Namespace("my-ns"), service(portals="10.0.0.1"))
    served.change(Ref(Kind.NAMESPACE, "", "my-ns"))
    assert exists(served, "my-ns.svc", "my-ns.pod") == [True, False]
    served.change(Namespace("my-ns"), SERVICE)
    assert exists(served, "my-ns.svc", "my-ns.pod") == [True, True]
    served.change(Ref(Kind.NAMESPACE, "", "my-ns"))
    assert exists(served, "my-ns.svc", "my-ns.pod") == [False, False]


# A large cluster goes through without computing, and in several turns


def test_a_cluster_larger_than_one_turn_is_served_whole_and_ready_only_then() -> None:
    served = Served()
    assert served.feed.responder.ready
    many = [service(f"s{n}", f"10.0.{n // 256}.{n % 256}", "http:80") for n in range(1000)]
    served.change(*many)
    assert [lines(served.ask(f"s{n}.my-ns.svc").answer) for n in (0, 199, 200, 999)] == [
        [f"s{n}.my-ns.svc A 10.0.{n // 256}.{n % 256}"] for n in (0, 199, 200, 999)
    ]
    assert len(served.feed.table) > 4000
    served.change(*(each.ref for each in many))
    assert len(served.feed.table) == len(Served().feed.table)


# A change costs what it touches


def touched(zone: Zone, cluster: Cluster, *objects: object) -> set[str]:
    """The names that a change of these objects touched."""
    cluster.apply([Upsert(each) for each in objects])  # type: ignore[arg-type]  # any cluster object
    for change in cluster.take():
        zone.change(change)
    return {relative(to_text(name)) for name in zone.take()}


def test_a_change_of_a_service_touches_its_own_names_only() -> None:
    cluster = Cluster()
    zone = Zone(settings(), cluster.view)
    others = [service(f"s{n}", f"10.0.1.{n}", "http:80") for n in range(50)]
    backends = [slice_of(f"s{n}", f"a=10.1.1.{n}", "http:80") for n in range(50)]
    touched(
        zone, cluster, Namespace("my-ns"), *others, *backends, service(portals="10.0.1.100", ports="http:80")
    )
    port = f"_http._tcp.{NAME}"
    assert touched(zone, cluster, service(portals="10.0.1.100", ports="http:81")) == {NAME, port}
    assert touched(zone, cluster, service(portals="10.0.1.101", ports="http:81")) == {
        *(NAME, port, "my-service.my-ns"),
        *("100.1.0.10.in-addr.arpa.", "101.1.0.10.in-addr.arpa."),
    }
    backend = slice_of(hosts="web-0=10.1.1.100", ports="http:80")
    assert touched(zone, cluster, backend) == {f"web-0.{NAME}", "100.1.1.10.in-addr.arpa."}
    assert touched(zone, cluster, backend) == set()


def test_an_endpoint_of_many_touches_its_service_and_itself() -> None:
    cluster = Cluster()
    zone = Zone(settings(), cluster.view)
    hosts = [f"h{n}=10.1.{n // 250}.{n % 250}" for n in range(300)]
    touched(zone, cluster, headless(), slice_of(hosts=" ".join(hosts), ports="http:80"))
    found = touched(zone, cluster, slice_of(hosts=" ".join(hosts[1:]), ports="http:80"))
    assert found == {
        *(NAME, f"_http._tcp.{NAME}", "my-service.my-ns"),
        *(f"h0.{NAME}", "0.0.1.10.in-addr.arpa."),
    }


def test_nothing_is_touched_by_what_means_nothing_to_names() -> None:
    cluster = Cluster()
    zone = Zone(settings(), cluster.view)
    touched(zone, cluster, service(portals="10.0.0.1"), pod("a", "10.1.0.1"))
    assert touched(zone, cluster, service(portals="10.0.0.1", selector=(("a", "b"),))) == set()
    assert touched(zone, cluster, pod("a", "10.1.0.1", ready=True)) == set()
    assert touched(zone, cluster, endpoints("nobody", "10.1.0.2")) == set()
