"""Portal addresses and node ports for the Services that ``apply`` writes, by transactions in etcd.

1. One transaction writes the Service together with its reservations, and is refused where one of those
   keys has changed since it was read (revision 0: is not there).  So of two writers that chose the same
   address only one gets through, and a writer that is killed leaves both or neither.
2. What is taken is listed once in a run, and only where something has to be found: reservations, and
   what Services have without one.  The list ages; the transaction decides.  A choice that was lost is
   noted as taken, so the next one is another.
3. Reservations change only together with, or compared against, the Service's key.  Deleting a Service
   releases what it has in the same transaction, and so does giving up an address.
4. Without ``portal_net`` nothing is found or reserved, only kept and released.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skydns_py.balancer.allocation.document import wish_of, with_grant
from skydns_py.balancer.allocation.ledger import Exhausted, Ledger
from skydns_py.balancer.allocation.pool import V4, V6
from skydns_py.balancer.allocation.service import PLAIN, Grant, Item, Lack, Wish, granted, keep, lack
from skydns_py.cli import reservations
from skydns_py.cli.documents import Document, Json
from skydns_py.cli.kinds import title
from skydns_py.cli.reservations import owner_of, shown
from skydns_py.cli.store import Change, Store, Stored
from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.errors import DecodeError, SkydnsError
from skydns_py.settings import EtcdSource


@dataclass(frozen=True, slots=True)
class Plan:
    """A Service to be written: what it has or names, with what was found for it, and its document then."""

    ref: Ref
    value: Json
    before: Grant
    has: Grant
    filled: Grant

    @property
    def found(self) -> frozenset[Item]:
        """What was found in this run and is not reserved yet."""
        return self.filled.items - self.has.items


class Allocator:
    """The allocation of one run of ``apply``."""

    def __init__(self, place: Store, etcd: EtcdSource) -> None:
        self._place = place
        self._etcd = etcd
        self._on = bool(etcd.portal_net)
        self._families = reservations.empty_ledger(etcd).families if self._on else (V4, V6)
        self._named: dict[Item, str] = {}
        self._ledger: Ledger | None = None

    def check(self, documents: Sequence[tuple[Document, Stored]]) -> None:
        """Refuse, before anything is written, what one names and another has: SkydnsError, line by line."""
        ours = [(document, held) for document, held in documents if document.ref.kind is Kind.SERVICE]
        if not self._on:
            return
        refused: list[str] = []
        has: dict[str, Grant] = {}
        for document, held in ours:
            try:
                has[owner_of(document.ref)] = self._kept(document, held)[0]
            except DecodeError as error:
                refused.append(f"{document.where}: {error}")
        refused += [line for document, held in ours for line in self._clashes(document, held, has)]
        if refused:
            raise SkydnsError("\n".join(refused))

    def plan(self, document: Document, held: Stored) -> Plan | None:
        """What to write for a Service, None for other objects; SkydnsError where nothing is free."""
        if document.ref.kind is not Kind.SERVICE:
            return None
        has, missing, service = self._kept(document, held)
        filled = self._fill(service, has, missing) if missing else has
        before = reservations.decode(document.ref, held)
        value = with_grant(document.value, filled)
        return Plan(document.ref, value, granted(before) if before else Grant(), has, filled)

    def write(self, plan: Plan, change: Change) -> bool:
        """Write the Service and its reservations; False where others were faster."""
        owner = owner_of(plan.ref)
        new = [Change(self._key(item), 0, owner.encode()) for item in plan.found]
        done = self._place.write([change, *new, *self._kept_and_released(plan, owner)])
        if done and self._ledger:
            for item in plan.before.items - plan.filled.items:
                self._ledger.drop(item)
        return done

    def lost(self, plan: Plan) -> bool:
        """After a write that failed: note who has what was found. Whether that is why it failed."""
        if not plan.found or not self._ledger:
            return False
        held = self._place.reserved([self._key(item) for item in plan.found])
        for item in plan.found:
            self._ledger.drop(item)
            if now := held[self._key(item)].value:
                self._ledger.hold(item, now.decode(errors="replace"))
        return any(each.revision for each in held.values())

    def _kept(self, document: Document, held: Stored) -> tuple[Grant, Lack, Service]:
        service, asked = _service(document), self._wish(document)
        has = keep(service, asked, self._families, reservations.decode(document.ref, held))
        return has, lack(service, asked, self._families, has) if self._on else Lack(), service

    def _wish(self, document: Document) -> Wish:
        try:
            return wish_of(document.value)
        except DecodeError:
            if self._on:
                raise
            return PLAIN

    def _fill(self, service: Service, has: Grant, missing: Lack) -> Grant:
        fresh = self._ledger is None
        try:
            return self._current().fill(service, has, missing)
        except Exhausted as error:
            if fresh:
                raise SkydnsError(f"{title(service.ref)}: {error}") from None
        self._ledger = None  # it is old: somebody may have released something
        return self._fill(service, has, missing)

    def _current(self) -> Ledger:
        if self._ledger is None:
            self._ledger = reservations.read_ledger(self._place, self._etcd, self._named.items())
        return self._ledger

    def _clashes(self, document: Document, held: Stored, has: dict[str, Grant]) -> Iterator[str]:
        """Lines about what the document names anew and somebody else has, or names in this run."""
        before, owner = reservations.decode(document.ref, held), owner_of(document.ref)
        for item in granted(_service(document)).items - (granted(before).items if before else frozenset()):
            holder = self._named.setdefault(item, owner)
            if holder == owner:
                holder = self._current().owner(item)
                if holder in has and item not in has[holder].items:  # which this run takes from it
                    holder = ""
            if holder not in ("", owner):
                yield f"{document.where}: {_refusal(item, holder)}"
            elif self._ledger:
                self._ledger.drop(item)
                self._ledger.hold(item, owner)

    def _kept_and_released(self, plan: Plan, owner: str) -> Iterator[Change]:
        """Reservations that are missing for what the Service has, and those it gives up."""
        kept = plan.has.items if self._on else frozenset[Item]()
        gone = plan.before.items - plan.filled.items
        keys = {self._key(item): item for item in kept | gone}
        for key, held in self._place.reserved(list(keys)).items() if keys else ():
            item, holder = keys[key], held.value.decode(errors="replace")
            if item in gone and holder == owner:
                yield Change(key, held.revision)
            elif item in kept and not held.revision:
                yield Change(key, 0, owner.encode())
            elif item in kept and holder != owner and item not in plan.before.items:
                raise SkydnsError(f"{title(plan.ref)}: {_refusal(item, holder)}")

    def _key(self, item: Item) -> str:
        return reservations.key_of(item, self._place.allocations)


def releases(place: Store, ref: Ref, held: Stored) -> list[Change]:
    """What goes with a Service that is deleted: its reservations; none for another kind of object."""
    service = reservations.decode(ref, held) if ref.kind is Kind.SERVICE else None
    keys = (
        [reservations.key_of(item, place.allocations) for item in granted(service).items] if service else []
    )
    found = place.reserved(keys) if keys else {}
    owner = owner_of(ref).encode()
    return [Change(key, each.revision) for key, each in found.items() if each.value == owner]


def _service(document: Document) -> Service:
    (found,) = decode_document(document.value)
    assert isinstance(found, Service)
    return found


def _refusal(item: Item, holder: str) -> str:
    return f"{shown(item)} belongs to service/{holder}; name another, or none to be given one"
