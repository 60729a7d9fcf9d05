"""Which names there are, what each owns, and which of them a change touched.

1. ``compute`` is the definition: a name's RRsets, from the cluster as it is now.  All the rest tracks which
   names have to be computed again, and saves doing so where the answer is already at hand.
2. Each family of names (services, addresses, pods, the zones themselves) says which of its names a change
   touched; the families' names are disjoint, so none needs to know of another.
3. The work is in proportion to the thing that changed, whatever the size of the cluster.
4. A SkyDNS record answers for all names above it too, so its answers can be of any size.  Such names are
   marked ``LAZY`` and computed when they are next asked for.  So are the names of a whole cluster at the
   start: most are never asked for, and listing them takes a third of the time and half the memory.
5. Where a name is in the schema and in SkyDNS, the schema's RRset wins type by type, except at the names
   that a zone has by itself: there SkyDNS records may say who the name server is.  A CNAME stands alone (RFC
   1034 section 3.6.2): an ExternalName's hides what SkyDNS has, and SkyDNS's is left out beside any RRset.
   A record also hides the address that an insecure pod name stands for: that name nobody has listed.
"""

import enum
from collections.abc import Callable, Iterable, Mapping

from skydns_py.cluster.objects import Kind, Namespace, Pod, Record
from skydns_py.cluster.state import Change, Key, ServiceView
from skydns_py.zone.apex import Apex
from skydns_py.zone.existence import Existence
from skydns_py.zone.names import ancestors, from_labels
from skydns_py.zone.pods import PodNames
from skydns_py.zone.reverse import ReverseNames
from skydns_py.zone.rrset import CNAME, RRset
from skydns_py.zone.services import Lookup, ServiceNames
from skydns_py.zone.settings import NOTHING, Found, Pods, Touched, ZoneSettings
from skydns_py.zone.skydns import Records


class Lazy(enum.Enum):
    """The mark of a name whose RRsets are computed when it is asked for (rule 4)."""

    LAZY = "lazy"


Update = Found | Lazy | None
"""What has become of a name: this, computed on demand, or gone."""


class Zone:
    """The names of a cluster, updated by its changes. ``lookup`` finds a Service as the cluster is now."""

    def __init__(
        self,
        settings: ZoneSettings,
        lookup: Lookup,
        existence: Callable[[tuple[bytes, ...]], Existence] = Existence,
    ) -> None:
        self.settings = settings
        self._apexes = frozenset(settings.apexes)
        self._apex = Apex(settings)
        self._services = ServiceNames(settings, lookup)
        self._reverse = ReverseNames(settings, self._services.pointers)
        self._pods = PodNames(settings)
        self._records = Records()
        self._existence = existence(settings.apexes)
        self._updates: dict[bytes, Update] = {}
        self._note({name: Found(rrsets, self._apex.names) for name, rrsets in self._apex.names.items()})
        self._refresh(self._existence.between)

    @property
    def open_subtrees(self) -> tuple[bytes, ...]:
        """Names below which any name may exist without being listed: such a name has to be computed."""
        insecure = self.settings.pods is Pods.INSECURE
        return (from_labels("pod", base=self.settings.name),) if insecure else ()

    @property
    def has_records(self) -> bool:
        """Whether a SkyDNS record is known, so that a wildcard in a question can match one."""
        return bool(self._records)

    def take(self) -> Mapping[bytes, Update]:
        """The names touched since the last call, each with what has become of it."""
        updates, self._updates = self._updates, {}
        return updates

    def zone_of(self, name: bytes) -> bytes | None:
        """The longest served zone that ``name`` lies in, or None."""
        return next((candidate for candidate in ancestors(name) if candidate in self._apexes), None)

    def renew(self, serial: int) -> None:
        """Give every zone this serial number."""
        for apex in self._apex.renew(serial):
            self._note({apex: Found(self._apex.names[apex], self._apex.names)})

    def soa(self, apex: bytes) -> RRset:
        """The SOA RRset of a served zone."""
        return self._apex.soa(apex)

    def change(self, change: Change, *, lazily: bool = False) -> None:
        """Take a change of the cluster in; ``take`` then tells which names it touched.

        ``lazily``: list the names of a new Service without computing them.
        """
        kind, before, after = change.ref.kind, change.before, change.after
        if kind is Kind.SERVICE:
            views = [view if isinstance(view, ServiceView) else None for view in (before, after)]
            key = (change.ref.namespace, change.ref.name)
            if lazily and views[0] is None and views[1] is not None:
                self._list_service(key, views[1])
            else:
                self._change_service(key, *views)
        elif kind is Kind.POD:
            pods = (pod if isinstance(pod, Pod) else None for pod in (before, after))
            self._note(self._pods.change_pod(*pods))
        elif kind is Kind.NAMESPACE:
            self._note(self._pods.change_namespace(change.ref.name, isinstance(after, Namespace)))
        elif kind is Kind.RECORD:
            records, path = self._records, change.ref.name
            self._refresh(records.put(after) if isinstance(after, Record) else records.remove(path))

    def _change_service(self, key: Key, before: ServiceView | None, after: ServiceView | None) -> None:
        old, new = self._services.records(before), self._services.records(after)
        self._note(self._services.change(key, (before, old), (after, new)))
        self._note(self._reverse.change(key, old.pointers, new.pointers))
        if self._records:  # a record's target may be another name of this Service, whose addresses go with it
            self._refresh([name for name in {**old.forward, **new.forward} if self._is_recorded(name)])

    def _list_service(self, key: Key, view: ServiceView) -> None:
        names, addresses = self._services.listed(key, view)
        names += self._reverse.claimed(key, addresses)
        names += self._existence.own_all(names)
        self._updates.update(dict.fromkeys(names, Lazy.LAZY))

    def compute(self, name: bytes) -> Found | None:
        """What ``name`` (a lower-case wire name) owns now, or None where it does not exist (rule 1)."""
        zone = self.zone_of(name)
        if zone is None:
            return None
        own = self._own(name, zone)
        records = self._records.lookup(name, zone)
        if records is not None and name not in self._existence:
            own = None
        if records is None or own is None:
            found = own if records is None else Found(records.rrsets, records.glue)
            return found or (NOTHING if name in self._existence else None)
        return self._joined(name, own, Found(records.rrsets, records.glue))

    def _joined(self, name: bytes, own: Found, records: Found) -> Found:
        """What a name owns by the schema and by SkyDNS together (rule 5)."""
        if CNAME in own.rrsets:
            return own
        other = {t: rrset for t, rrset in records.rrsets.items() if t != CNAME or not own.rrsets}
        if name in self._apex.names:
            return Found({**own.rrsets, **other}, {**own.glue, **records.glue})
        return Found({**other, **own.rrsets}, {**records.glue, **own.glue})

    def _own(self, name: bytes, zone: bytes) -> Found | None:
        """What the name owns by the schema."""
        if name in self._apex.names:
            return Found(self._apex.names[name], self._apex.names)
        if zone != self.settings.name:
            return self._reverse.compute(name)
        return self._services.compute(name) or self._pods.compute(name)

    def _note(self, touched: Touched) -> None:
        """Names whose owner says what they own now; new ones first, lest a name above go and come back."""
        for name, found in sorted(touched.items(), key=lambda item: item[1] is None):
            moved = self._existence.disown(name) if found is None else self._existence.own(name)
            if moved:
                self._refresh(moved)
            if found is None or (self._records and self._is_recorded(name)):
                self._refresh((name,))
            else:
                self._updates[name] = found

    def _refresh(self, names: Iterable[bytes]) -> None:
        """Names whose answers have to be found anew."""
        for name in names:
            if self.zone_of(name) is None:
                continue
            bare = NOTHING if name in self._existence else None
            unknown = self._existence.is_owned(name) or self._is_recorded(name)
            self._updates[name] = Lazy.LAZY if unknown else bare

    def _is_recorded(self, name: bytes) -> bool:
        zone = self.zone_of(name) if self._records else None
        return zone is not None and self._records.has(name, zone)
