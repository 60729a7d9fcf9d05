"""From changes of the cluster to the table: the zone says which names, ``pack`` makes their octets."""

from collections.abc import Iterable

from skydns_py.answers.packed import Node, pack
from skydns_py.answers.search import Clients
from skydns_py.cluster.objects import Kind, Pod
from skydns_py.cluster.state import Change
from skydns_py.dataplane.table import Table
from skydns_py.zone.settings import Found
from skydns_py.zone.zone import Zone


class Publisher:
    """Keeps a table as the zone is, and the search path's clients as the pods are."""

    def __init__(self, zone: Zone, clients: Clients) -> None:
        self._zone = zone
        self._clients = clients
        self._table: Table | None = None
        self._serial = 0

    def attach(self, table: Table) -> None:
        """Serve the zones from this table from now on; done once, before anything is published."""
        self._table = table
        self.publish([], serial=1)

    def compute(self, name: bytes) -> Node | None:
        """The node of a name that is not kept packed (``Lazy``), or None where it does not exist."""
        found = self._zone.compute(name)
        return pack(name, found.rrsets, found.glue) if found else None

    def publish(self, changes: Iterable[Change], serial: int, *, lazily: bool = False) -> None:
        """Bring the table up to date, with ``serial`` as the zones'; ``lazily`` as for ``Zone.change``."""
        assert self._table is not None, "attached first"
        for change in changes:
            self._zone.change(change, lazily=lazily)
            if change.ref.kind is Kind.POD:
                pods = [pod if isinstance(pod, Pod) else None for pod in (change.before, change.after)]
                self._change_clients(*pods)
        if serial != self._serial:
            self._renew(self._table, serial)
        self._table.wildcards = self._zone.has_records
        lazy = []
        for name, update in self._zone.take().items():
            if isinstance(update, Found) and not lazily:
                self._table.replace(name, pack(name, update.rrsets, update.glue))
            elif update is None:
                self._table.remove(name)
            else:
                lazy.append(name)
        if lazy:
            self._table.defer(lazy)

    def _change_clients(self, before: Pod | None, after: Pod | None) -> None:
        assert self._table is not None, "attached first"
        self._clients.change(before, after)
        for address in {address for pod in (before, after) if pod for address in pod.addresses}:
            if self._clients.is_known(address):
                self._table.set_client(address, self._clients.namespace(address))
            else:
                self._table.remove_client(address)

    def _renew(self, table: Table, serial: int) -> None:
        self._serial = serial
        self._zone.renew(serial)
        for apex in self._zone.settings.apexes:
            table.replace_zone(apex, self._zone.soa(apex))
