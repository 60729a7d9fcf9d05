"""The picture of the cluster: what belongs together, and what each event changes."""

from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cluster.objects import (
    ClusterObject,
    Event,
    Kind,
    Namespace,
    Node,
    Pod,
    Record,
    Ref,
    Removal,
    Upsert,
)
from skydns_py.cluster.state import Change, Cluster, ServiceView, Thing
from tests.builders import endpoints, headless, pod, service, slice_of
from tests.zone.strategies import objects

KEY = ("my-ns", "my-service")
SERVICE = Ref(Kind.SERVICE, *KEY)


def holding(*news: ClusterObject) -> Cluster:
    """A cluster of these objects, whose changes have been taken."""
    cluster = Cluster()
    cluster.apply(map(Upsert, news))
    cluster.take()
    return cluster


def addresses(cluster: Cluster) -> list[bytes]:
    """What stands behind the Service."""
    view = cluster.view(KEY)
    assert view is not None
    return [endpoint.address for subset in view.subsets for endpoint in subset.endpoints]


def test_endpoints_that_come_before_their_service_count_once_it_is_there() -> None:
    cluster = holding(endpoints(hosts="10.1.0.1"))
    assert cluster.view(KEY) is None
    cluster.apply([Upsert(headless())])
    assert addresses(cluster) == [b"\x0a\1\0\1"]


def test_endpoints_that_outlive_their_service_change_nothing() -> None:
    cluster = holding(headless(), endpoints(hosts="10.1.0.1"))
    cluster.apply([Removal(SERVICE)])
    assert [change.after for change in cluster.take()] == [None]
    cluster.apply([Upsert(endpoints(hosts="10.1.0.2")), Removal(Ref(Kind.ENDPOINTS, *KEY))])
    assert cluster.take() == []


def test_slices_win_over_endpoints_and_give_way_when_the_last_is_gone() -> None:
    cluster = holding(headless(), endpoints(hosts="10.1.0.1"), slice_of(hosts="10.1.0.2"))
    assert addresses(cluster) == [b"\x0a\1\0\2"]
    cluster.apply([Removal(slice_of().ref)])
    assert addresses(cluster) == [b"\x0a\1\0\1"]


def test_slices_are_joined_in_the_order_of_their_names() -> None:
    cluster = holding(slice_of(hosts="10.1.0.2", name="b"), headless(), slice_of(hosts="10.1.0.1", name="a"))
    assert addresses(cluster) == [b"\x0a\1\0\1", b"\x0a\1\0\2"]


def test_a_slice_belongs_to_services_of_its_own_namespace() -> None:
    cluster = holding(headless(), slice_of(hosts="10.1.0.1", ns="other"))
    assert addresses(cluster) == []


def test_a_slice_that_changes_its_label_changes_two_services() -> None:
    cluster = holding(headless("a"), headless("b"), slice_of("a", "10.1.0.1", name="s"))
    cluster.apply([Upsert(slice_of("b", "10.1.0.1", name="s"))])
    assert {change.ref.name for change in cluster.take()} == {"a", "b"}


def test_a_slice_that_loses_its_label_leaves_its_service() -> None:
    cluster = holding(headless(), slice_of(hosts="10.1.0.1", name="s"))
    cluster.apply([Upsert(slice_of("", "10.1.0.1", name="s"))])
    assert addresses(cluster) == []
    assert [change.ref for change in cluster.take()] == [SERVICE]


def test_a_burst_on_one_service_is_one_change() -> None:
    cluster = Cluster()
    parts: list[ClusterObject] = [
        service(portals="10.0.0.1"),
        endpoints(hosts="10.1.0.1"),
        slice_of(hosts="10.1.0.2"),
    ]
    cluster.apply(map(Upsert, parts))
    (change,) = cluster.take()
    assert (change.ref, change.before) == (SERVICE, None)
    assert change.after == cluster.view(KEY)
    assert cluster.take() == []


def test_what_comes_back_as_it_was_is_no_change() -> None:
    cluster = holding(service(portals="10.0.0.1"), slice_of(hosts="10.1.0.1"))
    cluster.apply([Removal(SERVICE), Removal(slice_of().ref)])
    cluster.apply([Upsert(slice_of(hosts="10.1.0.1")), Upsert(service(portals="10.0.0.1"))])
    assert cluster.take() == []


def test_other_kinds_are_changes_of_themselves() -> None:
    things: list[Pod | Namespace | Node | Record] = [
        *(Namespace("my-ns"), Node("n"), pod("a", "10.1.0.1")),
        Record("local/a", "10.1.0.1"),
    ]
    cluster = Cluster()
    cluster.apply(map(Upsert, things))
    assert cluster.take() == [Change(thing.ref, None, thing) for thing in things]
    cluster.apply(Removal(thing.ref) for thing in things)
    assert cluster.take() == [Change(thing.ref, thing, None) for thing in things]


def test_the_first_changes_are_all_there_is_and_none_of_what_was_gone_by_then() -> None:
    cluster = Cluster()
    cluster.apply(map(Upsert, (service("a"), Node("n"), service("gone"), slice_of("a", "10.1.0.1"))))
    cluster.apply([Removal(service("gone").ref)])
    assert cluster.changed
    (first,) = cluster.take(1)
    cluster.apply([Removal(service("a").ref), Upsert(service("new"))])
    assert [first, *cluster.take()] == [
        Change(Node("n").ref, None, Node("n")),
        Change(service("new").ref, None, cluster.view(("my-ns", "new"))),
    ]
    assert not cluster.changed


def test_the_removal_of_what_is_not_there_changes_nothing() -> None:
    cluster = holding(service())
    cluster.apply(Removal(Ref(kind, "my-ns", "nosuch")) for kind in Kind)
    assert cluster.take() == []


events = st.lists(
    st.one_of(objects.map(Upsert), objects.map(lambda obj: Removal(obj.ref)), st.just("take")), max_size=40
)


@given(events)
def test_changes_lead_from_one_picture_to_the_next(steps: list[Event | str]) -> None:
    cluster, seen = Cluster(), dict[Ref, Thing]()
    touched: set[Ref] = set()
    for step in [*steps, "take"]:
        if isinstance(step, Upsert | Removal):
            cluster.apply([step])
            touched.add(step.obj.ref if isinstance(step, Upsert) else step.ref)
            continue
        for change in cluster.take():
            assert seen.pop(change.ref, None) == change.before != change.after
            if change.after is not None:
                seen[change.ref] = change.after
    services = {Ref(Kind.SERVICE, ns, name) for ns in ("x", "y", "svc", "pod") for name in ("a", "b")}
    others = {ref for ref in touched if ref.kind not in (Kind.ENDPOINTS, Kind.SLICE)}
    now = {ref: thing for ref in services | others if (thing := cluster.thing(ref)) is not None}
    assert seen == now
    assert all(isinstance(thing, ServiceView) == (ref.kind is Kind.SERVICE) for ref, thing in now.items())
