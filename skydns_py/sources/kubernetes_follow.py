"""Following one resource of the Kubernetes API in a thread of its own: list, watch, and again for ever.

1. A list comes in pages of one consistent picture, and each page is decoded and dropped before the next is
   asked for.  Where its token has expired (410) the list begins anew; what was passed on is not repeated.
2. A watch continues from the list, and a later watch from the last event or bookmark of the one before.
   410, as a status or as an event, means that changes were missed: list again, pass on the difference.
3. A watch that ends has not failed: servers end each after its time.  Nor has one that breaks, as long as
   another can be opened: what counts is the next request.  Only one that ended at once counts as a failure,
   so that a server which ends all of them is not asked in a loop.
4. Nothing for ``Timing.silence`` seconds ends a watch from our side, for a peer may be gone without a word.
   Servers send a bookmark about once a minute where anything happens at all.
5. Before a watch that follows no list, one small consistent read tells the store's revision.  A lower one
   than before is another history (restored from a backup): such a server would take the old revision for a
   future one and keep silent until it gets there.
6. After a loss, the first watch is a short one.  Once it has come to the revision of rule 5, or has nothing
   more to say for ``Timing.settle`` seconds, all that was missed has been passed on.
7. What the machine has counted as known must reach the sink; should there be a bug in between, everything
   is passed on again (as in ``etcd``).
8. 404 for EndpointSlices means an old server only if the same server lists Endpoints; one that answers 404
   to everything (a proxy in front of it, at times) is asked again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from skydns_py.cluster.decode_json import decode_object
from skydns_py.cluster.objects import Kind, Removal, Upsert
from skydns_py.errors import DecodeError, SkydnsError, StoreError
from skydns_py.sources import Sink
from skydns_py.sources.handover import Handover, Item
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_answer import one_line
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from skydns_py.sources.kubernetes_resources import Json, Resource, version_of
from skydns_py.sources.kubernetes_roll import Roll, describe
from skydns_py.sources.listwatch import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Change,
    ListPage,
    ListWatch,
    OpenWatch,
    Origin,
    Put,
    Wait,
)

log = logging.getLogger("skydns")

RETRY_SECONDS = 60.0
"""The longest Retry-After that is obeyed; busy API servers ask for a second, and one that asks for a day
would keep every name as it is."""
_NO_API, _GONE = 404, 410
_WITHOUT_SLICES = "this API server has no discovery.k8s.io/v1: following Endpoints, not EndpointSlices"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, unless said otherwise.

    ``request`` is for each answer, ``watch`` the shortest and longest time a watch is asked for, ``short``
    below which one has ended at once (rule 3), ``silence`` and ``settle`` as in rules 4 and 6, ``page``
    the objects of one page.
    """

    request: float = 30.0
    watch: tuple[int, int] = (300, 600)
    short: float = 5.0
    silence: float = 90.0
    settle: float = 1.0
    page: int = 500


class Expired(Exception):
    """The server says in an event of a watch that it no longer knows the revision."""


class Follower:
    """One resource, from ``start`` to ``stop``. ``access`` is asked for anew after each failure.

    ``after`` is waited for before the first list; ``begun`` is set once there was one, or it failed.
    """

    def __init__(
        self, resource: Resource, instead: Resource | None, access: Callable[[], Access], timing: Timing
    ) -> None:
        """``instead`` is followed where the server does not have ``resource``."""
        self._resource = resource
        self._instead = instead
        self._access = access
        self._timing = timing
        self._machine = ListWatch((b"",), random.random, timing.page)
        self._certain = False
        self._lost = False
        self._expired = 0
        self._retry_seconds = 0.0
        self._server = ""
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._client: ApiClient | None = None
        self.begun = threading.Event()

    def start(self, sink: Sink, handover: Handover, roll: Roll, after: threading.Event | None) -> None:
        """Begin; ``roll`` has been told that it is absent."""
        self._sink, self._handover, self._roll = sink, handover, roll
        name = f"skydns-{self._resource.plural}"
        threading.Thread(target=self._run, args=(after,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Called by any thread; the follower's own ends soon after."""
        self._stopping.set()
        self.begun.set()
        self._disconnect()

    def _run(self, after: threading.Event | None) -> None:
        if after is not None:
            after.wait()
        while not self._stopping.is_set():
            try:
                self._step()
            except Expired:
                self._list_again()
            except SkydnsError as error:
                if isinstance(error, ApiError) and error.status == _GONE:
                    self._list_again()
                else:
                    self._lose(error)
            except Exception as error:
                self._stumble(error)
        self._disconnect()

    def _list_again(self) -> None:
        """At once; but later and later where one watch after the other is refused so."""
        self._disconnect()
        self._machine.compacted()
        self._stopping.wait(random.random() * min(LONGEST_WAIT, FIRST_WAIT * self._expired))  # noqa: S311 -- as below
        self._expired = self._expired * 2 or 1

    def _step(self) -> None:
        action = self._machine.next()
        if isinstance(action, Wait):
            self._stopping.wait(action.seconds + self._retry_seconds)
            self._retry_seconds = 0.0
            self._machine.waited()
        elif isinstance(action, ListPage):
            self._list(action)
        else:
            self._watch(action)

    def _list(self, action: ListPage) -> None:
        self._roll.absent(self)
        answer = self._page(action)
        if answer is None:
            return
        page = self._resource.page(answer)
        self._deliver(self._machine.page(page.entries, Origin(page.revision), page.token.encode()))
        if not self._machine.listing:
            self._certain = True
            self._up_to_date()

    def _page(self, action: ListPage) -> Json | None:
        """The page asked for; None where another resource is to be followed from now on."""
        try:
            return self._ask(self._resource.listing(action.limit, action.token.decode()))
        except ApiError as error:
            if error.status != _NO_API or self._instead is None:
                raise
            self._ask(self._instead.listing(1, ""))  # rule 8
            self._roll.note(_WITHOUT_SLICES)
            self._resource, self._instead = self._instead, None
            return None

    def _watch(self, action: OpenWatch) -> None:
        revision = self._confirmed()
        if self._machine.listing:
            return
        begun = time.monotonic()
        try:
            if self._follow(action.since[0][1], revision):
                return
            reason = f"the watch of {self._resource.plural} ends at once"
        except ApiError:
            raise
        except StoreError as error:
            reason = str(error)
        if time.monotonic() - begun < self._timing.short:
            raise StoreError(reason)
        self._machine.opened()

    def _confirmed(self) -> int:
        """The revision to come to (rules 5 and 6); 0 right after a list."""
        certain, self._certain = self._certain, False
        if certain:
            return 0
        revision = self._resource.page(self._ask(self._resource.probe())).revision
        self._machine.confirm(Origin(revision))
        return revision

    def _follow(self, since: int, revision: int) -> bool:
        """Read one watch to its end; whether that is nothing more to say."""
        limit = self._timing.settle if self._lost else self._timing.silence
        latest = time.monotonic()
        try:
            for event in self._events(since, limit):
                self._take(event)
                self._expired = 0
                latest = time.monotonic()
                if self._lost and not self._machine.behind(revision):
                    self._up_to_date()
        except ApiError:
            raise
        except StoreError:
            if time.monotonic() - latest < limit:
                raise
            self._expired = 0
            self._up_to_date()
            return True
        return False

    def _events(self, since: int, limit: float) -> Iterator[dict[str, Any]]:
        shortest, longest = self._timing.watch
        seconds = shortest + int(random.random() * (longest - shortest))  # noqa: S311 -- only to spread load
        return self._connected().stream(self._resource.watching(since, seconds), limit)

    def _take(self, event: Json) -> None:
        """One event of a watch; kinds of events that are not known yet are passed over."""
        kind, obj = self._resource.event(event)
        if kind == "BOOKMARK":
            self._machine.progress(b"", version_of(obj, "a bookmark"))
        elif kind == "ERROR":
            if obj.get("code") == _GONE:
                raise Expired
            raise StoreError(
                f"the watch of {self._resource.plural} ends: {one_line(str(obj.get('message')))}"
            )
        elif kind in ("ADDED", "MODIFIED", "DELETED"):
            found = ((kind == "DELETED", entry) for entry in self._resource.entries([obj]))
            self._deliver(self._machine.events(b"", list(found)))

    def _up_to_date(self) -> None:
        self._lost = False
        self._machine.opened()
        self._roll.present(self)
        self.begun.set()

    def _ask(self, path: str) -> dict[str, Any]:
        return self._connected().call("GET", path)

    def _connected(self) -> ApiClient:
        if self._client is None:
            access = self._access()
            self._server = access.server
            client = ApiClient(access, self._timing.request)
            with self._lock:
                self._client = client
            if self._stopping.is_set():
                client.close()
        return self._client

    def _disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _lose(self, error: Exception) -> None:
        """Say so, once for each reason, and go on after a wait."""
        self._disconnect()
        self._lost = True
        self._machine.failed()
        if isinstance(error, ApiError):
            self._retry_seconds = min(error.retry_seconds, RETRY_SECONDS)
        if not self._stopping.is_set():
            self._roll.absent(self, describe(error, self._server))
        self.begun.set()

    def _stumble(self, error: Exception) -> None:
        """Rule 7: this should not have happened; have everything passed on again."""
        if self._stopping.is_set():
            return
        log.exception("following the Kubernetes API failed in an unforeseen way; listing again")
        self._lose(StoreError(f"{type(error).__name__}: {error}"))
        self._machine.restart()

    def _deliver(self, changes: Sequence[Change]) -> None:
        self._handover.send([self._item(change) for change in changes])

    def _item(self, change: Change) -> Item:
        """The event that a change amounts to, or a refusal."""
        ref = self._resource.ref(change.key)
        if not isinstance(change, Put):
            return Removal(ref)
        document: Any = change.value  # what ``Resource.entries`` put there
        try:
            return Upsert(decode_object(ref.kind, document))
        except DecodeError as error:
            reason = str(error)
        except Exception as error:
            reason = f"cannot be read: {type(error).__name__}: {error}"
        return partial(self._sink.refused, str(ref), reason)


def instead_of(resource: Resource) -> Resource | None:
    """What stands for a resource that old servers do not have."""
    return replace(resource, kind=Kind.ENDPOINTS) if resource.kind is Kind.SLICE else None
