"""Names wait for their portals: no longer than that, and never in the way of anything else."""

from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cluster.gate import Gate
from skydns_py.cluster.objects import Kind, Ref, Removal, Upsert
from skydns_py.cluster.state import Change, Cluster, ServiceView, Thing
from tests.builders import all_packed, endpoints, packed, pod, service

REF = Ref(Kind.SERVICE, "my-ns", "my-service")
KEY = ("my-ns", "my-service")
ONE, TWO = frozenset(all_packed("10.0.0.1")), frozenset(all_packed("10.0.0.1 10.0.0.2"))


def view(portals: str = "10.0.0.1", ports: str = ":80", hosts: str = "") -> ServiceView:
    return ServiceView(service(portals=portals, ports=ports), endpoints(hosts=hosts, ports=":80").subsets)


def test_a_new_service_waits_for_its_portal_and_is_then_one_change() -> None:
    gate, now = Gate(5), view(hosts="10.1.0.1")
    assert gate.admit([Change(REF, None, view())], 0) == []
    assert gate.admit([Change(REF, view(), now)], 1) == []
    gate.programmed(KEY, ONE)
    assert gate.release({REF: now}.get, 2) == [Change(REF, None, now)]
    assert gate.next_deadline is None


def test_one_that_is_programmed_already_does_not_wait() -> None:
    gate = Gate(5)
    gate.programmed(KEY, ONE)
    change = Change(REF, None, view())
    assert gate.admit([change], 0) == [change]


def test_it_waits_for_all_its_addresses_and_for_new_ones_alone() -> None:
    gate = Gate(5)
    gate.programmed(KEY, ONE)
    assert gate.admit([Change(REF, view(), view("10.0.0.1 10.0.0.2"))], 0) == []
    gate.programmed(KEY, TWO)
    assert gate.release({REF: view("10.0.0.1 10.0.0.2")}.get, 0) != []
    gate.programmed(KEY, frozenset())
    fewer = Change(REF, view("10.0.0.1 10.0.0.2"), view())
    assert gate.admit([fewer], 0) == [fewer]


def test_other_endpoints_pass() -> None:
    change = Change(REF, view(), view(hosts="10.1.0.1"))
    assert Gate(5).admit([change], 0) == [change]


def test_what_has_no_portal_passes() -> None:
    someone = pod("web", "10.1.0.1")
    changes = [
        Change(REF, None, view(portals="")),
        Change(REF, None, view(ports="")),
        Change(someone.ref, None, someone),
        Change(REF, view(), None),
    ]
    assert Gate(5).admit(changes, 0) == changes


def test_nothing_waits_longer_than_the_deadline_that_its_first_change_set() -> None:
    gate, now = Gate(5), view(hosts="10.1.0.1")
    gate.admit([Change(REF, None, view())], 10)
    gate.admit([Change(REF, view(), now)], 14)
    assert gate.next_deadline == 15
    assert gate.release({REF: now}.get, 14.9) == []
    assert gate.release({REF: now}.get, 15) == [Change(REF, None, now)]


def test_one_that_is_gone_before_it_was_known_never_was() -> None:
    gate = Gate(5)
    gate.admit([Change(REF, None, view())], 0)
    assert gate.admit([Change(REF, view(), None)], 1) == []
    assert gate.next_deadline is None


EVENTS = st.sampled_from(
    [
        Upsert(service(portals="10.0.0.1", ports=":80")),
        Upsert(service(portals="10.0.0.2", ports=":80")),
        Upsert(service(ports=":80", headless=True)),
        Upsert(endpoints(hosts="10.1.0.1", ports=":80")),
        Removal(REF),
    ]
)
STEPS = st.lists(
    st.tuples(EVENTS, st.sampled_from(["", "10.0.0.1", "10.0.0.2"]), st.floats(0, 3)), max_size=12
)


@given(STEPS)
def test_in_the_end_everything_is_known_as_it_is(steps: list[tuple[Upsert | Removal, str, float]]) -> None:
    gate, cluster = Gate(2), Cluster()
    known: dict[Ref, Thing | None] = {}
    now = 0.0

    def learn(changes: list[Change]) -> None:
        for change in changes:
            assert known.get(change.ref) == change.before
            known[change.ref] = change.after

    for event, programmed, seconds in steps:
        now += seconds
        cluster.apply([event])
        learn(gate.admit(cluster.take(), now))
        gate.programmed(KEY, frozenset({packed(programmed)} if programmed else ()))
        learn(gate.release(cluster.thing, now))
    learn(gate.release(cluster.thing, now + 2))
    assert known.get(REF) == cluster.thing(REF)
