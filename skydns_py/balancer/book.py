"""The book of who has what: a Service and its reservations, written together.

1. Tasks (``provider``) write through it, and only the controller's: its seat is compared with each write.
2. A store without transactions is written key by key, and a controller that was deposed in between may go on
   at any time later.  The order sees to it that a Service never shows what is not reserved for it:

   - Read what is to be taken away, then the Service, then what is to be given.
   - Write what is given, *each time*, so that whoever is about to take it away finds it changed; then the
     Service; then what is taken away.  Each under the condition of the revision read.
   - Nothing is taken away from a Service that still asks unless the Service was changed for it: else one who
     read it before and gave in the meantime could still write to it.  Where the Service does not show what
     is to be taken away (a gift that was left half done), it is given it first, and that is taken next.
     One that asks no more was changed since it asked.

   Proof: that it shows X is written at the revision that was read *before* X was reserved for it.  If X was
   taken away after that reservation, the Service has changed since.  If it was taken away before, the
   reservation was written under a condition that no longer held.
3. What was left half done needs no memory: all of it is in the keys, and the next look goes on from there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from skydns_py.balancer.store import CONTROLLER, Held, Keys, News, Store, Write
from skydns_py.balancer.view import View
from skydns_py.balancer.written import with_entries
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.errors import DecodeError

AT_ONCE = 0.05
"""Seconds until what somebody else has changed meanwhile is looked at again."""


class Outcome(NamedTuple):
    """What a task has written, and after how many seconds to look again (None: it is done)."""

    news: News
    again: float | None = None


NOT_DONE = Outcome(News({}), AT_ONCE)
Task = Callable[[Store], Outcome]
"""It may raise SkydnsError, one line of why."""


class Change(NamedTuple):
    """What a task has read, and what is to be: keys ``given``, then the Service, then keys ``taken``.

    ``value`` is the Service's new document, None where it stays; ``withdrawn`` the addresses that
    ``taken`` stands for.
    """

    held: Mapping[str, Held]
    given: Mapping[str, bytes]
    value: bytes | None
    taken: Mapping[str, bytes | None]
    withdrawn: Sequence[str] = ()


class Book:
    """Where things are in the store, and writing a Service together with what it has."""

    def __init__(self, keys: Keys, registry_prefix: str, view: View) -> None:
        self.keys = keys
        self._registry = registry_prefix
        self._view = view

    def seat(self) -> dict[str, int]:
        """What proves that this node is still the controller."""
        key = self.keys.owner(CONTROLLER)
        return {key: self._view.revision(key)}

    def service_key(self, owner: str) -> str:
        """Where the Service is."""
        return registry.key_for(_ref(owner), self._registry)

    def decode(self, owner: str, held: Held) -> Service | None:
        """The stored Service; None where there is none that can be used."""
        try:
            found = registry.decode(_ref(owner), held.value) if held.revision else None
        except DecodeError:
            return None
        return found if isinstance(found, Service) else None

    def write(self, store: Store, owner: str, change: Change, seat: Mapping[str, int]) -> Outcome:
        """All of it that is not so already, if everything is still as it was read (rule 2)."""
        held = change.held
        taken = {key: each for key, each in change.taken.items() if (each or b"") != held[key].value}
        change = change._replace(taken=taken)
        if (
            taken
            and change.value is None
            and not store.transactions
            and (first := self._shown(owner, change))
        ):
            return self._write(store, owner, first, seat)._replace(again=AT_ONCE)
        if (
            change.value is None
            and not taken
            and all(held[key].value == each for key, each in change.given.items())
        ):
            return Outcome(News({}))
        return self._write(store, owner, change, seat)

    def _write(self, store: Store, owner: str, change: Change, seat: Mapping[str, int]) -> Outcome:
        service = {} if change.value is None else {self.service_key(owner): change.value}
        writes = [Write(*each) for part in (change.given, service, change.taken) for each in part.items()]
        seen = {key: each.revision for key, each in change.held.items()}
        revisions = store.write(writes, {**seen, **seat})
        if not revisions:
            return NOT_DONE
        new = {**change.given, **change.taken}
        return Outcome(News({key: Held(each or b"", revisions[key]) for key, each in new.items()}))

    def _shown(self, owner: str, change: Change) -> Change | None:
        """What gives the Service first what is to be taken from it; None where that need not be."""
        held = change.held[self.service_key(owner)]
        service = self.decode(owner, held)
        if service is None or not service.exposure.wants_balancer:
            return None
        value = with_entries(held.value, change.withdrawn)
        given = {**change.given, **{key: change.held[key].value for key in change.taken}}
        return None if value is None else change._replace(given=given, value=value, taken={})


def _ref(owner: str) -> Ref:
    namespace, _, name = owner.partition("/")
    return Ref(Kind.SERVICE, namespace, name)
