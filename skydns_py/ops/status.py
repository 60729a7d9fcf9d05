"""Whether the server is well, in one object that the source and the pages share, and who keeps it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from skydns_py.cluster.objects import Event

log = logging.getLogger("skydns")


@dataclass(slots=True)
class Status:
    """``synced`` once everything known at the start is served; ``stale`` says why it may be growing old."""

    synced: bool = False
    stale: str = ""
    refused: int = 0
    events: int = 0
    syncs: int = 0
    losses: int = 0
    names: int = 0
    last_event: float = 0.0
    """Unix time of the last event applied."""


class Following:
    """What every sink of a source counts and says; each one extends ``apply`` and ``synced``."""

    def __init__(self) -> None:
        self.status = Status()

    def apply(self, events: Sequence[Event]) -> None:
        """See ``Sink.apply``."""
        self.status.events += len(events)
        self.status.last_event = time.time()

    def synced(self) -> None:
        """See ``Sink.synced``."""
        self.status.syncs += 1
        if self.status.stale:
            log.info("the source is followed again")
            self.status.stale = ""

    def lost(self, reason: str) -> None:
        """See ``Sink.lost``."""
        self.status.losses += 1
        self.status.stale = reason
        log.warning("%s; %s", reason, self._meanwhile())

    def refused(self, where: str, reason: str) -> None:
        """See ``Sink.refused``."""
        self.status.refused += 1
        log.warning("%s: %s", where, reason)

    def _meanwhile(self) -> str:
        """What happens while the source is lost, for its line in the log."""
        raise NotImplementedError
