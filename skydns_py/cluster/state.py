"""The one picture of the cluster: events go in, and what each touched comes out.

1. A Service and its endpoints are one thing to the names: a ``ServiceView``.  EndpointSlices win over an
   Endpoints object, because a control plane mirrors the latter into the former; where a Service with a
   selector has neither, not even an empty one, its endpoints are derived from Pods (``endpoints``).
2. Endpoints and slices may come before their Service and outlive it; they count only while it exists.
3. ``apply`` costs work in proportion to the Services touched.  What was there before is remembered until
   ``take`` is called, so a burst of events on one Service is one change.
4. Until the first ``take`` nothing has been told, so nothing is remembered: all there is then is new.  A
   source lists slices before Services, so that no Service waits meanwhile for Pods that it does not need.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from skydns_py.cluster.endpoints import Selectors, derive
from skydns_py.cluster.objects import (
    ClusterObject,
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
from skydns_py.cluster.shelf import Key, Shelf

__all__ = ["Change", "Cluster", "Key", "ServiceView", "Thing"]


class ServiceView(NamedTuple):
    """A Service together with the subsets that stand behind it."""

    service: Service
    subsets: tuple[Subset, ...]


Thing = ServiceView | Pod | Namespace | Node | Record
"""What a change is about: an object, or a Service with its endpoints."""

_THINGS = (Kind.NAMESPACE, Kind.NODE, Kind.SERVICE, Kind.POD, Kind.RECORD)
"""In the order to tell of them at first: a portal's plan asks which zone its node is in."""


class Change(NamedTuple):
    """One thing before and after; ``None`` where it did not, or does not, exist. The two differ."""

    ref: Ref
    before: Thing | None
    after: Thing | None


class Cluster:
    """Everything the sources say exists."""

    def __init__(self) -> None:
        self._objects: dict[Kind, Shelf[object]] = {kind: Shelf() for kind in Kind}
        self._slices_of: Shelf[str | tuple[str, ...]] = Shelf()  # a lone slice's name stands for itself
        self._selectors = Selectors(self._objects[Kind.POD])
        self._before: dict[Ref, Thing | None] | None = None  # rule 4

    def apply(self, events: Iterable[Event]) -> None:
        """Take events in; ``take`` then tells what they changed."""
        for event in events:
            if isinstance(event, Upsert):
                self._set(event.obj.ref, event.obj)
            else:
                self._set(event.ref, None)

    @property
    def changed(self) -> bool:
        """Whether ``take`` may have something to tell."""
        return any(self._objects[kind] for kind in _THINGS) if self._before is None else bool(self._before)

    def take(self, limit: int | None = None) -> list[Change]:
        """What has changed and was not told yet, each thing once; ``limit`` at most.

        The first time all there is, kind by kind; from then on the oldest change first.
        """
        if self._before is None:
            self._before = {Ref(kind, *key): None for kind in _THINGS for key in self._objects[kind]}
        touched = list(islice(self._before, limit))
        pairs = [(ref, self._before.pop(ref), self.thing(ref)) for ref in touched]
        if not self._before:
            self._before = {}  # a dict that was emptied keeps its table
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
        return ServiceView(service, self._subsets(key, service)) if isinstance(service, Service) else None

    def _subsets(self, key: Key, service: Service) -> tuple[Subset, ...]:
        slices = self._objects[Kind.SLICE]
        if names := self._slice_names(key):
            parts = (part for name in names if isinstance(part := slices[key[0], name], EndpointSlice))
            return tuple(subset for part in parts for subset in part.subsets)
        endpoints = self._objects[Kind.ENDPOINTS].get(key)
        if isinstance(endpoints, Endpoints):
            return endpoints.subsets
        return derive(service, self._selectors.pods(key))

    def _set(self, ref: Ref, new: ClusterObject | None) -> None:
        """The object is ``new`` from now on; None: it is gone."""
        objects, key = self._objects[ref.kind], (ref.namespace, ref.name)
        old = objects.get(key)
        touched = self._touched(ref, old, new)
        if self._before is not None:
            for each in touched:
                if each not in self._before:
                    self._before[each] = self.thing(each)
        if new is None:
            objects.pop(key, None)
        else:
            objects[key] = new
        self._index(ref, old, new, touched)

    def _touched(self, ref: Ref, old: object, new: object) -> list[Ref]:
        """The things an event on ``ref`` may change: itself, or the Services its endpoints belong to."""
        if ref.kind is Kind.POD:
            pods = (_pod(old), _pod(new)) if old != new else ()
            keys = dict.fromkeys(key for pod in pods for key in self._selectors.services(pod))
            return [ref, *(Ref(Kind.SERVICE, *key) for key in keys)]
        if ref.kind is not Kind.ENDPOINTS and ref.kind is not Kind.SLICE:
            return [ref]
        parts = [part for part in (old, new) if isinstance(part, Endpoints | EndpointSlice)]
        owners = dict.fromkeys((part.namespace, part.service) for part in parts if part.service)
        return [Ref(Kind.SERVICE, *key) for key in owners]

    def _index(self, ref: Ref, old: object, new: object, touched: list[Ref]) -> None:
        """Bring up to date what is found by other ways than its key."""
        if ref.kind is Kind.POD:
            self._selectors.move(_pod(old), _pod(new))
            return
        if ref.kind is Kind.SLICE:
            self._index_slice((ref.namespace, ref.name), old, new)
        for each in touched:
            if each.kind is Kind.SERVICE:
                self._hold((each.namespace, each.name))

    def _hold(self, key: Key) -> None:
        """Have the Service's endpoints derived where that is all there is."""
        alone = key not in self._slices_of and key not in self._objects[Kind.ENDPOINTS]
        service = self._objects[Kind.SERVICE].get(key) if alone else None
        self._selectors.hold(key, service.selector if isinstance(service, Service) else None)

    def _slice_names(self, owner: Key) -> tuple[str, ...]:
        """The slices of a Service, in the order of their names."""
        found = self._slices_of.get(owner, ())
        return (found,) if isinstance(found, str) else found

    def _index_slice(self, key: Key, old: object, new: object) -> None:
        for part, present in ((old, False), (new, True)):
            if isinstance(part, EndpointSlice):
                owner = (part.namespace, part.service)
                others = [name for name in self._slice_names(owner) if name != key[1]]
                self._hold_slices(owner, sorted([*others, key[1]]) if present else others)

    def _hold_slices(self, owner: Key, names: list[str]) -> None:
        if names:
            self._slices_of[owner] = names[0] if len(names) == 1 else tuple(names)
        else:
            self._slices_of.pop(owner, None)


def _pod(thing: object) -> Pod | None:
    return thing if isinstance(thing, Pod) else None
