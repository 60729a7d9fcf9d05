"""The names of addresses: PTR for portal IPs and endpoints. An address may belong to several Services."""

from collections.abc import Callable, Iterable, Mapping

from skydns_py.cluster.objects import Address
from skydns_py.cluster.state import Key
from skydns_py.zone.names import address_in_reverse, is_within, reverse
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
        self._claims: dict[Address, tuple[Key, ...]] = {}

    def compute(self, name: bytes) -> Found | None:
        """The PTR at ``name``, or None where no Service owns the address."""
        address = address_in_reverse(name)
        keys = self._claims.get(address, ()) if address else ()
        found = (self._lookup(key).get(address or b"", ()) for key in keys)
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
        alone = (key,)
        for address in addresses:
            if self._claims.setdefault(address, alone) is not alone:
                self._claim(address, key, True)
        return [name for name in map(reverse, addresses) if self._is_served(name)]

    def _settled(self, address: Address, name: bytes, targets: tuple[bytes, ...]) -> Found | None:
        """What the name owns now: ``targets`` where the changed Service is the address's only claimant."""
        shared = len(self._claims.get(address, ())) > bool(targets)
        return self.compute(name) if shared else self._found(targets)

    def _claim(self, address: Address, key: Key, present: bool) -> None:
        claims = {other for other in self._claims.pop(address, ()) if other != key}
        if present:
            claims.add(key)
        if claims:
            self._claims[address] = tuple(sorted(claims))

    def _found(self, targets: Iterable[bytes]) -> Found | None:
        unique = tuple(dict.fromkeys(targets))
        return Found({PTR: RRset(self._settings.ttl, unique)}) if unique else None

    def _is_served(self, name: bytes) -> bool:
        return any(name.endswith(zone) and is_within(name, zone) for zone in self._settings.reverse_zones)
