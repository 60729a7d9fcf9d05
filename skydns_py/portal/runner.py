"""Brings what is wanted into the kernel, and keeps it there.

1. One synchronisation at a time; what changes meanwhile is the next one's, all of it together.
2. A failed one says nothing of what is in the kernel: everything is read and written anew, after a pause
   that doubles from one second to thirty.
3. Flows of connection tracking that point to an endpoint that is gone are ended right after the commit
   that took it away, never before: a packet in between would make the same flow again.
4. Every two seconds, and before each synchronisation, the guard is asked whether somebody else changed what
   is ours; then it is written anew.  One who does so again and again is outlived, not outrun.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, ensureDeferred

from skydns_py.cluster.objects import Address
from skydns_py.errors import SkydnsError
from skydns_py.portal.backend import Backend, Command
from skydns_py.portal.guard import Guard
from skydns_py.portal.plan.model import Portal, ServiceKey
from skydns_py.portal.stale import Flows, Fronts

log = logging.getLogger("skydns")

Programmed = dict[ServiceKey, tuple[Address, ...]]
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
TIDY_SECONDS = 1.0
"""Wait before deleting what nothing refers to any more."""
GUARD_SECONDS = 2.0


@dataclass(slots=True)
class Syncs:
    """What was done, for the log and the metrics; seconds are wall time."""

    done: int = 0
    failed: int = 0
    repairs: int = 0
    flows_ended: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    last_time: float = 0.0
    programmed: bool = False


class Tools(Protocol):
    """The world as the runner needs it: processes, timers, connection tracking."""

    def run(self, command: Command) -> "Deferred[str]":
        """What the command prints."""

    def later(self, seconds: float, function: Callable[[], object]) -> Any:
        """Call it then; the result can be cancelled while it is active."""

    def seconds(self) -> float:
        """A clock."""

    def flush(self, stale: Sequence[Fronts]) -> int:
        """End such flows; how many there were."""


class Runner:
    """Synchronises the kernel with a backend; ``on_sync`` and ``on_failure`` hear how each one ended.

    ``on_sync`` gets the Services whose portals were put there by it, with their portal IPs, in order (none:
    no portal); set ``telling`` to False where nobody wants to know them.
    """

    def __init__(
        self,
        backend: Backend,
        guard: Guard,
        tools: Tools,
        on_sync: Callable[[Programmed], None],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.telling = True
        self.syncs = Syncs()
        self._backend = backend
        self._guard = guard
        self._tools = tools
        self._on_sync = on_sync
        self._on_failure = on_failure
        self._flows = Flows()
        self._news: Programmed = {}
        self._known = False
        self._running = False
        self._again = False
        self._pause = FIRST_PAUSE
        self._timer: Any = None
        self._watch: Any = None

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        """From now on these are the Service's portals; ``sync`` makes it so."""
        self._flows.want(service, portals)
        if self.telling:
            inside = {address for portal in portals for address in portal.inside}
            self._news[service] = tuple(sorted(inside))
        self._backend.want(service, portals)

    def sync(self) -> "Deferred[None] | None":
        """Start now, or once what runs has ended; the result is None where another one is on its way."""
        if self._running:
            self._again = True
            return None
        self._cancel(self._timer)
        self._running = True
        return ensureDeferred(self._loop())

    def stop(self) -> None:
        """Start nothing more; what runs ends by itself, being atomic."""
        self._cancel(self._timer)
        self._cancel(self._watch)
        self._running = True

    async def _loop(self) -> None:
        pause = TIDY_SECONDS
        try:
            self._again = True
            while self._again:
                self._again = False
                await self._once()
            self._pause = FIRST_PAUSE
        except SkydnsError as error:
            self.syncs.failed += 1
            self._known = False
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            log.warning("cannot programme the kernel: %s; trying again in %d s", error, pause)
            self._on_failure()
        self._running = False
        if not self._known or self._backend.untidy:
            self._timer = self._tools.later(pause, self.sync)
        if self._watch is None:
            self._watch = self._tools.later(GUARD_SECONDS, self._look)

    async def _once(self) -> None:
        began = self._tools.seconds()
        if self._guard.disturbed() and self._known:
            self._repair()
        if not self._known:
            self._backend.adopt([await self._read(each) for each in self._backend.inventory()])
        commands, stale = self._backend.pending(), self._flows.take()
        news, self._news = self._news, {}
        try:
            for command in commands:
                await self._tools.run(command)
        except SkydnsError:
            self._flows.put_back(stale)
            self._news = news | self._news
            raise
        if commands:
            self._backend.committed()
        self._known = True
        self.syncs.flows_ended += self._tools.flush(stale) if stale else 0
        self._note(self._tools.seconds() - began, news)
        if commands:  # after the news: with legacy iptables this reads the whole table, 50 ms at 5 000
            self._guard.remember(len(commands))

    async def _read(self, command: Command) -> str:
        """What it prints; "" where it fails, because there is nothing to list."""
        try:
            return await self._tools.run(command)
        except SkydnsError as error:
            log.debug("%s", error)
            return ""

    def _note(self, seconds: float, news: Programmed) -> None:
        self.syncs.done += 1
        self.syncs.seconds += seconds
        self.syncs.last_seconds = seconds
        self.syncs.programmed = True
        self._on_sync(news)

    def _look(self) -> None:
        """Ask the guard, unless a synchronisation is on its way: it will be asked after that."""
        self._watch = self._tools.later(GUARD_SECONDS, self._look)
        if self._running or not self._known or not self._guard.disturbed():
            return
        self._repair()
        self.sync()

    def _repair(self) -> None:
        log.warning("somebody else changed our rules; writing them anew")
        self.syncs.repairs += 1
        self._known = False

    @staticmethod
    def _cancel(timer: Any) -> None:
        if timer is not None and timer.active():
            timer.cancel()
