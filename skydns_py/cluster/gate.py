"""Holds a Service's name back until its portal is in the kernel, so that no client connects to nothing.

1. A Service that is new, or has new portal IPs, waits until all of them are programmed on this node.
   Whatever else changes passes: a Service that has its portal loses nothing by another set of endpoints.
2. What waits becomes known later as one change, from what was last let through to what is then there.
3. Nothing waits longer than so many seconds: a name that leads nowhere for a moment is better than none,
   should whoever programs the portals be gone.
"""

from collections.abc import Callable, Iterable

from skydns_py.cluster.objects import Address, Ref
from skydns_py.cluster.state import Change, Key, ServiceView, Thing


class Gate:
    """What waits, and what is programmed; ``seconds`` is the longest wait. ``now`` is any growing clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._programmed: dict[Key, frozenset[Address]] = {}
        self._held: dict[Ref, tuple[Thing | None, float]] = {}

    @property
    def next_deadline(self) -> float | None:
        """When the first of those that wait may go whatever happens; None where none waits."""
        return min((deadline for _, deadline in self._held.values()), default=None)

    def programmed(self, service: Key, addresses: frozenset[Address]) -> None:
        """These are the Service's portal IPs that lead to it; none where it has no portal any more."""
        if addresses:
            self._programmed[service] = addresses
        else:
            self._programmed.pop(service, None)

    def admit(self, changes: Iterable[Change], now: float) -> list[Change]:
        """Those of the changes that may be known; the others wait."""
        passed = []
        for change in changes:
            before, deadline = self._held.pop(change.ref, (change.before, now + self._seconds))
            if before == change.after:
                continue
            if now < deadline and self._must_wait(before, change.after):
                self._held[change.ref] = before, deadline
            else:
                passed.append(Change(change.ref, before, change.after))
        return passed

    def release(self, thing: Callable[[Ref], Thing | None], now: float) -> list[Change]:
        """Those that need not wait any longer; ``thing`` tells what each is now."""
        waiting = [(ref, before, thing(ref), deadline) for ref, (before, deadline) in self._held.items()]
        free = [
            Change(ref, before, after)
            for ref, before, after, deadline in waiting
            if now >= deadline or not self._must_wait(before, after)
        ]
        for change in free:
            del self._held[change.ref]
        return [change for change in free if change.before != change.after]

    def _must_wait(self, before: Thing | None, after: Thing | None) -> bool:
        if not isinstance(after, ServiceView) or not after.service.ports:
            return False
        old = before.service.addresses if isinstance(before, ServiceView) else ()
        key = (after.service.namespace, after.service.name)
        fresh = set(after.service.addresses) - set(old)
        return bool(fresh - self._programmed.get(key, frozenset()))
