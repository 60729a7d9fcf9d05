"""The way of a change to a load balancer: source → cluster → who asks for one, and where backends are."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from skydns_py.balancer.store import CONTROLLER
from skydns_py.balancer.view import View
from skydns_py.cluster.objects import Event, Kind, Node, Service
from skydns_py.cluster.state import Change, Cluster, ServiceView
from skydns_py.ops.status import Following

CHUNK = 1000
"""Changes looked at before the reactor has its turn; most Services ask for nothing and take microseconds."""


class BalancerFeed(Following):
    """The sink of a source. ``wanting`` are the Services that ask for a balancer, as ``my-ns/web``."""

    def __init__(self, view: View, reactor: Any) -> None:
        super().__init__()
        self._view = view
        self._reactor = reactor
        self._cluster = Cluster()
        self._pending: Any = None
        self.wanting: dict[str, Service] = {}
        self.nodes: dict[str, Node] = {}
        self.changed: Callable[[str], None] = lambda _: None
        self.moved: Callable[[], None] = lambda: None
        self.complete: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """Whether everything that existed at the start is known here."""
        return self.status.synced

    def service(self, owner: str) -> Service | None:
        """The Service of that name, whether it asks for anything or not."""
        found = self._view_of(owner)
        return found.service if found else None

    def apply(self, events: Sequence[Event]) -> None:
        """See ``Sink.apply``."""
        super().apply(events)
        self._cluster.apply(events)
        self._schedule()

    def synced(self) -> None:
        """See ``Sink.synced``."""
        super().synced()
        self._schedule()

    def _meanwhile(self) -> str:
        return "going by what is known" if self.status.synced else "not ready yet"

    def eligible(self, seat: str) -> Collection[str]:
        """The nodes that may have a seat: all that are alive, under the Local policy those with backends.

        Nobody may announce an address that no known Service has.
        """
        alive = set(self._view.nodes)
        if seat == CONTROLLER:
            return alive
        reservation = self._view.reservations.get(seat)
        if reservation is None:
            return ()
        if not self.status.synced:
            return alive
        views = [found for owner in reservation.services if (found := self._view_of(owner))]
        for each in views:
            if each.service.exposure.external_local:
                alive &= _nodes(each)
        return alive if views else ()

    def _view_of(self, owner: str) -> ServiceView | None:
        namespace, _, name = owner.partition("/")
        return self._cluster.view((namespace, name))

    def _schedule(self) -> None:
        if self._pending is None:
            self._pending = self._reactor.callLater(0, self._take_some)

    def _take_some(self) -> None:
        self._pending = None
        for change in self._cluster.take(CHUNK):
            self._take(change)
        if self._cluster.changed:
            self._schedule()
        elif self.status.syncs and not self.status.synced:
            self.status.synced = True
            self.complete()

    def _take(self, change: Change) -> None:
        if change.ref.kind is Kind.NODE:
            if isinstance(change.after, Node):
                self.nodes[change.ref.name] = change.after
            else:
                self.nodes.pop(change.ref.name, None)
            self.moved()
        elif change.ref.kind is Kind.SERVICE:
            self._take_service(f"{change.ref.namespace}/{change.ref.name}", change.after)

    def _take_service(self, owner: str, after: object) -> None:
        wanted = owner in self.wanting
        if isinstance(after, ServiceView) and after.service.exposure.wants_balancer:
            self.wanting[owner] = after.service
        elif wanted:
            del self.wanting[owner]
        if wanted or owner in self.wanting:
            self.changed(owner)


def _nodes(view: ServiceView) -> set[str]:
    """The nodes of its ready endpoints; of those that still serve while they end, where none is ready."""
    endpoints = [each for subset in view.subsets for each in subset.endpoints]
    ready: Iterable[str] = {each.node for each in endpoints if each.ready}
    return set(ready) or {each.node for each in endpoints if each.serving and each.terminating}
