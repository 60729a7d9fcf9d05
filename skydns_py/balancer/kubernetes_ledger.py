"""Which sessions are over, judged by one observer: decisions alone, without clock or network.

Nothing in the Kubernetes API ends a Lease by itself, so every balancer does it for all.

1. A session's holder counts its time from when it *sent* a renewal that was confirmed, and stops acting two
   thirds of ``leaseDurationSeconds`` after that (``election``).
2. An observer counts from when it *saw* the session as it is.  It saw that after the API server stored it,
   and that was after the holder sent it.  So a count that reaches ``leaseDurationSeconds`` ends later than
   the holder's, by a third of it at least, if both clocks run equally fast; what they show does not matter.
3. Then the session is deleted, under the condition that it is still at the resourceVersion that was counted.
   Had it been renewed since, in whatever the observer has not read yet, nothing is deleted, and the count
   begins anew.
4. Only the deletion ends it.  A key that hangs on a session that is not there is gone; its object may be
   replaced, under the condition of its resourceVersion, or is cleaned away after a while.
5. Who hears nothing counts nothing.  The observer renews a session of its own six times in ``pace`` seconds
   and hears of that by the watch.  After a silence longer than half of that the API server may have stood
   still for everybody: every count begins anew, as with a new listing, and everybody has the time to renew.
6. One watch brings the changes of keys and sessions in the order in which they were made.  So a key whose
   session is not known was written after that had ended: it is gone from the beginning.
"""

import threading
from collections.abc import Iterable
from typing import NamedTuple

from skydns_py.balancer.kubernetes_objects import Item, gone, revision, there
from skydns_py.balancer.store import Held, News

LEFT_SECONDS = 30.0
"""How long an object may lie about that belongs to nobody; a new owner replaces it much sooner."""


class _Counted(NamedTuple):
    item: Item
    since: float


class Ledger:
    """The Leases of one listing at resourceVersion ``version``, and what a watch brings after it.

    ``now`` is in seconds of one clock that only goes forward; ``pace`` are the seconds of the observer's own
    session.  For any thread.
    """

    def __init__(
        self, items: Iterable[Item] = (), version: int = 0, now: float = 0.0, pace: float = 0.0
    ) -> None:
        self._lock = threading.Lock()
        self._version = version
        self._heard = now
        self._pace = pace
        self._sessions: dict[int, _Counted] = {}
        self._keys: dict[str, Item] = {}
        self._hanging: dict[int, set[str]] = {}
        self._left: dict[str, float] = {}
        for item in sorted(items, key=lambda each: bool(each.key)):  # sessions first
            self._note(item, now)

    def whole(self) -> News:
        """Everything there is."""
        with self._lock:
            found = {key: self._held(item) for key, item in self._keys.items()}
            return News(found, revision(self._version) + 1)

    def take(self, item: Item, exists: bool, now: float) -> dict[str, Held]:
        """What a change of an object makes of the keys."""
        with self._lock:
            self._hear(now)
            if exists:
                self._note(item, now)
                return {item.key: self._held(item)} if item.key else {}
            if item.key:
                self._forget(item.key)
                return {item.key: gone(item.version)}
            return self._end(item.lease, now)

    def overdue(self, now: float) -> list[Item]:
        """Sessions to delete at the resourceVersion given (rule 3)."""
        with self._lock:
            ended = [each.item for each in self._sessions.values() if now >= each.since + each.item.seconds]
            return [item for item in ended if now - self._heard <= self._longest_silence(item)]

    def renewed(self, session: Item, now: float) -> None:
        """It was not as it was counted: count anew."""
        with self._lock:
            if (counted := self._sessions.get(session.lease)) and counted.item == session:
                self._sessions[session.lease] = _Counted(session, now)

    def next_end(self) -> float:
        """When the first count ends; infinite where there is none."""
        with self._lock:
            ends = [each.since + each.item.seconds for each in self._sessions.values()]
        return min(ends, default=float("inf"))

    def left(self, key: str) -> int:
        """The resourceVersion at which the object of a key that is gone lies about; 0 where none does."""
        with self._lock:
            return self._keys[key].version if key in self._left else 0

    def leftovers(self, now: float) -> list[Item]:
        """Objects that have lain about for long."""
        with self._lock:
            return [self._keys[key] for key, since in self._left.items() if now >= since + LEFT_SECONDS]

    def _hear(self, now: float) -> None:
        """Rule 5."""
        silence, self._heard = now - self._heard, now
        if silence > self._pace / 2:
            for lease, (item, since) in self._sessions.items():
                began = now if silence > self._longest_silence(item) else since
                self._sessions[lease] = _Counted(item, began)

    def _longest_silence(self, session: Item) -> float:
        return max(session.seconds, self._pace) / 2

    def _note(self, item: Item, now: float) -> None:
        if not item.key:
            self._sessions[item.lease] = _Counted(item, now)
            return
        self._forget(item.key)
        self._keys[item.key] = item
        self._hanging.setdefault(item.lease, set()).add(item.key)
        if item.lease and item.lease not in self._sessions:
            self._left[item.key] = now

    def _forget(self, key: str) -> None:
        self._left.pop(key, None)
        if (before := self._keys.pop(key, None)) is not None:
            self._hanging[before.lease].discard(key)
            if not self._hanging[before.lease]:
                del self._hanging[before.lease]

    def _end(self, lease: int, now: float) -> dict[str, Held]:
        self._sessions.pop(lease, None)
        keys = self._hanging.get(lease, set())
        self._left.update(dict.fromkeys(keys, now))
        return {key: gone(self._keys[key].version) for key in keys}

    def _held(self, item: Item) -> Held:
        return gone(item.version) if item.key in self._left else there(item)
