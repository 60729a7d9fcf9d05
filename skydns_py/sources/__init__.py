"""Where the cluster's objects come from: list, watch, and say what changed."""

from collections.abc import Sequence
from typing import Protocol

from skydns_py.cluster.objects import Event


class Sink(Protocol):
    """Whom a source tells. Every call comes on the reactor's thread, in the order things happened."""

    def apply(self, events: Sequence[Event]) -> None:
        """These things happened, in this order; a relist delivers only the difference."""

    def synced(self) -> None:
        """All that existed when the source started listing has been applied (again, after each loss)."""

    def lost(self, reason: str) -> None:
        """The source cannot be followed just now, so what is known may be growing old; one line of why."""

    def refused(self, where: str, reason: str) -> None:
        """One object was not decoded: its key or file, field path and reason. Its last good form stays."""


class Source(Protocol):
    """A started source delivers to its sink until stopped; both calls are made on the reactor's thread."""

    def start(self) -> None:
        """Begin, without blocking."""

    def stop(self) -> None:
        """End; no call to the sink comes after this returns."""
