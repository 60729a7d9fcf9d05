"""A watch of the stand-in API server: what it shows, and what tests do to it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.kube.call import Call
from tests.kube.resources import Object, Refused, Resource
from tests.kube.selectors import Wanted
from tests.kube.store import Store, history

if TYPE_CHECKING:
    from tests.kube_api import KubeApi

LONGEST_WATCH = 1800


@dataclass(eq=False)
class Watch:
    """An open watch: what it shows, up to where it has, and what a test wants done with it."""

    resource: Resource
    wanted: Wanted
    bookmarks: bool
    ends: float
    seen: int = 0
    orders: list[str] = field(default_factory=list)


def events(api: "KubeApi", call: "Call", left: Callable[[], bool]) -> Iterator[Object | None]:
    """The events of a watch; None where its connection is to be broken."""
    store = api.store
    ends = time.monotonic() + int(call.query.get("timeoutSeconds") or LONGEST_WATCH)
    watch = Watch(call.resource, call.wanted, call.query.get("allowWatchBookmarks") in ("1", "true"), ends)
    if 0 < call.revision < store.compacted:
        yield _event("ERROR", too_old(call.revision, store).status())
        return
    with store.changed:
        first, watch.seen = [], call.revision
        if call.revision == 0:
            first, watch.seen = store.find(call.resource, ""), store.revision
        api.watches.append(watch)
        store.changed.notify_all()
    try:
        yield from (_event("ADDED", call.resource.whole(each)) for each in first if call.fits(each))
        while True:
            events, order = _next(store, watch, left)
            yield from events
            if order == "break":
                yield None
            if order:
                return
    finally:
        with store.changed:
            api.watches.remove(watch)
            store.changed.notify_all()


def _next(store: Store, watch: Watch, left: Callable[[], bool]) -> tuple[list[Object], str]:
    """What happened since, and how the watch ends, "" where it goes on."""
    with store.changed:
        while not (news := _news(store, watch)) and not watch.orders:
            if time.monotonic() >= watch.ends:
                return [], "end"
            store.changed.wait(min(0.1, max(0.0, watch.ends - time.monotonic())))
            if left():
                return [], "break"
        orders, watch.orders = watch.orders, []
        for order in orders:
            if order in ("break", "end"):
                return news, order
            if order == "expire":
                return [*news, _event("ERROR", too_old(watch.seen, store).status())], "end"
            if watch.bookmarks:
                news.append(_event("BOOKMARK", _bookmark(watch.resource, store.revision)))
        return news, ""


def _news(store: Store, watch: Watch) -> list[Object]:
    found = history(
        store, watch.seen, lambda key, item: key[0] == watch.resource.plural and watch.wanted(item)
    )
    news = [_event(type_, watch.resource.whole(item)) for type_, item in found]
    watch.seen = max(watch.seen, store.revision)
    return news


def _event(type_: str, item: Object) -> Object:
    return {"type": type_, "object": item}


def _bookmark(resource: Resource, revision: int) -> Object:
    return resource.whole({"metadata": {"resourceVersion": str(revision), "creationTimestamp": None}})


def too_old(revision: int, store: Store) -> Refused:
    return Refused(410, f"too old resource version: {revision} ({store.compacted})")
