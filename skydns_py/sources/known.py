"""The keys known below one prefix, with the revision of each one's last change, in little memory.

1. A list in the order of its keys, as etcd's are, is kept as one run of octets and two arrays: 12 octets a
   key beside its own, where a dict with its bytes and int objects took 140.  No order is relied upon: a key
   that does not come after all in the run is in a dict, and no key is in both.
2. The run only grows.  A key in it that is gone keeps its place, with ``_GONE`` for its revision, and gets
   it back.  At worst, when all of a list's keys have been replaced by others, it costs what it saved.
3. While a list is under way each key that it has is marked; those without a mark at its end are gone.
"""

from array import array
from bisect import bisect_left

_GONE = -1
_LONGEST = 2**32 - 1
"""Octets of the run: what its array of ends can count."""


class Known:
    """A revision, from 0 on, for each key."""

    def __init__(self) -> None:
        self._run = bytearray()
        self._ends = array("I")
        self._revisions = array("q")
        self._last = b""
        self._next = 0
        self._loose: dict[bytes, int] = {}
        self._met = bytearray()
        self._loose_met: set[bytes] = set()

    def begin(self) -> None:
        """A list begins, or begins anew."""
        self._met = bytearray(len(self._ends))
        self._loose_met = set()

    def meet(self, key: bytes, revision: int) -> bool:
        """The list has this key; whether that is news."""
        at = self._find(key)
        if at is None:
            return self._meet_loose(key, revision)
        self._met[at] = 1
        if self._revisions[at] == revision:
            return False
        self._revisions[at] = revision
        return True

    def end(self) -> list[bytes]:
        """The list is complete; the keys that it did not have, which are forgotten."""
        unmet = [at for at, met in enumerate(self._met) if not met and self._revisions[at] != _GONE]
        for at in unmet:
            self._revisions[at] = _GONE
        loose = [key for key in self._loose if key not in self._loose_met]
        for key in loose:
            del self._loose[key]
        self.begin()
        return [self._key(at) for at in unmet] + loose

    def put(self, key: bytes, revision: int) -> None:
        """The key was changed at this revision."""
        at = self._find(key)
        if at is None:
            self._loose[key] = revision
        else:
            self._revisions[at] = revision

    def remove(self, key: bytes) -> bool:
        """The key is gone; whether it was known."""
        at = self._find(key)
        if at is None:
            return self._loose.pop(key, None) is not None
        known = self._revisions[at] != _GONE
        self._revisions[at] = _GONE
        return known

    def distrust(self) -> None:
        """Every key stays known, and its revision becomes 0, which is no change's."""
        self._revisions = array("q", [min(revision, 0) for revision in self._revisions])
        self._loose = dict.fromkeys(self._loose, 0)

    def _meet_loose(self, key: bytes, revision: int) -> bool:
        known = self._loose.get(key)
        if known is None and key > self._last and len(self._run) + len(key) <= _LONGEST:
            self._append(key, revision)
        else:
            self._loose[key] = revision
            self._loose_met.add(key)
        return known != revision

    def _append(self, key: bytes, revision: int) -> None:
        self._run += key
        self._ends.append(len(self._run))
        self._revisions.append(revision)
        self._met.append(1)
        self._last = key

    def _find(self, key: bytes) -> int | None:
        """Where the key is in the run; a list asks for one after the other."""
        if key > self._last:
            return None
        at, count = self._next, len(self._ends)
        if at >= count or self._key(at) != key:
            at = bisect_left(range(count), key, key=self._key)
            if at == count or self._key(at) != key:
                return None
        self._next = at + 1
        return at

    def _key(self, at: int) -> bytes:
        return bytes(self._run[self._ends[at - 1] if at else 0 : self._ends[at]])
