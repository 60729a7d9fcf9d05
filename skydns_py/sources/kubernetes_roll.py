"""Who of several followers is up to date, and what a person is told where one is not."""

import logging
import threading
from functools import partial
from urllib.parse import urlsplit

from skydns_py.sources import Sink
from skydns_py.sources.handover import Handover
from skydns_py.sources.kubernetes_client import ApiError

log = logging.getLogger("skydns")

REASONS = 32
"""Different reasons told during one loss, so that a text that always differs does not fill the log."""
_FORBIDDEN = 403
_WHOEVER_ASKS = (401, 404, 429)
"""Refusals that have nothing to do with what was asked for, since every API server has what we list; so have
those from 500 on."""


class Roll:
    """Which followers are up to date; tells the sink when all of them are, and when one no longer is."""

    def __init__(self, sink: Sink, handover: Handover) -> None:
        self._sink = sink
        self._handover = handover
        self._absent: set[object] = set()
        self._told: set[str] = set()
        self._noted: set[str] = set()
        self._lock = threading.Lock()

    def present(self, follower: object) -> None:
        """All that it lists has been handed over."""
        with self._lock:
            if follower not in self._absent:
                return
            self._absent.discard(follower)
            if not self._absent:
                self._told.clear()
                self._handover.send([self._sink.synced])

    def absent(self, follower: object, reason: str = "") -> None:
        """It has to list, or cannot follow; a reason is told once until all are up to date again."""
        with self._lock:
            self._absent.add(follower)
            if reason and reason not in self._told and len(self._told) < REASONS:
                self._told.add(reason)
                self._handover.send([partial(self._sink.lost, reason)])

    def note(self, text: str) -> None:
        """Log what is odd but no loss, once however many followers find it."""
        with self._lock:
            if text not in self._noted:
                self._noted.add(text)
                log.warning(text)


def describe(error: Exception, server: str) -> str:
    """One line for a person: which API server cannot be followed, why, and what to mend where it is known.

    What would be the same whatever is asked for does not name what was asked for, and so is told once.
    """
    parts = urlsplit(server)
    text = str(error)
    if isinstance(error, ApiError):
        if error.status in _WHOEVER_ASKS or error.status >= 500:
            text = text.partition(": ")[2]
        if error.status == _FORBIDDEN:
            text += "; allow list and watch, as manifests/kubernetes/rbac.yaml does"
    else:
        text = text.partition(f" at {parts.scheme}://{parts.netloc}: ")[2] or text
    return f"Kubernetes API at {server}: {text}" if server else text
