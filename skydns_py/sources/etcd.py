"""Objects from etcd: Kubernetes' registry and SkyDNS messages, listed and then watched.

1. One daemon thread of ours blocks on etcd and drives ``listwatch``; the sink is called on the reactor's
   thread only.  Between them stands ``handover``, which keeps the order, is bounded (the thread waits
   when the reactor is behind) and gives the reactor a turn after each chunk.
2. Values are decoded in the thread, so the reactor only applies what is ready.
3. What the machine has counted as known must reach the sink: nothing between the two may fail.  A bad
   value is refused alone, a lease that cannot be asked for counts as 0.  Should there be a bug all the
   same, everything is passed on again.
4. Order is kept for each prefix, hence for each key.  Across prefixes it is etcd's: revisions, but for a
   watch that lags behind.  A state that joins kinds must not depend on which of two kinds comes first,
   as with informers of the Kubernetes API.
"""

import logging
import random
import threading
from collections.abc import Collection, Sequence
from functools import partial

from skydns_py.cluster import decode_skydns, registry
from skydns_py.cluster.objects import ClusterObject, Kind, Ref, Removal, Upsert
from skydns_py.errors import DecodeError, StoreError
from skydns_py.sources import Sink
from skydns_py.sources.etcd_client import (
    Batch,
    Compacted,
    Connection,
    EtcdSettings,
    RpcError,
    Stream,
    Timing,
    describe,
)
from skydns_py.sources.handover import Handover, Item, Reactor
from skydns_py.sources.listwatch import Change, ListPage, ListWatch, OpenWatch, Put, Wait

__all__ = ["EtcdSettings", "EtcdSource", "Timing"]

log = logging.getLogger("skydns")

LEASES = 65_536
"""Leases whose time is remembered, some 10 MB; whoever may write to etcd can fill it, and no more."""
REASONS = 32
"""Different reasons told during one loss, so that a text that always differs does not fill the log."""

_PAGE = 500


class EtcdSource:
    """A ``Source`` that follows etcd. ``settings`` are as in the configuration; retries for ever."""

    def __init__(
        self,
        settings: EtcdSettings,
        sink: Sink,
        reactor: Reactor,
        timing: Timing | None = None,
        kinds: Collection[Kind] | None = None,
    ) -> None:
        """``kinds`` are those to list and watch, None all of them; ValueError where no prefix holds any."""
        self._settings = settings
        self._sink = sink
        self._timing = timing or Timing()
        self._handover = Handover(sink, reactor)
        self._prefixes = _prefixes(settings, frozenset(Kind if kinds is None else kinds))
        self._records = f"{settings.skydns_prefix}/" if settings.skydns_prefix else None
        self._machine = ListWatch(self._prefixes, random.random, _PAGE)
        self._leases: dict[int, int] = {}
        self._turn = 0
        self._told: set[str] = set()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="skydns-etcd", daemon=True)

    def start(self) -> None:
        """See ``Source.start``."""
        self._thread.start()

    def stop(self) -> None:
        """See ``Source.stop``; the thread ends soon after."""
        self._stopping.set()
        self._handover.close()
        self._disconnect()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except Compacted:
                self._machine.compacted()
            except (RpcError, StoreError, OSError) as error:
                self._lose(error)
            except Exception as error:
                self._stumble(error)
        self._disconnect()

    def _step(self) -> None:
        action = self._machine.next()
        if isinstance(action, Wait):
            self._stopping.wait(action.seconds)
            self._machine.waited()
        elif isinstance(action, ListPage):
            self._list(action)
        else:
            self._watch(action)

    def _list(self, action: ListPage) -> None:
        connection = self._connected()
        page = connection.page(action)
        changes = self._machine.page(page.entries, page.origin, page.token)
        if isinstance(following := self._machine.next(), ListPage):
            connection.ask_ahead(following)
        self._deliver(changes)
        if not self._machine.listing:
            self._synced()

    def _watch(self, action: OpenWatch) -> None:
        connection = self._connected()
        origin = connection.origin(self._prefixes[0])
        self._machine.confirm(origin)
        if self._machine.listing:
            return
        stream = connection.watch(action)
        try:
            self._follow(stream, origin.revision)
        finally:
            stream.close()

    def _follow(self, stream: Stream, revision: int) -> None:
        asked = False
        for batch in stream:
            if batch is not None:
                self._take(batch)
                continue
            self._machine.opened()
            if self._told and not asked and self._machine.behind(revision):
                asked = True
                stream.ask_progress()
            elif self._told:
                self._synced()

    def _take(self, batch: Batch) -> None:
        if batch.events:
            self._deliver(self._machine.events(batch.prefix, batch.events))
        else:
            self._machine.progress(batch.prefix, batch.revision)

    def _synced(self) -> None:
        self._told.clear()
        self._handover.send([self._sink.synced])

    def _url(self) -> str:
        return self._settings.endpoints[self._turn % len(self._settings.endpoints)]

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = Connection(self._settings, self._url(), self._timing)
            with self._lock:
                self._connection = connection
            if self._stopping.is_set():
                connection.close()
            connection.log_in()
        return self._connection

    def _disconnect(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _lose(self, error: Exception) -> None:
        """Say so, once for each reason, and go on with the next endpoint after a wait."""
        self._disconnect()
        reason = describe(error, self._url(), self._settings)
        self._turn += 1
        self._machine.failed()
        if reason not in self._told and len(self._told) < REASONS and not self._stopping.is_set():
            self._told.add(reason)
            self._handover.send([partial(self._sink.lost, reason)])

    def _stumble(self, error: Exception) -> None:
        """Rule 3: this should not have happened; have everything passed on again."""
        if self._stopping.is_set():
            return
        log.exception("following etcd failed in an unforeseen way; listing again")
        self._lose(StoreError(f"{type(error).__name__}: {error}"))
        self._machine.restart()

    def _deliver(self, changes: Sequence[Change]) -> None:
        wanted = {change.lease for change in changes if isinstance(change, Put) and self._is_leased(change)}
        seconds = self._lease_seconds(wanted) if wanted else {}
        items = [self._item(change, seconds) for change in changes]
        self._handover.send([item for item in items if item is not None])

    def _is_leased(self, put: Put) -> bool:
        return bool(put.lease) and put.key.startswith(_below(self._settings.skydns_prefix))

    def _lease_seconds(self, wanted: set[int]) -> dict[int, int]:
        self._leases.update(self._connected().lease_seconds(wanted - self._leases.keys()))
        found = {lease: self._leases.get(lease, 0) for lease in wanted}
        while len(self._leases) > LEASES:
            del self._leases[next(iter(self._leases))]
        return found

    def _item(self, change: Change, seconds: dict[int, int]) -> Item | None:
        """The event that a change amounts to, a refusal, or None where the key holds no known kind."""
        try:
            ref = self._ref(change.key.decode())
            if ref is None or not isinstance(change, Put):
                return Removal(ref) if ref else None
            return Upsert(_decode(ref, change, seconds))
        except DecodeError as error:
            reason = str(error)
        except UnicodeDecodeError:
            reason = "the key is not UTF-8 text"
        except Exception as error:
            reason = f"cannot be read: {type(error).__name__}: {error}"
        return partial(self._sink.refused, change.key.decode(errors="backslashreplace"), reason)

    def _ref(self, key: str) -> Ref | None:
        if self._records is None or not key.startswith(self._records):
            return registry.parse_key(key, self._settings.registry_prefix)
        path = decode_skydns.parse_path(key, self._settings.skydns_prefix)
        return Ref(Kind.RECORD, "", path) if path is not None else None


def _decode(ref: Ref, put: Put, seconds: dict[int, int]) -> ClusterObject:
    if ref.kind is Kind.RECORD:
        return decode_skydns.decode(ref.name, put.value, seconds.get(put.lease, 0))
    return registry.decode(ref, put.value)


def _prefixes(settings: EtcdSettings, kinds: Collection[Kind]) -> tuple[bytes, ...]:
    """What is listed and watched; a prefix that is "" leaves its half out."""
    root, skydns = settings.registry_prefix, settings.skydns_prefix
    wanted = [place for kind, place in registry.PREFIXES.items() if root and kind in kinds]
    records = [_below(skydns)] if skydns and Kind.RECORD in kinds else []
    if not wanted and not records:
        raise ValueError("none of the kinds wanted is kept below the prefixes that are set")
    return (*[_below(root) + place.encode() for place in wanted], *records)


def _below(prefix: str) -> bytes:
    return prefix.encode() + b"/"
