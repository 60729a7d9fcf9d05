"""Served while the cluster changes: what is answered depends on what exists now, not on how it came to be.

The model is the server itself, started afresh with the objects that are left; a name's records are compared
as sets, because their order may well remember who came first.
"""

import itertools

import dns.message
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cluster.objects import ClusterObject, Namespace, Record, Ref
from tests.builders import ZONE, Served, alias, endpoints, headless, pod, service, slice_of
from tests.dataplane import wire

CLIENT = bytes(4)
PATH = "local/cluster"

POOL: list[ClusterObject] = [
    *(Namespace(name) for name in ("my-ns", "other")),
    service(portals="10.0.0.20", ports="http:80"),
    service(portals="10.0.0.21 fd00::20", ports="http:8080 dns:53/UDP"),
    headless(ports="http:80"),
    headless(publish_not_ready=True),
    alias("my-service", "twin.my-ns.svc"),
    alias("twin", "my-service.my-ns.svc"),
    service("twin", "10.0.0.20"),
    headless("twin"),
    endpoints(hosts="10.1.0.1 web-0=10.1.0.2 fd00:1::1", ports="http:80"),
    endpoints(hosts="10.1.0.1! 10.1.0.3", ports="http:81"),
    endpoints("twin", "10.1.0.1 web-0=10.1.0.9"),
    slice_of(hosts="10.1.0.2 10.1.0.4", ports="http:80"),
    slice_of(hosts="fd00:1::2 web-0=10.1.0.5", ports="http:80 :81", name="second"),
    slice_of("twin", "10.1.0.4", name="second"),
    pod("a", "10.5.0.1"),
    pod("a", "10.5.0.2"),
    pod("a", "10.5.0.1", finished=True),
    pod("b", "10.5.0.1 fd00:5::1"),
    Record(f"{PATH}/sky/a", "192.0.2.1", port=80),
    Record(f"{PATH}/sky/a", text="no address"),
    Record(f"{PATH}/sky/b", "192.0.2.2", weight=3),
    Record(f"{PATH}/sky", "www.example.com"),
    Record(f"{PATH}/sky/*/c", "192.0.2.3"),
    Record(f"{PATH}/svc/my-ns/my-service/x", "192.0.2.4"),
    Record(f"{PATH}/svc/my-ns", "192.0.2.5"),
    Record(f"{PATH}/dns/ns/one", "192.0.2.6"),
    Record("arpa/in-addr/10/1/0/1", "pointed.example.com"),
]
REFS = sorted({each.ref for each in POOL}, key=str)

HOSTS = (
    *(
        "my-service.my-ns.svc",
        "twin.my-ns.svc",
        "web-0.my-service.my-ns.svc",
        "10-1-0-1.my-service.my-ns.svc",
    ),
    *("_http._tcp.my-service.my-ns.svc", "_tcp.my-service.my-ns.svc", "x.my-service.my-ns.svc"),
    *("my-service.my-ns", "twin.my-ns", "my-ns", "my-ns.svc", "my-ns.pod", "other.svc", "svc", "pod"),
    *("10-5-0-1.my-ns.pod", "10-5-0-2.my-ns.pod", "fd00-5--1.my-ns.pod", "sky", "a.sky", "b.sky", "*.sky"),
    *("c.any.sky", "*.*.sky", "*", "any.svc", "ns.dns", "dns", "one.ns.dns", "nothing"),
)
NAMES = (
    *(f"{host}.{ZONE}" for host in HOSTS),
    ZONE,
    *(f"{host}.in-addr.arpa" for host in ("20.0.0.10", "1.0.1.10", "2.0.1.10", "4.0.1.10", "0.1.10", "10")),
)
PACKETS = [
    wire.query(name, rdtype, edns=wire.opt(65535))
    for name, rdtype in itertools.product(NAMES, (wire.A, wire.AAAA, wire.SRV, wire.PTR, wire.ANY))
]

Records = frozenset[tuple[int, int, bytes]]
Answered = tuple[int, Records, Records, Records]

steps = st.lists(st.sampled_from(POOL) | st.sampled_from(REFS), min_size=1, max_size=12)


def records(found: tuple[wire.Record, ...]) -> Records:
    """The records without their owners and an SOA's serial number, which is the time."""
    return frozenset(
        (
            each.rdtype,
            each.ttl,
            each.rdata[:-20] + each.rdata[-16:] if each.rdtype == wire.SOA else each.rdata,
        )
        for each in found
    )


def answered(served: Served, packet: bytes) -> Answered:
    """What a query gets; the hot path must say the same as the slow one, whatever has been asked before."""
    hot = served.feed.answer(packet)
    slow = served.feed.responder.respond(packet, CLIENT, stream=False)
    assert slow is not None
    if hot is not None:
        assert wire.canonical(hot) == wire.canonical(slow)
    again = served.feed.answer(packet)
    assert again is None or wire.canonical(again) == wire.canonical(slow)
    reply = wire.take_apart(slow)
    return reply.rcode, records(reply.answers), records(reply.authorities), records(reply.additionals)


def left(steps: list[ClusterObject | Ref]) -> list[ClusterObject]:
    """The objects that exist after these steps, in the order they took their place."""
    found: dict[Ref, ClusterObject] = {}
    for step in steps:
        if isinstance(step, Ref):
            found.pop(step, None)
        else:
            found[step.ref] = step
    return list(found.values())


@settings(max_examples=80, deadline=None)
@given(steps=steps, asked=st.lists(st.booleans(), min_size=12, max_size=12))
def test_after_any_changes_answers_are_those_of_a_fresh_start(
    steps: list[ClusterObject | Ref], asked: list[bool]
) -> None:
    served = Served()
    for step, ask in zip(steps, asked, strict=False):
        served.change(step)
        if ask:
            for packet in PACKETS[:: len(steps)]:
                answered(served, packet)
    fresh = Served(*left(steps))
    for packet in PACKETS:
        assert answered(served, packet) == answered(fresh, packet), dns.message.from_wire(packet)


def test_after_every_single_change_answers_are_those_of_a_fresh_start() -> None:
    """One long life: every object comes, is replaced and goes, and each change is seen at once."""
    served, so_far = Served(), list[ClusterObject | Ref]()
    for step in [*POOL, *reversed(POOL), *(ref for ref in REFS)]:
        served.change(step)
        so_far.append(step)
        fresh = Served(*left(so_far))
        for packet in PACKETS[len(so_far) % 7 :: 7]:
            assert answered(served, packet) == answered(fresh, packet), dns.message.from_wire(packet)


def test_a_name_that_stands_for_others_is_answered_from_what_exists_now() -> None:
    """External-dns writes a wildcard name as a key of its own; new names must still count under it."""
    served = Served(Record(f"{PATH}/sky/*/c", "192.0.2.3"))
    packet = wire.query(f"*.sky.{ZONE}")
    assert len(wire.read(served.feed.responder.respond(packet, CLIENT, stream=False) or b"").answers) == 1
    served.change(Record(f"{PATH}/sky/new", "192.0.2.7"))
    assert len(answered(served, packet)[1]) == 2
