"""A sink that writes down what it is told and lets a test wait for it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from twisted.python import threadable

from skydns_py.cluster.objects import ClusterObject, Event, Ref, Upsert

SECONDS = 30.0


class Recorder:
    """Keeps every call as (name, arguments) and the state that the events add up to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.state: dict[Ref, ClusterObject] = {}
        self.largest = 0
        self._changed = threading.Condition()

    def apply(self, events: Sequence[Event]) -> None:
        self._note(*(("upsert", e.obj) if isinstance(e, Upsert) else ("removal", e.ref) for e in events))
        with self._changed:
            self.largest = max(self.largest, len(events))
            for event in events:
                if isinstance(event, Upsert):
                    self.state[event.obj.ref] = event.obj
                else:
                    self.state.pop(event.ref, None)
            self._changed.notify_all()

    def synced(self) -> None:
        self._note(("synced",))

    def lost(self, reason: str) -> None:
        self._note(("lost", reason))

    def refused(self, where: str, reason: str) -> None:
        self._note(("refused", where, reason))

    def _note(self, *calls: tuple[Any, ...]) -> None:
        assert threadable.isInIOThread(), "the sink is called on the reactor's thread only"
        with self._changed:
            self.calls.extend(calls)
            self._changed.notify_all()

    def wait(self, what: Callable[["Recorder"], object], seconds: float = SECONDS) -> None:
        """Until ``what`` holds; AssertionError with what was told last where it does not in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: what(self), seconds), f"told: {self.calls[-20:]}"

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of that name."""
        with self._changed:
            return [call[1:] for call in self.calls if call[0] == name]

    def wait_call(self, name: str, count: int = 1) -> list[tuple[Any, ...]]:
        """The arguments of the calls of that name, once there are ``count``."""
        self.wait(lambda _: len(self.named(name)) >= count)
        return self.named(name)

    def mark(self) -> int:
        """A place in the record, for ``since``."""
        with self._changed:
            return len(self.calls)

    def since(self, mark: int) -> list[tuple[Any, ...]]:
        """What was told after ``mark``."""
        with self._changed:
            return self.calls[mark:]
