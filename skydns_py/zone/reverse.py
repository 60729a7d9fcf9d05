"""The names of addresses: PTR for portal IPs and endpoints. An address may belong to several Services."""

from collections.abc import Callable, Iterable, Mapping

from skydns_py.cluster.objects import Address
from skydns_py.cluster.state import Key
from skydns_py.zone.names import IN_ADDR, IP6, address_in_reverse, is_within, reverse
from skydns_py.zone.rrset import PTR, RRset
from skydns_py.zone.settings import Found, Touched, ZoneSettings

Pointers = Mapping[Address, tuple[bytes, ...]]
"""Address to the names that its PTR gives."""


class ReverseNames:
    """PTR records, in the reverse zones served."""

    def __init__(self, settings: ZoneSettings, lookup: Callable[[Key], Pointers]) -> None:
        """``lookup`` gives a Service's pointers as the cluster is now."""
        self._settings = settings
        self._lookup = lookup
        self._alone: dict[Address, Key] = {}  # addresses with one claimant, which nearly all have
        self._contested: dict[Address, tuple[Key, ...]] = {}
        self._whole = tuple(zone for zone in settings.reverse_zones if zone in (IN_ADDR, IP6))

    def compute(self, name: bytes) -> Found | None:
        """The PTR at ``name``, or None where no Service owns the address."""
        address = address_in_reverse(name)
        found = (self._lookup(key).get(address, ()) for key in self._claimants(address)) if address else ()
        return self._found(target for targets in found for target in targets)

    def change(self, key: Key, old: Pointers, new: Pointers) -> Touched:
        """The reverse names whose answers differ when a Service's pointers change from ``old`` to ``new``."""
        touched: dict[bytes, Found | None] = {}
        for address in old.keys() | new.keys():
            if old.get(address) != new.get(address):
                self._claim(address, key, address in new)
                if self._is_served(name := reverse(address)):
                    touched[name] = self._settled(address, name, new.get(address, ()))
        return touched

    def claimed(self, key: Key, addresses: set[Address]) -> list[bytes]:
        """A new Service has these addresses; returns their names."""
        for address in addresses:
            if address in self._contested or self._alone.setdefault(address, key) is not key:
                self._claim(address, key, True)
        return [name for name in map(reverse, addresses) if self._is_served(name)]

    def _settled(self, address: Address, name: bytes, targets: tuple[bytes, ...]) -> Found | None:
        """What the name owns now: ``targets`` where the changed Service is the address's only claimant."""
        shared = len(self._claimants(address)) > bool(targets)
        return self.compute(name) if shared else self._found(targets)

    def _claim(self, address: Address, key: Key, present: bool) -> None:
        claims = {other for other in self._claimants(address) if other != key} | ({key} if present else set())
        self._alone.pop(address, None)
        self._contested.pop(address, None)
        if len(claims) == 1:
            self._alone[address] = claims.pop()
        elif claims:
            self._contested[address] = tuple(sorted(claims))

    def _claimants(self, address: Address) -> tuple[Key, ...]:
        alone = self._alone.get(address)
        return (alone,) if alone else self._contested.get(address, ())

    def _found(self, targets: Iterable[bytes]) -> Found | None:
        unique = tuple(dict.fromkeys(targets))
        return Found({PTR: RRset(self._settings.ttl, unique)}) if unique else None

    def _is_served(self, name: bytes) -> bool:
        """Whether a reverse zone has the name; its end tells where all are served, as a rule."""
        return name.endswith(self._whole) or any(
            name.endswith(zone) and is_within(name, zone) for zone in self._settings.reverse_zones
        )
