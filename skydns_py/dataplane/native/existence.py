"""``NativeExistence``: ``zone.existence.Existence`` by fingerprints in C, for large clusters (existence.h).

At 100 000 Services the sets and names of the Python one take some 125 MB, this one 34.
"""

from collections.abc import Sequence

from skydns_py.dataplane.native._plane import (  # type: ignore[import-not-found]  # made by build.py
    ffi,
    lib,
)
from skydns_py.zone.names import ancestors, parent

_MAX_LABELS = 128
_AT_ONCE = 32
"""Names handed to C in one call: more than most Services have."""


class NativeExistence:
    """The existing names of some zones, as ``Existence``; MemoryError where memory is short."""

    def __init__(self, apexes: tuple[bytes, ...]) -> None:
        made = lib.existence_new()
        if made == ffi.NULL:
            raise MemoryError("no room for the names that exist")
        self._names = ffi.gc(made, lib.existence_free)
        self._moved = ffi.new("uint8_t[]", _MAX_LABELS)
        self._all_moved = ffi.new("uint32_t[]", 2 * _MAX_LABELS * _AT_ONCE)
        for apex in apexes:
            _checked(lib.existence_put(self._names, apex, len(apex)), apex)
        inner = (apex for apex in apexes if not set(apexes).isdisjoint(ancestors(parent(apex))))
        self.between = [name for apex in inner for name in self._above(apex, lib.existence_begin)]

    def __contains__(self, name: bytes) -> bool:
        return bool(lib.existence_state(self._names, name, len(name)))

    def own(self, name: bytes) -> list[bytes]:
        """See ``Existence.own``."""
        return self._above(name, lib.existence_own)

    def own_all(self, names: Sequence[bytes]) -> list[bytes]:
        """See ``Existence.own_all``."""
        parts = (b"".join(names[at : at + _AT_ONCE]) for at in range(0, len(names), _AT_ONCE))
        return [name for part in parts for name in self._owned_above(part)]

    def _owned_above(self, joined: bytes) -> list[bytes]:
        made = lib.existence_own_all(self._names, joined, len(joined), self._all_moved)
        moved = iter(ffi.unpack(self._all_moved, 2 * _checked(made, joined[:255])))
        return [joined[start:end] for start, end in zip(moved, moved, strict=True)]

    def disown(self, name: bytes) -> list[bytes]:
        """See ``Existence.disown``."""
        return self._above(name, lib.existence_disown)

    def is_owned(self, name: bytes) -> bool:
        """See ``Existence.is_owned``."""
        return bool(lib.existence_state(self._names, name, len(name)) & 2)

    def _above(self, name: bytes, function: object) -> list[bytes]:
        """Let C do it; the names above that began or ceased to exist."""
        assert callable(function)
        count = _checked(function(self._names, name, len(name), self._moved), name)
        return [name[at:] for at in self._moved[0:count]] if count else []


def _checked(result: int, name: bytes) -> int:
    if result < 0:
        raise ValueError(f"{name!r} is no wire name, or memory is short")
    return result
