"""Which names exist: those that something owns, and those above them (RFC 8020).

NXDOMAIN for a name says that nothing exists below it either, so every parent of an owned name exists.

``children`` counts, for each name, the existing names one label below it.  A name that begins or ceases to
exist tells its parent, and so on upward until a name that exists anyway: a handful of steps.
"""

from collections.abc import Sequence

from skydns_py.zone.names import ancestors, parent


class Existence:
    """The existing names of some zones. An apex is owned from the start and never disowned.

    ``between`` are the names between a zone and another that it lies in.
    """

    def __init__(self, apexes: tuple[bytes, ...]) -> None:
        self._owned: set[bytes] = set(apexes)
        self._children: dict[bytes, int] = {}
        inner = (apex for apex in apexes if not self._owned.isdisjoint(ancestors(parent(apex))))
        self.between = [name for apex in inner for name in self._begin(apex)]

    def __contains__(self, name: bytes) -> bool:
        return name in self._owned or name in self._children

    def own(self, name: bytes) -> list[bytes]:
        """Something owns the name now; returns the names above that begin to exist with it."""
        existed = name in self._owned or name in self._children
        self._owned.add(name)
        return [] if existed else self._begin(name)

    def own_all(self, names: Sequence[bytes]) -> list[bytes]:
        """``own`` for each of them, in their order."""
        return [name for owned in names for name in self.own(owned)]

    def is_owned(self, name: bytes) -> bool:
        """Whether something owns the name, rather than a name below it."""
        return name in self._owned

    def _begin(self, name: bytes) -> list[bytes]:
        """Tell the names above that ``name`` exists now; returns those that begin to exist with it."""
        began: list[bytes] = []
        existed = False
        while not existed:
            name = parent(name)
            children = self._children.get(name, 0)
            self._children[name] = children + 1
            existed = children > 0 or name in self._owned
            if not existed:
                began.append(name)
        return began

    def disown(self, name: bytes) -> list[bytes]:
        """Nothing owns the name any more; returns the names above that cease to exist with it."""
        exists = name not in self._owned or name in self._children
        self._owned.discard(name)
        ceased: list[bytes] = []
        while not exists:
            name = parent(name)
            self._children[name] -= 1
            if not self._children[name]:
                del self._children[name]
            exists = name in self
            if not exists:
                ceased.append(name)
        return ceased
