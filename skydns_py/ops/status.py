"""Whether the server is well, in one object that the source and the pages share."""

from dataclasses import dataclass


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
