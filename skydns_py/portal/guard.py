"""Notices that somebody else changed or removed what is ours, at the cost of their change, not of our size.

For nftables, and for the iptables that stands on it (``NfTablesGuard``):

1. The kernel tells every committed change to those who listen: each table, chain, rule, set and element that
   came or went, and at the end of each transaction its number and the process that made it.  So nothing is
   ever listed, by us or for us: a poll reads what was said since the last one, nothing most of the time.
2. What the packets themselves change is not said: counters, and the elements of sets that rules fill or
   that expire.  So whatever is said of ours was done by somebody, on purpose.
3. A transaction that touched ours is our own if it ended before ``remember`` and there were no more
   processes that made such ones than we say we ran.  Processes are told apart by their number only, which
   may come from another pid namespace than ours.
4. Evidence against ours stays until ``disturbed`` has told it, and ends with the ``remember`` after that.
5. The kernel keeps 64 MiB of events (400 000 elements) for a reader that is late, and says so when it had to
   drop some.  Then ours may have been among them, and they count as disturbed; but not where it happens
   while we write ourselves, for it would happen at every repair again.
6. In a table that is shared, ours are the chains that ``mine`` knows by name, their rules, rules of other
   chains that jump to them, and the table itself when it goes.  A table is all ours if ``mine("")``.

For legacy iptables (``LegacyGuard``), where the kernel tells nothing and numbers nothing:

7. The numbers of a table (entries, size, places of the built-in chains) cost one system call.  While they are
   what they were, all is taken to be well: a change that leaves all of them equal goes unnoticed until one
   that does not.  When they moved, what is ours is compared by its digest, whose cost is the table's size.
8. The digest to compare with is taken by ``remember``, from what is there then.  The jumps into our chains
   change only when we write everything anew; where they changed otherwise, somebody else did it.

For both: ask ``disturbed`` every two seconds, and once more right before each own transaction, so that what
was done before it is not taken for ours.  Never ask while one runs.

Formats: linux/netfilter/nf_tables.h.
"""

import errno
from collections.abc import Callable, Sequence
from typing import Protocol

from skydns_py.errors import SkydnsError
from skydns_py.portal.netlink import NETFILTER, Message, Netlink, attributes, messages, nested
from skydns_py.portal.xtables import Table

_GROUP = 7
_SUBSYSTEM, _DELETE_TABLE, _NEW_GENERATION = 0xA, 0xA02, 0xA0F
_CHAINS, _RULES = (0xA03, 0xA05), (0xA06, 0xA08)
"""Types of the events of new ones and deleted ones."""
_FAMILIES = {"inet": 1, "ip": 2, "ip6": 10}
_KEPT = 1 << 26
"""Octets of events that may wait; kernel memory, used only while they do."""

Mine = Callable[[str], bool]


class Guard(Protocol):
    """Notices that what is ours was changed by somebody else; see the module's rules."""

    def remember(self, commands: int = 0) -> None:
        """Our transaction has just ended, and what is there now is right.

        ``commands`` is how many processes of ours changed something since the last call of anything here; 0
        says that whatever was changed was ours.
        """

    def disturbed(self) -> bool:
        """Whether somebody else changed ours; the caller then writes everything anew and remembers it."""


class Unguarded:
    """Notices nothing: for a rehearsal, which changes nothing either and may lack the permission to look."""

    def remember(self, commands: int = 0) -> None:
        """See ``Guard``."""

    def disturbed(self) -> bool:
        """See ``Guard``."""
        return False


class NfTablesGuard:
    """Listens for events of (family, table) pairs, families as nft calls them, from its construction on.

    Raises SkydnsError where permission is missing.
    """

    def __init__(self, tables: Sequence[tuple[str, str]], mine: Mine) -> None:
        self._tables = {(_FAMILIES[family], name.encode()) for family, name in tables}
        self._mine = mine
        self._whole = mine("")
        self._touched = False
        self._found = False
        self._told = True
        self._kernel = Netlink(NETFILTER, "nftables")
        try:
            self._kernel.listen(_GROUP, _KEPT)
        except BaseException:
            self._kernel.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        self._kernel.close()

    def remember(self, commands: int = 0) -> None:
        """See ``Guard``."""
        processes, _ = self._read()
        if self._told:
            self._found = self._told = False
        if commands and len(processes) > commands:
            self._found = True

    def disturbed(self) -> bool:
        """See ``Guard``."""
        processes, lost = self._read()
        self._found = self._found or bool(processes) or lost
        self._told = self._told or self._found
        return self._found

    def _read(self) -> tuple[set[bytes], bool]:
        """The processes that touched ours since the last time, and whether events were lost."""
        processes: set[bytes] = set()
        lost = False
        while True:
            try:
                for datagram in self._kernel.events():
                    self._scan(datagram, processes)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise SkydnsError(f"nftables: cannot read events: {error.strerror}") from error
                lost, self._touched = True, False
                continue
            return processes, lost

    def _scan(self, datagram: bytes, processes: set[bytes]) -> None:
        for message in messages(datagram):
            if message.kind == _NEW_GENERATION:
                if self._touched:
                    place = nested(datagram, message.start + 4, message.end, 2)
                    processes.add(datagram[slice(*place)] if place else b"")
                self._touched = False
            elif not self._touched:
                self._touched = self._ours(datagram, message)

    def _ours(self, datagram: bytes, message: Message) -> bool:
        start, end = message.start + 4, message.end
        table = datagram[message.start], _text(datagram, start, end, 1)
        if message.kind >> 8 != _SUBSYSTEM or table not in self._tables:
            return False
        if self._whole or message.kind == _DELETE_TABLE:
            return True
        if message.kind in _CHAINS:
            return self._mine(_text(datagram, start, end, 3).decode())
        if message.kind in _RULES:
            chains = [_text(datagram, start, end, 2).decode(), *_jumps(datagram, start, end)]
            return any(map(self._mine, chains))
        return False


def _text(data: bytes, start: int, end: int, *path: int) -> bytes:
    """A name at ``path``, without the NUL that ends it; b"" where there is none."""
    place = nested(data, start, end, *path)
    return data[slice(*place)].rstrip(b"\0") if place else b""


def _jumps(data: bytes, start: int, end: int) -> list[str]:
    """The chains that a rule jumps to."""
    expressions = nested(data, start, end, 4)
    found = []
    for _, inner, until in attributes(data, *expressions) if expressions else ():
        if _text(data, inner, until, 1) == b"immediate":
            found.append(_text(data, inner, until, 2, 2, 2, 2).decode())
    return [chain for chain in found if chain]


class LegacyGuard:
    """Compares (family, table) pairs of legacy iptables, families ``ip`` and ``ip6``.

    Raises SkydnsError where the kernel has no such table or permission is missing.
    """

    def __init__(self, tables: Sequence[tuple[str, str]], mine: Mine) -> None:
        self._tables = [Table(family, name) for family, name in tables]
        self._mine = mine
        self._infos: list[bytes] = []
        self._digests: list[tuple[bytes, bytes]] = []
        self._found = False
        self._told = True

    def remember(self, commands: int = 0) -> None:  # noqa: ARG002  # the contract's; nothing tells processes
        """See ``Guard``; takes 3 µs for each entry of the tables, foreign ones too."""
        infos = [table.info() for table in self._tables]
        digests = [table.digests(self._mine) for table in self._tables]
        if self._told:
            self._found = self._told = False
        elif [jumps for jumps, _ in digests] != [jumps for jumps, _ in self._digests]:
            self._found = True
        self._infos, self._digests = infos, digests

    def disturbed(self) -> bool:
        """See ``Guard``."""
        infos = [table.info() for table in self._tables]
        if self._infos and infos != self._infos and not self._found:
            self._found = [table.digests(self._mine) for table in self._tables] != self._digests
            self._infos = infos
        self._told = self._told or self._found
        return self._found
