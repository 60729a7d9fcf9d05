"""The one picture of the cluster: events go in, and what each touched comes out.

1. A Service and its endpoints are one thing to the names: a ``ServiceView``.  EndpointSlices win over an
   Endpoints object, because a control plane mirrors the latter into the former.
2. Endpoints and slices may come before their Service and outlive it; they count only while it exists.
3. ``apply`` costs work in proportion to the Service touched.  What was there before is remembered until
   ``take`` is called, so a burst of events on one Service is one change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from skydns_py.cluster.objects import (
    Endpoints,
    EndpointSlice,
    Event,
    Kind,
    Namespace,
    Node,
    Pod,
    Record,
    Ref,
    Service,
    Subset,
    Upsert,
)

Key = tuple[str, str]
"""(namespace, name)."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service together with the subsets that stand behind it."""

    service: Service
    subsets: tuple[Subset, ...]


Thing = ServiceView | Pod | Namespace | Node | Record
"""What a change is about: an object, or a Service with its endpoints."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing before and after; ``None`` where it did not, or does not, exist. The two differ."""

    ref: Ref
    before: Thing | None
    after: Thing | None


class Cluster:
    """Everything the sources say exists."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Key, object]] = {kind: {} for kind in Kind}
        self._slices_of: dict[Key, tuple[str, ...]] = {}
        self._before: dict[Ref, Thing | None] = {}

    def apply(self, events: Iterable[Event]) -> None:
        """Take events in; ``take`` then tells what they changed."""
        for event in events:
            self._apply(event)

    @property
    def changed(self) -> bool:
        """Whether ``take`` may have something to tell."""
        return bool(self._before)

    def take(self, limit: int | None = None) -> list[Change]:
        """What has changed and was not told yet, each thing once, oldest first; ``limit`` at most."""
        touched = list(islice(self._before, limit))
        pairs = ((ref, self._before.pop(ref), self.thing(ref)) for ref in touched)
        return [Change(ref, was, now) for ref, was, now in pairs if was != now]

    def thing(self, ref: Ref) -> Thing | None:
        """The thing of that name as it is now; a Service comes with its endpoints."""
        if ref.kind is Kind.SERVICE:
            return self.view((ref.namespace, ref.name))
        found = self._objects[ref.kind].get((ref.namespace, ref.name))
        assert found is None or isinstance(found, Pod | Namespace | Node | Record)
        return found

    def view(self, key: Key) -> ServiceView | None:
        """The Service of that key with its endpoints, or None."""
        service = self._objects[Kind.SERVICE].get(key)
        return ServiceView(service, self._subsets(key)) if isinstance(service, Service) else None

    def _subsets(self, key: Key) -> tuple[Subset, ...]:
        slices = self._objects[Kind.SLICE]
        if names := self._slices_of.get(key):
            parts = (part for name in names if isinstance(part := slices[key[0], name], EndpointSlice))
            return tuple(subset for part in parts for subset in part.subsets)
        endpoints = self._objects[Kind.ENDPOINTS].get(key)
        return endpoints.subsets if isinstance(endpoints, Endpoints) else ()

    def _apply(self, event: Event) -> None:
        ref = event.obj.ref if isinstance(event, Upsert) else event.ref
        objects, key = self._objects[ref.kind], (ref.namespace, ref.name)
        old, new = objects.get(key), event.obj if isinstance(event, Upsert) else None
        for touched in _touched(ref, old, new):
            if touched not in self._before:
                self._before[touched] = self.thing(touched)
        if new is None:
            objects.pop(key, None)
        else:
            objects[key] = new
        if ref.kind is Kind.SLICE:
            self._index_slice(key, old, new)

    def _index_slice(self, key: Key, old: object, new: object) -> None:
        for part, present in ((old, False), (new, True)):
            if isinstance(part, EndpointSlice):
                owner = (part.namespace, part.service)
                names = {name for name in self._slices_of.get(owner, ()) if name != key[1]}
                names |= {key[1]} if present else set()
                self._slices_of[owner] = tuple(sorted(names))
                if not names:
                    del self._slices_of[owner]


def _touched(ref: Ref, old: object, new: object) -> set[Ref]:
    """The things an event on ``ref`` may change: itself, or the Services its endpoints belong to."""
    if ref.kind is not Kind.ENDPOINTS and ref.kind is not Kind.SLICE:
        return {ref}
    parts = [part for part in (old, new) if isinstance(part, Endpoints | EndpointSlice)]
    return {Ref(Kind.SERVICE, part.namespace, part.service) for part in parts if part.service}
