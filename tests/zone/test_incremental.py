"""However a cluster came to be what it is, its table is that of a server which starts with it now.

The changes are published as ``Feed`` does it: taken from the cluster in a queue, some of them at a time,
lazily or not.  In between names are asked for, so that lazy ones come from a cluster that may be ahead.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from skydns_py.answers.packed import Node
from skydns_py.answers.search import Clients
from skydns_py.cluster.objects import ClusterObject, Kind, Removal, Upsert
from skydns_py.cluster.state import Change, Cluster, ServiceView
from skydns_py.dataplane.publish import Publisher
from skydns_py.dataplane.pure import PureTable
from skydns_py.zone import legacy, schema
from skydns_py.zone.names import ancestors, from_text, parent, reverse, to_text
from skydns_py.zone.settings import Pods
from skydns_py.zone.zone import Zone
from tests.builders import ZONE, headless, settings, slice_of
from tests.zone.strategies import ADDRESSES, kubernetes_objects, objects

APEX = from_text(ZONE)
SERIAL = 7
ASKED = [
    from_text(f"{name}.{ZONE}")
    for name in (
        *("a.x.svc", "b.x.svc", "h0.a.x.svc", "_http._tcp.a.x.svc", "x.svc", "a.x", "b.y", "10-1-0-1.x.pod"),
        *("r.a.x.svc", "dns", "ns.dns", "r.q"),
    )
] + [APEX, *map(reverse, ADDRESSES)]


class Server:
    """The parts of a Feed that turn events into a table, with its queue in the test's hands."""

    def __init__(self, pods: Pods) -> None:
        self.cluster = Cluster()
        self.zone = Zone(settings(pods=pods), self.cluster.view)
        self.clients = Clients({})
        self.publisher = Publisher(self.zone, self.clients)
        self.table = PureTable(self.publisher.compute, 1232, self.zone.open_subtrees)
        self.queue: deque[Change] = deque()
        self.publisher.attach(self.table)

    def publish(self, size: int, *, lazily: bool) -> None:
        self.queue.extend(self.cluster.take())
        chunk = [self.queue.popleft() for _ in range(min(size, len(self.queue)))]
        self.publisher.publish(chunk, SERIAL, lazily=lazily)

    def put(self, news: Iterable[ClusterObject], *, lazily: bool = False) -> None:
        self.cluster.apply([Upsert(each) for each in news])
        self.publish(10**6, lazily=lazily)

    def names(self) -> set[bytes]:
        return set(self.table._nodes)

    def nodes(self) -> dict[str, Node | None]:
        return {to_text(name): self.table.node(name) for name in self.names()}


Step = Callable[[Server], None]


def upsert(obj: ClusterObject) -> Step:
    return lambda server: server.cluster.apply([Upsert(obj)])


def remove(number: int) -> Step:
    """The removal of one of the objects there are then."""

    def step(server: Server) -> None:
        if found := everything(server.cluster):
            server.cluster.apply([Removal(found[number % len(found)].ref)])

    return step


def publish(size: int, lazily: bool) -> Step:
    return lambda server: server.publish(size, lazily=lazily)


def ask(name: bytes) -> Step:
    def step(server: Server) -> None:
        server.table.node(name)

    return step


events = objects.map(upsert) | st.integers(0, 20).map(remove)
rounds = st.tuples(
    events,
    st.lists(events, max_size=2).map(tuple),
    st.builds(publish, st.integers(1, 4), st.booleans()),
    st.sampled_from(ASKED).map(ask),
).map(lambda parts: (parts[0], *parts[1], *parts[2:]))
steps = st.lists(rounds, min_size=5, max_size=20).map(lambda found: list(chain.from_iterable(found)))
modes = st.sampled_from(Pods)


def everything(cluster: Cluster) -> list[ClusterObject]:
    found: Any = cluster._objects
    return [obj for kind in Kind for obj in found[kind].values()]


def check_incremental_equals_fresh(taken: Sequence[Step], mode: Pods) -> None:
    server, fresh = Server(mode), Server(mode)
    for step in taken:
        step(server)
    server.publish(10**6, lazily=False)
    fresh.put(everything(server.cluster))
    assert server.nodes() == fresh.nodes()
    assert vars(server.clients) == vars(fresh.clients)
    assert server.table.wildcards == fresh.table.wildcards


@hypothesis(max_examples=120, deadline=None)
@given(steps, modes)
def test_incremental_equals_fresh(taken: Sequence[Step], mode: Pods) -> None:
    check_incremental_equals_fresh(taken, mode)


@pytest.mark.nightly
@hypothesis(max_examples=5_000, deadline=None)
@given(steps, modes)
def test_incremental_equals_fresh_in_many_cases(taken: Sequence[Step], mode: Pods) -> None:
    check_incremental_equals_fresh(taken, mode)


@hypothesis(max_examples=60, deadline=None)
@given(st.lists(objects, min_size=5, max_size=20), modes)
def test_lazy_equals_eager(objs: list[ClusterObject], mode: Pods) -> None:
    lazy, eager = Server(mode), Server(mode)
    lazy.put(objs, lazily=True)
    eager.put(objs)
    assert lazy.nodes() == eager.nodes()


@hypothesis(max_examples=60, deadline=None)
@given(st.lists(objects, min_size=5, max_size=20), modes)
def test_a_kept_node_is_what_would_be_computed_now(objs: list[ClusterObject], mode: Pods) -> None:
    server = Server(mode)
    server.put(objs)
    assert server.nodes() == {to_text(name): server.publisher.compute(name) for name in server.names()}


@hypothesis(max_examples=60, deadline=None)
@given(steps, modes)
def test_whatever_lies_above_a_name_exists(taken: Sequence[Step], mode: Pods) -> None:
    server = Server(mode)
    for step in taken:
        step(server)
        names = server.names()
        apexes = set(server.zone.settings.apexes)
        assert {parent(name) for name in names - apexes} <= names
        assert apexes <= names


@hypothesis(max_examples=60, deadline=None)
@given(st.lists(objects, max_size=15))
def test_what_is_gone_leaves_nothing(objs: list[ClusterObject]) -> None:
    server = Server(Pods.VERIFIED)
    server.put(objs)
    server.cluster.apply([Removal(obj.ref) for obj in objs])
    server.publish(10**6, lazily=False)
    fresh = Server(Pods.VERIFIED)
    fresh.publish(0, lazily=False)
    assert server.nodes() == fresh.nodes()
    zone: Any = server.zone
    assert not zone._reverse._alone
    assert not zone._reverse._contested
    assert not zone._pods._live
    assert not zone._pods._namespaces
    assert not server.cluster._slices_of
    assert zone._existence._children == fresh.zone._existence._children


def own_names(view: object) -> set[bytes]:
    """The names a Service owns, forward and reverse."""
    if not isinstance(view, ServiceView):
        return set()
    made = schema.records(view, APEX, 5)
    return {*made.forward, *legacy.forward(view, APEX, 5), *map(reverse, made.pointers)}


@hypothesis(max_examples=60, deadline=None)
@given(st.lists(kubernetes_objects, min_size=5, max_size=15), kubernetes_objects)
def test_a_change_of_a_service_touches_its_names_and_those_that_appear_or_vanish(
    objs: list[ClusterObject], last: ClusterObject
) -> None:
    server = Server(Pods.VERIFIED)
    server.put(objs)
    before = server.names()
    server.cluster.apply([Upsert(last)])
    for change in server.cluster.take():
        if change.ref.kind is not Kind.SERVICE:
            continue
        server.publisher.publish([], SERIAL)
        server.zone.change(change)
        touched = set(server.zone._updates)
        server.publisher.publish([], SERIAL)
        own = own_names(change.before) | own_names(change.after)
        appeared = before ^ server.names()
        assert touched <= own | appeared
        assert appeared <= {above for name in own for above in ancestors(name)}
        before = server.names()


@pytest.mark.parametrize("lazily", [False, True])
def test_a_slice_that_changes_its_label_moves_from_one_service_to_the_other(lazily: bool) -> None:
    server = Server(Pods.VERIFIED)
    server.put([headless("a", ns="x"), headless("b", ns="x")], lazily=lazily)
    server.put([slice_of("a", "h0=10.1.0.1", name="s1", ns="x")], lazily=lazily)
    server.put([slice_of("b", "h0=10.1.0.1", name="s1", ns="x")], lazily=lazily)
    found = server.nodes()
    assert "h0.b.x.svc.cluster.local." in found
    assert not {"a.x.svc.cluster.local.", "h0.a.x.svc.cluster.local."} & set(found)
