"""A mapping by (namespace, name) that keeps no pair of its own for each thing: a dict of dicts.

A pair and its place took 64 octets a key more than a name that the object holds anyway.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")

Key = tuple[str, str]
"""(namespace, name)."""


class Shelf(MutableMapping[Key, T]):
    """As a dict is, but ordered by namespace first: as they came, and within each as its names came."""

    __slots__ = ("_spaces",)

    def __init__(self) -> None:
        self._spaces: dict[str, dict[str, T]] = {}

    def get(self, key: Key, default: Any = None) -> Any:
        """As of a dict; the mixin's raises and catches for each key that is not there."""
        space = self._spaces.get(key[0])
        return default if space is None else space.get(key[1], default)

    def __getitem__(self, key: Key) -> T:
        return self._spaces[key[0]][key[1]]

    def __setitem__(self, key: Key, value: T) -> None:
        space = self._spaces.get(key[0])
        if space is None:
            space = self._spaces[key[0]] = {}
        space[key[1]] = value

    def __delitem__(self, key: Key) -> None:
        space = self._spaces[key[0]]
        del space[key[1]]
        if not space:
            del self._spaces[key[0]]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and key[1] in self._spaces.get(key[0], ())

    def __iter__(self) -> Iterator[Key]:
        return ((space, name) for space, names in self._spaces.items() for name in names)

    def __len__(self) -> int:
        return sum(map(len, self._spaces.values()))

    def __bool__(self) -> bool:
        return bool(self._spaces)
