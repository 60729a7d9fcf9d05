"""Follows the balancer's Leases, and meanwhile ends the sessions of those that do not renew them.

1. Ends of counts come while nothing else does, so a thread beside the watch waits for them, with a
   connection of its own.  Which counts have ended is the ``Ledger``'s to say.
2. What a deletion means for the keys is told by the watch alone, whoever deleted.
3. A watch that the server ends (it does each half hour or so) is asked for again from where it was: nothing
   was missed, and the counts go on.  Anything else begins with a listing.
"""

import logging
import random
import threading
from collections.abc import Iterator

from skydns_py.balancer import kubernetes_objects as objects
from skydns_py.balancer.kubernetes_ledger import LEFT_SECONDS, Ledger
from skydns_py.balancer.session import clock
from skydns_py.balancer.store import News
from skydns_py.balancer_kubernetes_api import Api, Place
from skydns_py.errors import StoreError

log = logging.getLogger("skydns")

LOOK_SECONDS = 0.5
"""A new session is counted from now on; none lasts for less."""
RETRY_SECONDS = 0.1
PATIENCE = 2.0


def follow(api: Api, place: Place) -> Iterator[News]:
    """See ``Store.follow``."""
    items, version = api.leases()
    ledger = place.ledger = Ledger(items, version, clock(), place.lease_seconds)
    sweeper = Sweeper(place, ledger)
    sweeper.start()
    try:
        yield ledger.whole()
        while True:
            before = version
            for kind, document in api.watch(version):
                version = objects.parse_version(document.get("metadata") or {})
                item = objects.parse(document, place.keys.root) if kind != "BOOKMARK" else None
                if item is not None and (found := ledger.take(item, kind != "DELETED", clock())):
                    yield News(found)
            if version == before:
                raise StoreError("the API server ended a watch before it said anything")
    finally:
        sweeper.stop()


class Sweeper:
    """Ends sessions, and takes away what they left, from ``start`` to ``stop``."""

    def __init__(self, place: Place, ledger: Ledger) -> None:
        self._ledger = ledger
        self._api = Api(place.client(PATIENCE), place)
        self._own_time = random.uniform(0, LEFT_SECONDS)  # noqa: S311  # so that not all clean at once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="skydns-sweep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the thread follows soon."""
        self._stopping.set()
        self._api.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause()):
            try:
                self._sweep()
            except StoreError as error:
                log.debug("a session cannot be ended: %s", error)

    def _pause(self) -> float:
        left = self._ledger.next_end() - clock()
        return min(left, LOOK_SECONDS) if left > 0 else RETRY_SECONDS

    def _sweep(self) -> None:
        for session in self._ledger.overdue(clock()):
            if self._api.delete(session.name, session.version, session.uid):
                log.info("%s did not renew its session in time: ended it", session.value.decode())
            else:
                self._ledger.renewed(session, clock())
        for item in self._ledger.leftovers(clock() - self._own_time):
            self._api.delete(item.name, item.version, item.uid)
