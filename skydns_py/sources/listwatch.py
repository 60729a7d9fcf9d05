"""List, then watch: a state machine without input, output, threads or a clock.

It serves any store that numbers its changes: etcd, and the Kubernetes API with resource versions.  A
driver asks ``next`` what to do, does it, and tells what came of it; back come the changes to pass on.

1. All prefixes are listed at one revision.  The first page is asked for at revision 0, "the newest";
   what it answers pins every later page, so the pages are one picture and a watch can continue from it.
2. Every key is known with the revision of its last change.  A list passes on only keys whose revision
   differs, so a relist yields the difference and an unchanged cluster yields nothing.  Keys are kept
   without their prefix, see ``known``.
3. Only a complete list proves absence: deletes come after its last page, never after part of it.  A
   failure in between keeps the place; the same page is asked for again, at the same revision.
4. Each prefix is watched for what comes after the last revision seen *for that prefix*: watches that
   share a stream do not advance together.  A batch of events must hold whole revisions, so that all of
   its last revision has been seen (etcd keeps to this as long as fragments are not asked for).
5. An event at or below the revision seen is a repetition and is dropped.  Hence no change is passed
   on twice, and none is missed.
6. A compacted revision means that changes were missed: list again.  The keys known stay known, which
   is what makes the difference of rule 2.
7. Revisions compare within one history only.  A cluster restored from a backup counts some of them a
   second time, with other content.  A lower revision, another cluster or a lower term gives it away:
   then no known revision is trusted any more and every listed key is passed on.
8. After the n-th failure in a row the wait is random between 0 and 0.1 s * 2^(n-1), at most 10 s
   ("full jitter"), so that many clients of one store do not come back together.  Success resets n.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from skydns_py.sources.known import Known

FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0
"""Seconds; the bounds of rule 8."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """Ask for at most ``limit`` keys below ``prefix``, from where ``token`` points ("" is the beginning).

    ``revision`` is the one to list at; 0 asks for the newest.
    """

    prefix: bytes
    token: bytes
    revision: int
    limit: int


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Follow each prefix from the revision beside it, which was the last seen, until the stream breaks."""

    since: tuple[tuple[bytes, int], ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds, then call ``waited``."""

    seconds: float


Action = ListPage | OpenWatch | Wait


class Origin(NamedTuple):
    """Where an answer comes from: the store's newest revision, the cluster's identity, its election term.

    A store without the latter two leaves them 0.
    """

    revision: int
    cluster: int = 0
    term: int = 0


class Entry(Protocol):
    """A key as the store holds it; etcd's KeyValue message is one. ``lease`` is 0 without one."""

    @property
    def key(self) -> bytes:
        """The whole key."""

    @property
    def value(self) -> bytes:
        """The value; read only where it changed."""

    @property
    def mod_revision(self) -> int:
        """The revision of the last change; for a deleted key, of the deletion."""

    @property
    def lease(self) -> int:
        """The lease the key hangs on."""


class Put(NamedTuple):
    """The key now has this value."""

    key: bytes
    value: bytes
    lease: int


class Delete(NamedTuple):
    """The key is gone."""

    key: bytes


Change = Put | Delete


@dataclass(slots=True)
class _Progress:
    """How far a list has come: prefixes done, place in the next one, pinned revision."""

    done: int = 0
    token: bytes = b""
    revision: int = 0


class ListWatch:
    """The machine. ``prefixes`` must not overlap; ``random`` yields floats in [0, 1)."""

    def __init__(self, prefixes: Sequence[bytes], random: Callable[[], float], limit: int = 500) -> None:
        self._prefixes = tuple(prefixes)
        self._random = random
        self._limit = limit
        self._known = {prefix: Known() for prefix in self._prefixes}
        self._seen = dict.fromkeys(self._prefixes, 0)
        self._origin = Origin(0)
        self._list: _Progress | None = self._from_start()
        self._failures = 0
        self._wait: float | None = None

    def _from_start(self) -> _Progress:
        for known in self._known.values():
            known.begin()
        return _Progress()

    def next(self) -> Action:
        """What to do now; the same answer until something is told."""
        if self._wait is not None:
            return Wait(self._wait)
        if self._list is None:
            return OpenWatch(tuple(self._seen.items()))
        place = self._list
        return ListPage(self._prefixes[place.done], place.token, place.revision, self._limit)

    @property
    def listing(self) -> bool:
        """Whether a list is under way, or due: something that existed may not have been passed on yet."""
        return self._list is not None

    def behind(self, revision: int) -> bool:
        """Whether some prefix has not been followed up to ``revision``."""
        return self._list is not None or min(self._seen.values()) < revision

    def waited(self) -> None:
        """The wait is over."""
        self._wait = None

    def page(self, entries: Iterable[Entry], origin: Origin, token: bytes = b"") -> list[Change]:
        """The page asked for has come. ``token`` is where the next one begins, "" after a prefix's last."""
        assert self._list is not None, "no list was asked for"
        rewound = self._meet(origin)
        if rewound and self._list.revision:
            self._list = self._from_start()
            return []
        self._failures = 0
        return self._advance(self._list, entries, origin, token)

    def events(self, prefix: bytes, events: Iterable[tuple[bool, Entry]]) -> list[Change]:
        """A watch of ``prefix`` brought (is a deletion, entry) pairs in the order of revisions."""
        known, seen, changes = self._known[prefix], self._seen[prefix], list[Change]()
        latest, at = seen, len(prefix)
        for deleted, entry in events:
            if entry.mod_revision <= seen:
                continue
            latest = entry.mod_revision
            if not deleted:
                known.put(entry.key[at:], latest)
                changes.append(Put(entry.key, entry.value, entry.lease))
            elif known.remove(entry.key[at:]):
                changes.append(Delete(entry.key))
        self._saw(prefix, latest)
        return changes

    def progress(self, prefix: bytes, revision: int) -> None:
        """The store says that nothing is missing for ``prefix`` up to ``revision``."""
        self._saw(prefix, revision)

    def confirm(self, origin: Origin) -> None:
        """Told before watching over a connection where it leads; rule 7 may make ``next`` ask for a list."""
        if self._meet(origin):
            self._list = self._from_start()

    def opened(self) -> None:
        """Every prefix is being watched."""
        self._failures = 0

    def failed(self) -> None:
        """The last action failed, or the stream broke: wait, then go on from the same place."""
        self._failures += 1
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self._failures - 1, 16))
        self._wait = self._random() * longest

    def compacted(self) -> None:
        """The revision asked for is gone, or not there yet: list again, at once where a watch found out."""
        if self._list is not None:
            self.failed()
        self._list = self._from_start()

    def restart(self) -> None:
        """Changes may have been lost after they were handed out: pass on everything again, after a wait."""
        self._distrust()
        self._list = self._from_start()
        self.failed()

    def _meet(self, origin: Origin) -> bool:
        """Rule 7: whether this is another history than before."""
        last, self._origin = self._origin, origin
        rewound = origin.revision < last.revision or origin.term < last.term
        if rewound or (last.cluster and origin.cluster != last.cluster):
            self._distrust()
            return True
        return False

    def _distrust(self) -> None:
        for prefix, known in self._known.items():
            known.distrust()
            self._seen[prefix] = 0

    def _saw(self, prefix: bytes, revision: int) -> None:
        self._seen[prefix] = max(self._seen[prefix], revision)
        if revision > self._origin.revision:
            self._origin = self._origin._replace(revision=revision)

    def _advance(
        self, place: _Progress, entries: Iterable[Entry], origin: Origin, token: bytes
    ) -> list[Change]:
        place.revision = place.revision or origin.revision
        changes = self._differing(place, entries)
        place.token = token
        if not token:
            place.done += 1
        if place.done == len(self._prefixes):
            changes.extend(self._finish(place))
        return changes

    def _differing(self, place: _Progress, entries: Iterable[Entry]) -> list[Change]:
        prefix, changes = self._prefixes[place.done], list[Change]()
        meet, at = self._known[prefix].meet, len(prefix)
        for entry in entries:
            key = entry.key
            if meet(key[at:], entry.mod_revision):
                changes.append(Put(key, entry.value, entry.lease))
        return changes

    def _finish(self, place: _Progress) -> Iterable[Change]:
        self._list = None
        for prefix, known in self._known.items():
            self._seen[prefix] = place.revision
            yield from (Delete(prefix + rest) for rest in known.end())
