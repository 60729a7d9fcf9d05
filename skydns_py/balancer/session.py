"""This node's lease: granted, kept alive, lost, and granted anew, in a thread that does nothing else.

1. All that may be concluded from a renewal is that the lease lasts its seconds *from when the request was
   sent*: etcd cannot have heard of it earlier.  So the time of sending is what is reported.
2. Renewals are sent six times in a lease, and given up after a quarter of it: of a lease of 2 s, two may
   fail before anything has to be withdrawn.
3. A failure says nothing of the lease.  It is renewed through the next endpoint, until etcd itself says
   that it has ended; only then is another one asked for.
4. The clock counts on while the machine sleeps (CLOCK_BOOTTIME).
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from skydns_py.balancer.link import Connect, Link
from skydns_py.errors import StoreError

RENEWALS = 6
RETRY_SECONDS = 0.1


def clock() -> float:
    """Seconds that only go forward, and go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Sessions(Protocol):
    """Who is told; every call comes on the reactor's thread."""

    def opened(self, lease: int, seconds: float, sent: float) -> None:
        """There is a new lease; it lasts ``seconds`` from ``sent`` on."""

    def confirmed(self, lease: int, sent: float) -> None:
        """It lasts its seconds from ``sent`` on."""

    def ended(self) -> None:
        """There is no lease any more."""

    def failing(self, reason: str) -> None:
        """The lease cannot be renewed just now; one line of why."""


class Session:
    """Keeps a lease of ``seconds``, at least, from ``start`` to ``stop``."""

    def __init__(self, connect: Connect, seconds: int, told: Sessions, reactor: Any) -> None:
        self._seconds = seconds
        self._told = told
        self._reactor = reactor
        self._link = Link(connect)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="skydns-lease", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the lease; returns soon, ``join`` waits for it."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait until the lease has been revoked, or has had time enough to be."""
        self._thread.join(seconds)
        self._link.close()

    def _run(self) -> None:
        lease = 0
        while not self._stopping.is_set():
            try:
                lease = lease or self._grant()
                lease = self._renew(lease)
            except StoreError as error:
                self._link.lose()
                self._tell(self._told.failing, str(error))
                self._stopping.wait(RETRY_SECONDS)
        if lease:
            self._revoke(lease)

    def _grant(self) -> int:
        sent = clock()
        lease, seconds = self._link.store().grant(self._seconds)
        self._pause = seconds / RENEWALS
        self._tell(self._told.opened, lease, float(seconds), sent)
        self._stopping.wait(self._pause)
        return lease

    def _renew(self, lease: int) -> int:
        """Until it ends: 0 then, and itself where the thread is to stop; StoreError where etcd is lost."""
        while not self._stopping.is_set():
            sent = clock()
            if not self._link.store().keep_alive(lease):
                self._tell(self._told.ended)
                return 0
            self._tell(self._told.confirmed, lease, sent)
            self._stopping.wait(max(0.0, sent + self._pause - clock()))
        return lease

    def _revoke(self, lease: int) -> None:
        with suppress(StoreError):  # it ends by itself
            self._link.store().revoke(lease)

    def _tell(self, what: Callable[..., None], *words: Any) -> None:
        self._reactor.callFromThread(what, *words)
