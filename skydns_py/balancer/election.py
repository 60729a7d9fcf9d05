"""Which seats this node has, may have and should try for: decisions alone, without clock, store or network.

A seat is what one node has at a time: an address to announce, or the controller's.

1. A seat is this node's where its owner key hangs on this node's present lease.  Nothing else makes it so.
2. It is *acted on* only while the lease is sure to last.  A renewal proves that the lease lasts ``seconds``
   from when it was sent; acting ends at two thirds of that, so that the last third is left for whatever is
   slow: this process, the kernel's timer, the network.
3. The kernel is told to forget an address by itself after ``validity`` (whole seconds, rounded down from two
   thirds).  That holds while this process is stopped or dead.  The kernel is up to 0.25 s late, so an
   address is prolonged only where ``validity`` and that much still fit into the lease.
4. A free seat goes to the first candidate in an order that a hash of seat and node gives: every seat has its
   own order, so seats spread.  The others try too, each ``STEP`` later than the one before, because the
   first may have reasons not to.  Whoever creates the owner key has it.
5. Nobody is moved off a seat for another's sake: moving costs connections.  A seat is given up where the
   node may not have it any more, and with the lease.
"""

import enum
from collections.abc import Collection
from hashlib import blake2b

from skydns_py.balancer.view import View

STEP = 0.15
KERNEL_LATE = 0.25
MARGIN = 0.1
"""Seconds; the first is how the kernel rounds its timer, the second what a machine under load adds."""


class Verdict(enum.Enum):
    """What to do about a seat."""

    HOLD = "it is ours: act on it"
    YIELD = "it is ours, and should not be: stop acting on it, then give it up"
    TRY = "it is free, and may be ours"
    NONE = "it is not ours"


class Election:
    """Times are seconds of one clock that the caller reads."""

    def __init__(self, node: str, view: View) -> None:
        self._node = node
        self._view = view
        self.lease = 0
        self._seconds = 0.0
        self._sent = 0.0

    @property
    def validity(self) -> int:
        """For how many seconds the kernel may keep an address that is not prolonged; 0 without a lease."""
        return int(self._seconds * 2 / 3)

    @property
    def deadline(self) -> float:
        """When to stop acting, if no renewal comes (rule 2)."""
        return self._sent + self._seconds * 2 / 3 if self.lease else 0.0

    def opened(self, lease: int, seconds: float, sent: float) -> None:
        """A new lease."""
        self.lease, self._seconds, self._sent = lease, seconds, sent

    def confirmed(self, lease: int, sent: float) -> None:
        """It was renewed."""
        if lease == self.lease:
            self._sent = max(self._sent, sent)

    def ended(self) -> None:
        """It is over."""
        self.lease = 0

    def sure(self, now: float) -> bool:
        """Whether seats may be acted on."""
        return bool(self.lease) and now < self.deadline

    def may_prolong(self, now: float) -> bool:
        """Whether the kernel may be given ``validity`` more seconds from now on (rule 3)."""
        latest = self._sent + self._seconds - self.validity - KERNEL_LATE - MARGIN
        return self.sure(now) and now <= latest

    def verdict(self, seat: str, eligible: Collection[str]) -> Verdict:
        """What to do about a seat that the nodes of ``eligible`` may have."""
        owner = self._view.owners.get(seat)
        may = self._node in eligible
        if owner is None:
            return Verdict.TRY if may and self.lease else Verdict.NONE
        if not self.lease or owner.lease != self.lease:
            return Verdict.NONE
        return Verdict.HOLD if may else Verdict.YIELD

    def delay(self, seat: str, eligible: Collection[str]) -> float:
        """How long to wait before trying for a free seat (rule 4)."""
        return STEP * order(seat, {*eligible, self._node}).index(self._node)


def order(seat: str, nodes: Collection[str]) -> list[str]:
    """The nodes, the one that should have the seat first; one that comes or goes moves no other two."""
    return sorted(nodes, key=lambda node: blake2b(f"{seat}\0{node}".encode(), digest_size=16).digest())
