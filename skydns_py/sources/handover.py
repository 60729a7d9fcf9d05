"""The way from a source's threads to the reactor: in order, bounded, with a turn for others in between."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from skydns_py.cluster.objects import Event, Removal, Upsert
from skydns_py.sources import Sink

log = logging.getLogger("skydns")

WAITING = 5000
"""Events that may wait for the reactor, some 5 MB, before the thread stops reading."""
CHUNK_SECONDS = 0.01
"""What the reactor gives the sink at a time; a chunk is made smaller or larger to fit."""
SMALLEST_CHUNK, LARGEST_CHUNK = 10, 500

Item = Event | Callable[[], None]


class Reactor(Protocol):
    """What is used of Twisted's reactor."""

    def callFromThread(self, function: Callable[[], object]) -> object:  # noqa: N802 -- Twisted's name
        """Run it soon on the reactor's thread; the one method that other threads may call."""

    def callLater(self, seconds: float, function: Callable[[], object]) -> object:  # noqa: N802 -- Twisted's
        """Run it after so many seconds."""

    def seconds(self) -> float:
        """A clock that only goes forward."""


class Handover:
    """Carries events, and calls of the sink's other methods, from threads to the reactor, in order."""

    def __init__(self, sink: Sink, reactor: Reactor) -> None:
        self._sink = sink
        self._reactor = reactor
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._scheduled = False
        self._chunk = SMALLEST_CHUNK

    def send(self, items: Iterable[Item]) -> None:
        """Called by a thread; waits while the reactor is behind."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < WAITING)
            self._items.extend(items)
            if self._closed or self._scheduled or not self._items:
                return
            self._scheduled = True
        self._reactor.callFromThread(self._deliver)

    def close(self) -> None:
        """Called on the reactor's thread: nothing is delivered from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _deliver(self) -> None:
        events, call = self._take()
        started = self._reactor.seconds()
        try:
            self._tell(events, call)
        except Exception:
            log.exception("the sink failed")
        self._fit(len(events), self._reactor.seconds() - started)
        with self._changed:
            self._scheduled = bool(self._items) and not self._closed
            self._changed.notify_all()
        if self._scheduled:
            self._reactor.callLater(0, self._deliver)

    def _take(self) -> tuple[list[Event], Callable[[], None] | None]:
        """The events that are next, at most a chunk of them; or, where a call is next, that."""
        events = list[Event]()
        with self._changed:
            while self._items and len(events) < self._chunk:
                item = self._items.popleft()
                if isinstance(item, Upsert | Removal):
                    events.append(item)
                elif events:
                    self._items.appendleft(item)
                    break
                else:
                    return events, item
        return events, None

    def _tell(self, events: list[Event], call: Callable[[], None] | None) -> None:
        if self._closed:
            return
        if call is not None:
            call()
        elif events:
            self._sink.apply(events)

    def _fit(self, count: int, seconds: float) -> None:
        if seconds > CHUNK_SECONDS:
            self._chunk = max(self._chunk // 2, SMALLEST_CHUNK)
        elif count == self._chunk and seconds < CHUNK_SECONDS / 2:
            self._chunk = min(self._chunk * 2, LARGEST_CHUNK)
