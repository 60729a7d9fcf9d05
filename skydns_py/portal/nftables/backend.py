"""The nftables backend: portals in, one ``nft -f -`` a synchronisation out.

It needs nft 1.0.1 and Linux 5.13.  Both families change in one transaction.  Where a front were planned
twice (the plan sees to it that none is) the transaction would fail, until one of the two goes.
"""

from collections.abc import Sequence

from skydns_py.portal.backend import Command
from skydns_py.portal.nftables import inventory
from skydns_py.portal.nftables.items import Items
from skydns_py.portal.nftables.layout import FAMILIES, TABLE
from skydns_py.portal.nftables.table import Table
from skydns_py.portal.plan.model import Host, Portal, ServiceKey


class NftablesBackend:
    """Prints the portals of ``host``; see ``skydns_py.portal.backend`` for the contract."""

    name = "nftables"

    def __init__(self, host: Host) -> None:
        self._items = {family: Items(host.of(family), family) for family in FAMILIES}
        self._tables = {
            family: Table(host.of(family), family, items.policies.rules)
            for family, items in self._items.items()
        }

    @property
    def untidy(self) -> bool:
        """Whether a chain or set waits to be deleted."""
        return any(table.untidy for table in self._tables.values())

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        """From now on these are the Service's portals."""
        for family, items in self._items.items():
            self._tables[family].want(service, items.of(portals) if portals else "")

    def inventory(self) -> tuple[Command, ...]:
        """The chains and sets of both families, without elements."""
        return inventory.COMMANDS

    def adopt(self, outputs: Sequence[str]) -> None:
        """What the commands of ``inventory`` printed."""
        found = inventory.read(outputs)
        for family, table in self._tables.items():
            table.adopt(found[FAMILIES[family]])

    def pending(self) -> tuple[Command, ...]:
        """One transaction for both families, or none."""
        text = "".join([f"{text}\n" for table in self._tables.values() if (text := table.next())])
        return (Command(("nft", "-f", "-"), text),) if text else ()

    def committed(self) -> None:
        """The last ``pending`` is in the kernel."""
        for table in self._tables.values():
            table.committed()

    def cleanup(self, outputs: Sequence[str]) -> tuple[Command, ...]:
        """Deletes those of our tables that ``inventory`` showed."""
        there = [family for family, found in inventory.read(outputs).items() if found.table]
        lines = (f"add table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in there)
        return (Command(("nft", "-f", "-"), "".join(lines)),) if there else ()
