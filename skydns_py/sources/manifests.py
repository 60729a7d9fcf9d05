"""Objects from manifests: a file, or a folder of them, looked at every second.

1. A look compares each file's inode, size and time with what they were.  inotify would be sooner, but
   it does not see the symlink above the files that a ConfigMap volume swaps, nor changes made on another
   machine; one ``stat`` per file and second costs next to nothing.
2. Looking, reading and comparing is done in a thread of the reactor's pool, one look at a time; the sink
   is told on the reactor's thread, in chunks, and only what differs.
3. A file that does not parse, or cannot be read, keeps its last good content, and a bad document the
   object it held before.  A file that is still being written (changed within 0.2 s, or while it was
   read) is read at the next look, so that half a file is not taken for a whole one.
4. Where two documents name the same object, the first counts, by path and then by place in the file.
5. Services that name no portal address get one by ``manifest_addresses``, where ``portal_net`` is set.
6. A folder that disappears keeps what is known; a file that disappears from it takes its objects along.
"""

import logging
import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from skydns_py.balancer.allocation.service import PLAIN, Wish
from skydns_py.cluster.decode_json import decode_each
from skydns_py.cluster.objects import ClusterObject, Event, Kind, Ref, Removal, Service, Upsert
from skydns_py.errors import ConfigError, DecodeError
from skydns_py.settings import ManifestSource as ManifestSettings
from skydns_py.sources import Sink
from skydns_py.sources.manifest_addresses import Addresses, Wanting, wishes
from skydns_py.sources.manifest_text import MAX_OCTETS, Document, Unreadable, read_documents

log = logging.getLogger("skydns")

SUFFIXES = (".yaml", ".yml", ".json")
POLL_SECONDS = 1.0
SETTLE_SECONDS = 0.2
CHUNK = 200
"""Events told to the sink before the reactor has its turn."""

_Signature = tuple[int, int, int, int]


class Refusal(NamedTuple):
    """What ``Sink.refused`` is told."""

    where: str
    reason: str


class Found(NamedTuple):
    """An object and where it was found; of a Service, what it asks for beside what is decoded."""

    obj: ClusterObject
    where: str
    wish: Wish | DecodeError = PLAIN


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read: its objects, and what was wrong with it."""

    signature: _Signature
    objects: tuple[Found, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found out. ``lost`` is "" unless the path itself could not be looked at."""

    events: Sequence[Event] = ()
    refusals: Sequence[Refusal] = ()
    lost: str = ""
    unsettled: bool = False


class Reactor(Protocol):
    """What is used of Twisted's reactor."""

    def callInThread(self, function: Callable[[], object]) -> object:  # noqa: N802 -- Twisted's name
        """Run it in a thread of the pool."""

    def callFromThread(self, function: Callable[[], object]) -> object:  # noqa: N802 -- Twisted's name
        """Run it soon on the reactor's thread; may be called by other threads."""

    def callLater(self, seconds: float, function: Callable[[], object]) -> Any:  # noqa: N802 -- Twisted's name
        """Run it after so many seconds, unless what is returned is cancelled."""


class ManifestSource:
    """A ``Source`` that follows a file or folder; ConfigError where ``path`` is not there to begin with.

    ``place`` is the path, or the settings, which may let addresses be given.
    """

    def __init__(
        self, place: str | ManifestSettings, sink: Sink, reactor: Reactor, poll_seconds: float = POLL_SECONDS
    ) -> None:
        path = place if isinstance(place, str) else place.path
        if not Path(path).exists():
            raise ConfigError(f"{path}: no such file or folder; name one with {', '.join(SUFFIXES)} files")
        self._sink = sink
        self._reactor = reactor
        self._poll_seconds = poll_seconds
        self._shelf = Shelf(place)
        self._queue: deque[Event] = deque()
        self._lost: str | None = None
        self._stopped = False
        self._next: Any = None

    def start(self) -> None:
        """See ``Source.start``."""
        self._reactor.callInThread(self._look)

    def stop(self) -> None:
        """See ``Source.stop``."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _look(self) -> None:
        """In a thread of the pool; no other look is under way."""
        try:
            look = self._shelf.look()
        except Exception as error:
            log.exception("reading the manifests failed in an unforeseen way; keeping what is known")
            look = Look(lost=f"manifests: {type(error).__name__}: {error}")
        self._reactor.callFromThread(partial(self._report, look))

    def _report(self, look: Look) -> None:
        self._queue.extend(look.events)
        self._deliver(look)

    def _deliver(self, look: Look) -> None:
        if self._stopped:
            return
        chunk = [self._queue.popleft() for _ in range(min(CHUNK, len(self._queue)))]
        rest = partial(self._deliver if self._queue else self._conclude, look)
        self._next = self._reactor.callLater(0, rest)
        if chunk:
            self._sink.apply(chunk)

    def _conclude(self, look: Look) -> None:
        wait = min(SETTLE_SECONDS, self._poll_seconds) if look.unsettled else self._poll_seconds
        self._next = self._reactor.callLater(wait, self.start)
        before, self._lost = self._lost, look.lost
        for call in self._calls(look, before):
            if not self._stopped:
                call()

    def _calls(self, look: Look, before: str | None) -> Iterator[Callable[[], None]]:
        for refusal in look.refusals:
            yield partial(self._sink.refused, *refusal)
        if look.lost != before:
            yield partial(self._sink.lost, look.lost) if look.lost else self._sink.synced


class Shelf:
    """The files at a path and what they hold. ``look`` blocks on the disk and returns what has changed."""

    def __init__(self, place: str | ManifestSettings) -> None:
        settings = ManifestSettings(place) if isinstance(place, str) else place
        self._path = settings.path
        self._addresses = Addresses(settings)
        self._files: dict[str, _File] = {}
        self._objects: dict[Ref, ClusterObject] = {}
        self._refused: set[Refusal] = set()
        self._looked = False

    def look(self) -> Look:
        """Read what is new or different on disk, and compare."""
        try:
            present = dict(sorted(_find(self._path)))
        except OSError as error:
            return Look(lost=f"{error.filename}: {error.strerror}; keeping what it held")
        files = {name: self._current(name, signature) for name, signature in present.items()}
        self._looked = True
        unsettled = any(file is None for file in files.values())
        kept = {name: file or self._files.get(name) for name, file in files.items()}
        known = {name: file for name, file in kept.items() if file is not None}
        if known == self._files:
            return Look(unsettled=unsettled)
        self._files = known
        return self._compare(unsettled)

    def _current(self, name: str, signature: _Signature) -> _File | None:
        """The file as it is now; None where it is still being written."""
        before = self._files.get(name)
        if before is not None and before.signature == signature:
            return before
        if self._looked and abs(time.time() - signature[3] / 1e9) < SETTLE_SECONDS:
            return None
        return _read(name, signature, before.objects if before else ())

    def _compare(self, unsettled: bool) -> Look:
        first: dict[Ref, Found] = {}
        refusals = [refusal for file in self._files.values() for refusal in file.refusals]
        for found in (found for file in self._files.values() for found in file.objects):
            winner = first.setdefault(found.obj.ref, found)
            if winner is not found:
                refusals.append(
                    Refusal(found.where, f"{found.obj.ref} is already in {winner.where}; keep one")
                )
        given = self._addresses.give(
            Wanting(each.obj, each.wish, each.where)
            for each in first.values()
            if isinstance(each.obj, Service)
        )
        refusals += [Refusal(*each) for each in given.refusals]
        objects: dict[Ref, ClusterObject] = {ref: found.obj for ref, found in first.items()}
        objects |= given.services
        events: list[Event] = [Upsert(obj) for ref, obj in objects.items() if self._objects.get(ref) != obj]
        events += [Removal(ref) for ref in self._objects if ref not in objects]
        new = [refusal for refusal in dict.fromkeys(refusals) if refusal not in self._refused]
        self._objects, self._refused = objects, set(refusals)
        return Look(events, new, unsettled=unsettled)


def _find(path: str) -> Iterator[tuple[str, _Signature]]:
    """The manifests at ``path`` with their signatures; each folder once, whatever the symlinks say."""
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        yield path, _signature(status)
        return
    folders, seen = [path], set[tuple[int, int]]()
    while folders:
        folder = folders.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield from _in_folder(folder, folders)
        except FileNotFoundError:
            if folder == path:
                raise


def _in_folder(folder: str, folders: list[str]) -> Iterator[tuple[str, _Signature]]:
    """The manifests of one folder; its folders are added to ``folders``."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in visible:
        if entry.is_dir():
            folders.append(entry.path)
        elif entry.name.endswith(SUFFIXES) and entry.is_file():
            with suppress(FileNotFoundError):  # removed a moment ago
                yield entry.path, _signature(entry.stat())


def _signature(status: os.stat_result) -> _Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(name: str, signature: _Signature, before: tuple[Found, ...]) -> _File | None:
    """The file read; ``before`` is what it held, and holds still where it cannot be used now."""
    try:
        text = _octets(name)
        if _signature(os.stat(name)) != signature:
            return None
        return _decoded(name, signature, read_documents(text, name.endswith(".json")), before)
    except OSError as error:
        return _File(signature, before, (Refusal(name, f"cannot be read: {error.strerror}"),))
    except Unreadable as error:
        where = f"{name}:{error.line}" if error.line else name
        return _File(signature, before, (Refusal(where, str(error)),))


def _octets(name: str) -> bytes:
    """The file's octets, or one more than ``read_documents`` takes."""
    with open(name, "rb") as file:
        return file.read(MAX_OCTETS + 1)


def _decoded(
    name: str, signature: _Signature, documents: Iterable[Document], before: tuple[Found, ...]
) -> _File:
    objects, refusals = list[Found](), list[Refusal]()
    last = {found.obj.ref: found for found in before}
    for number, document in enumerate(documents, 1):
        where = f"{name}:{document.line} (document {number})"
        asked = wishes(document.value)
        for each in _decode(document):
            if isinstance(each, DecodeError):
                refusals.append(Refusal(where, str(each)))
                objects += [last[ref] for ref in _claimed(document.value, each.path) if ref in last]
            else:
                objects.append(Found(each, where, asked.get(each.ref, PLAIN)))
    return _File(signature, tuple(objects), tuple(refusals))


def _decode(document: Document) -> Sequence[ClusterObject | DecodeError]:
    """A bug in a decoder costs the document, not the file."""
    try:
        return decode_each(document.value)
    except Exception as error:
        return [DecodeError("", f"cannot be read: {type(error).__name__}: {error}")]


def _claimed(document: object, path: str) -> list[Ref]:
    """What a document that could not be decoded may be about, for that object's last good form to stay."""
    kind, item = _at(document, "kind"), document
    if listed := re.match(r"(items|minions)\[(\d+)\]", path):
        items = _at(document, listed[1])
        item = items[int(listed[2])] if isinstance(items, list) else None
        kind = _at(item, "kind") or str(kind).removesuffix("List")
    meta = _at(item, "metadata")
    name, namespace = _at(meta, "name") or _at(item, "id"), _at(meta, "namespace") or _at(item, "namespace")
    return [
        Ref(known, place, str(name))
        for known in Kind
        for place in ("", str(namespace or "default"))
        if known.value == {"Minion": "Node"}.get(str(kind), kind)
    ]


def _at(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
