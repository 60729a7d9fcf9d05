"""The way of a change to the kernel: source → cluster → plan → backend → one transaction.

Follow one Service: ``PortalFeed.apply`` → ``Cluster`` → ``Plan`` → ``Runner`` → ``Backend`` → the kernel.
Nothing is programmed before the source's first list is complete: half a picture would refuse connections
to Services that exist.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from skydns_py.cluster.objects import Event, Kind, Node
from skydns_py.cluster.state import Change, Cluster, ServiceView
from skydns_py.ops.status import Following
from skydns_py.portal.health import HealthPorts
from skydns_py.portal.plan.model import Host, Portal, ServiceKey
from skydns_py.portal.plan.plan import Plan
from skydns_py.portal.runner import Runner

log = logging.getLogger("skydns")

CHUNK = 500
"""Services planned before the reactor has its turn: some 50 ms, at the start, while nobody waits."""


class PortalFeed(Following):
    """The sink of a source. ``services`` have portals; ``read_at``: when the first list was complete."""

    def __init__(self, host: Host, runner: Runner, health: HealthPorts, reactor: Any) -> None:
        super().__init__()
        self._node = host.node
        self._runner = runner
        self._health = health
        self._reactor = reactor
        self._cluster = Cluster()
        self._plan = Plan(host, self._view)
        self._checks: dict[ServiceKey, tuple[int, int]] = {}
        self._nodes: set[str] = set()
        self._caught_up = False
        self._pending: Any = None
        self.services: set[ServiceKey] = set()
        self.read_at = 0.0

    def apply(self, events: Sequence[Event]) -> None:
        """See ``Sink.apply``."""
        super().apply(events)
        self._cluster.apply(events)
        if self._caught_up and self._pending is None:
            self._plan_some()

    def synced(self) -> None:
        """See ``Sink.synced``."""
        super().synced()
        if not self._caught_up:
            self.read_at = self._reactor.seconds()
        self._caught_up = True
        if self._pending is None:
            self._plan_some()

    def _meanwhile(self) -> str:
        return "what is programmed stays" if self._caught_up else "not ready yet"

    def _plan_some(self) -> None:
        """Plan a chunk of what has changed; once nothing is left, have it programmed."""
        self._pending = None
        for change in self._cluster.take(CHUNK):
            self._take(change)
        if self._cluster.changed:
            self._pending = self._reactor.callLater(0, self._plan_some)
            return
        self._check_name()
        self._health.set({port: (*key, count) for key, (port, count) in self._checks.items()})
        self._runner.sync()

    def _take(self, change: Change) -> None:
        if change.ref.kind is Kind.SERVICE:
            assert change.before is None or isinstance(change.before, ServiceView)
            for key, portals in self._plan.update((change.ref.namespace, change.ref.name), change.before):
                self._want(key, portals)
        elif isinstance(change.after, Node):
            self._nodes.add(change.after.name)
            if change.after.name == self._node:
                self._move(change.after.zone)

    def _check_name(self) -> None:
        """Say it where this node cannot be one of the cluster's: local endpoints would never be found."""
        if self._nodes and self._node not in self._nodes and not self._runner.syncs.programmed:
            log.warning("no Node of the cluster is called %s: set portal.node_name", self._node)

    def _move(self, zone: str) -> None:
        """Where hints point depends on the zone this node is in."""
        if self._plan.move(zone):
            for key in tuple(self.services):
                self._want(key, self._plan.portals(key))

    def _want(self, key: ServiceKey, portals: tuple[Portal, ...]) -> None:
        self._runner.want(key, portals)
        self._checks.pop(key, None)
        view = self._view(key)
        if portals and view is not None:
            self.services.add(key)
            self._check(key, view, portals)
        else:
            self.services.discard(key)

    def _check(self, key: ServiceKey, view: ServiceView, portals: tuple[Portal, ...]) -> None:
        """A balancer that asks which nodes have endpoints (healthCheckNodePort) gets its answer."""
        exposure = view.service.exposure
        if exposure.external_local and exposure.health_check_node_port:
            count = len({target.address for portal in portals for target in portal.local})
            self._checks[key] = exposure.health_check_node_port, count

    def _view(self, key: ServiceKey) -> ServiceView | None:
        return self._cluster.view(key)


class PortalFeedOnce(PortalFeed):
    """Programs the first complete picture, or ``give_up`` hears why there is none.

    Whoever programs once does not come back to mend it.  What is known by name only, or was in a file that
    cannot be read, would lose its portals, which may be in the kernel; so nothing is touched.
    """

    def __init__(
        self, host: Host, runner: Runner, health: HealthPorts, reactor: Any, give_up: Callable[[str], None]
    ) -> None:
        super().__init__(host, runner, health, reactor)
        self._give_up = give_up

    def synced(self) -> None:
        """See ``Sink.synced``."""
        if refused := self.status.refused:
            self._give_up(f"nothing is programmed: {counted(refused)} cannot be used; see above")
        else:
            super().synced()


def counted(refused: int) -> str:
    """As a person reads it."""
    return "an object or file" if refused == 1 else f"{refused} objects or files"
