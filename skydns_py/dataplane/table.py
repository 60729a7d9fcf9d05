"""The contract between what fills the table and what serves from it, whichever language that is in."""

from typing import Protocol

from skydns_py.answers.packed import Node
from skydns_py.zone.rrset import RRset


class Table(Protocol):
    """Packed answers by name. Names are lower-case wire names; calls come from one thread.

    ``wildcards`` says that questions with a label ``*`` or ``any`` may find something though not listed.
    """

    wildcards: bool

    def replace(self, name: bytes, node: Node | None) -> None:
        """The name exists and owns ``node``; None: it exists, and its node is computed when asked for."""

    def remove(self, name: bytes) -> None:
        """The name does not exist any more."""

    def replace_zone(self, apex: bytes, soa: RRset) -> None:
        """Serve this zone, with this SOA in its negative answers."""
