"""The contract between what fills the table and what serves from it, whichever language that is in."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from skydns_py.answers.packed import Node
from skydns_py.answers.search import Network
from skydns_py.cluster.objects import Address
from skydns_py.zone.rrset import RRset


class Table(Protocol):
    """Packed answers by name. Names are lower-case wire names; calls come from one thread.

    ``wildcards`` says that questions with a label ``*`` or ``any`` may find something though not listed;
    ``ready`` that the table is complete, before which no question may be answered from it.
    """

    wildcards: bool
    ready: bool

    def replace(self, name: bytes, node: Node | None) -> None:
        """The name exists and owns ``node``; None: it exists, and its node is computed when asked for."""

    def defer(self, names: Iterable[bytes]) -> None:
        """These names exist, and their nodes are computed when asked for: as ``replace(name, None)``."""

    def remove(self, name: bytes) -> None:
        """The name does not exist any more."""

    def replace_zone(self, apex: bytes, soa: RRset) -> None:
        """Serve this zone, with this SOA in its negative answers."""

    def set_client(self, address: Address, namespace: str | None) -> None:
        """The client at ``address`` is in ``namespace``; None: nobody may tell, so it has none."""

    def remove_client(self, address: Address) -> None:
        """Nothing is known about ``address``: the networks decide."""

    def set_search_path(
        self,
        zone: bytes,
        networks: Mapping[Network, str],
        top_level: Collection[bytes],
        *,
        autopath: bool = True,
    ) -> None:
        """Answer short names, and go on with a client's search, as ``answers.search`` has them.

        A table may leave both to the slow path; but what that would find for any client, the table must
        not deny.
        """
