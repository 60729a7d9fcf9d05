"""The way of a change: what a source says goes into the cluster, and from there into the table.

Follow one Service: ``Feed.apply`` → ``Cluster`` → ``Publisher`` → ``Zone`` → ``pack`` → ``PureTable``.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from skydns_py.answers.packed import Node
from skydns_py.answers.respond import Responder
from skydns_py.answers.search import Clients, Network, SearchPath
from skydns_py.answers.toplevel import top_level_domains
from skydns_py.cluster.gate import Gate
from skydns_py.cluster.objects import Event
from skydns_py.cluster.state import Cluster
from skydns_py.dataplane.publish import Publisher
from skydns_py.dataplane.pure import PureTable
from skydns_py.ops.memory import after_first_list
from skydns_py.ops.status import Following
from skydns_py.zone.existence import Existence
from skydns_py.zone.settings import ZoneSettings
from skydns_py.zone.zone import Zone

log = logging.getLogger("skydns")

CHUNK = 200
"""Changes published before the reactor has its turn: some 10 ms, so that queries are answered meanwhile. Full
chunks, which is to say a start or a large relist, are published without computing their answers."""

MakeTable = Callable[[Callable[[bytes], Node | None], int, tuple[bytes, ...]], Any]
"""A class that fulfils ``Table`` and ``Directory``: ``PureTable``, or ``NativeTable``."""


class Plane(NamedTuple):
    """What names are kept in: their table, and which of them exist."""

    table: MakeTable
    existence: Callable[[tuple[bytes, ...]], Any]


PURE = Plane(PureTable, Existence)


class Feed(Following):
    """The sink of a source. Until its first ``synced`` nothing is published; then the server is ready."""

    def __init__(  # noqa: PLR0913  # what it joins, each once
        self,
        zone: ZoneSettings,
        edns_size: int,
        networks: dict[Network, str] | None,
        reactor: Any,
        plane: Plane = PURE,
        *,
        autopath: bool = True,
    ) -> None:
        """``networks`` maps clients that are no pods to namespaces; None: no short names and no autopath."""
        super().__init__()
        self._reactor = reactor
        self._cluster = Cluster()
        self._zone = Zone(zone, self._cluster.view, plane.existence)
        clients = Clients(networks or {})
        self._publisher = Publisher(self._zone, clients)
        self.table = plane.table(self._publisher.compute, edns_size, self._zone.open_subtrees)
        search = None
        if networks is not None:
            top_level = top_level_domains()
            search = SearchPath(zone.name, clients, top_level, autopath=autopath)
            self.table.set_search_path(zone.name, networks, top_level, autopath=autopath)
        self.responder = Responder(self.table, search, edns_size)
        self._gate: Gate | None = None
        self._timer: Any = None
        self._caught_up = False
        self._pending: Any = None
        self._publisher.attach(self.table)

    def wait_at(self, gate: Gate) -> None:
        """From now on the name of a Service waits here for its portal; ``open_gate`` lets go what may."""
        self._gate = gate

    def answer(self, packet: bytes) -> bytes | None:
        """The hot path, once there is something to answer from."""
        reply: bytes | None = self.table.answer(packet) if self.responder.ready else None
        return reply

    def apply(self, events: Sequence[Event]) -> None:
        """See ``Sink.apply``."""
        super().apply(events)
        self._cluster.apply(events)
        if self._caught_up and self._pending is None:
            self._publish()

    def synced(self) -> None:
        """See ``Sink.synced``."""
        super().synced()
        self._caught_up = True
        if self._pending is None:
            self._publish()

    def _meanwhile(self) -> str:
        return "serving what is known" if self.responder.ready else "not ready yet"

    def _publish(self) -> None:
        """Publish a chunk of what has changed; the rest after the reactor's turn."""
        chunk = self._cluster.take(CHUNK)
        known = self._gate.admit(chunk, self._reactor.seconds()) if self._gate else chunk
        if len(known) < len(chunk):
            log.debug("a name waits for its portal")
        self._publisher.publish(known, int(time.time()), lazily=len(chunk) == CHUNK)
        self.status.names = len(self.table)
        more = self._cluster.changed
        self._pending = self._reactor.callLater(0, self._publish) if more else None
        if not more:
            self.open_gate()

    def open_gate(self) -> None:
        """Publish what need not wait any longer; the first picture is served once nothing of it waits."""
        if self._gate:
            free = self._gate.release(self._cluster.thing, self._reactor.seconds())
            self._publisher.publish(free, int(time.time()), lazily=len(free) >= CHUNK)
            if free:
                log.debug("a name need not wait any longer")
            self._await_gate(self._gate.next_deadline)
        waits = bool(self._gate and self._gate.next_deadline is not None)
        if self._caught_up and self._pending is None and not self.responder.ready and not waits:
            self._become_ready()

    def _await_gate(self, deadline: float | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if deadline is not None:
            pause = max(0.0, deadline - self._reactor.seconds())
            self._timer = self._reactor.callLater(pause, self.open_gate)

    def _become_ready(self) -> None:
        """All is published, and most of it will stay."""
        after_first_list(failures=bool(self.status.losses or self.status.refused))
        self.status.synced = self.responder.ready = self.table.ready = True
        log.info("ready: %d names", len(self.table))
