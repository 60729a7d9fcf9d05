"""The names that Services own, in the schema and of old; a change touches that Service's names only."""

from collections.abc import Callable, Mapping

from skydns_py.cluster.state import Key, ServiceView
from skydns_py.zone import legacy, schema
from skydns_py.zone.names import ROOT, labels
from skydns_py.zone.rrset import SRV, Names, RRsets
from skydns_py.zone.settings import Found, Touched, ZoneSettings

Lookup = Callable[[Key], ServiceView | None]
"""The Service of a key with its endpoints, as the cluster is now."""

RECENT = 16
"""Services whose records are kept for a while after a name of theirs was computed."""


class ServiceNames:
    """Forward names of Services."""

    def __init__(self, settings: ZoneSettings, lookup: Lookup) -> None:
        self._settings = settings
        self._lookup = lookup
        self._recent: dict[Key, schema.ServiceRecords] = {}

    def records(self, view: ServiceView | None) -> schema.ServiceRecords:
        """What a Service owns by the schema; nothing where there is none."""
        return schema.records(view, self._settings.name, self._settings.ttl) if view else schema.NO_RECORDS

    def compute(self, name: bytes) -> Found | None:
        """What a Service owns at ``name``, a wire name in the zone, or None."""
        parts = [label.decode("latin-1") for label in labels(name[: -len(self._settings.name)] + ROOT)]
        in_schema = parts[-1:] == ["svc"]
        key = parts[-3:-1] if in_schema else parts[-2:]
        if len(key) != 2:
            return None
        names = (
            self._kept((key[1], key[0])).forward
            if in_schema
            else self._legacy(self._lookup((key[1], key[0])))
        )
        return Found(names[name], names) if name in names else None

    def pointers(self, key: Key) -> Mapping[bytes, tuple[bytes, ...]]:
        """A Service's pointers as the cluster is now."""
        return self._kept(key).pointers

    def listed(self, key: Key, view: ServiceView) -> tuple[list[bytes], set[bytes]]:
        """The names and addresses of a Service that is new."""
        self._recent.pop(key, None)
        found, addresses = schema.listed(view, self._settings.name)
        old = legacy.name_of(view, self._settings.name) if self._settings.legacy_names else None
        return (found if old is None else [*found, old]), addresses

    def _kept(self, key: Key) -> schema.ServiceRecords:
        """A Service's records, kept for the next of its names: asking for all of them costs their number."""
        if key not in self._recent:
            if len(self._recent) == RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[key] = self.records(self._lookup(key))
        return self._recent[key]

    def change(
        self,
        key: Key,
        before: tuple[ServiceView | None, schema.ServiceRecords],
        after: tuple[ServiceView | None, schema.ServiceRecords],
    ) -> Touched:
        """The names whose answers differ between two states of a Service, each with its ``records``."""
        self._recent.pop(key, None)
        touched = _differences(before[1].forward, after[1].forward)
        touched.update(_differences(self._legacy(before[0]), self._legacy(after[0])))
        return touched

    def _legacy(self, view: ServiceView | None) -> dict[bytes, RRsets]:
        if view is None or not self._settings.legacy_names:
            return {}
        return legacy.forward(view, self._settings.name, self._settings.ttl)


def _differences(old: Names, new: Names) -> dict[bytes, Found | None]:
    touched: dict[bytes, Found | None] = dict.fromkeys(old.keys() - new.keys())
    for name, rrsets in new.items():
        if not old or rrsets != old.get(name) or _targets_moved(rrsets, old, new):
            touched[name] = Found(rrsets, new)
    return touched


def _targets_moved(rrsets: RRsets, old: Names, new: Names) -> bool:
    """Whether the addresses of a name's SRV targets, which go with its answers, have changed."""
    targets = (rdata[6:] for rdata in rrsets[SRV].rdatas) if SRV in rrsets else ()
    return any(old.get(target) != new.get(target) for target in targets)
