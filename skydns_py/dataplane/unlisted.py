"""Names that no table lists: those that a wildcard or an open subtree may answer, computed when asked for."""

from collections.abc import Callable

from skydns_py.answers.packed import Node
from skydns_py.zone.names import is_within

MAX_KEPT = 1024
"""Nodes kept of such names, at most a few hundred octets each as a rule."""


def is_wild(name: bytes) -> bool:
    """Whether a label of ``name`` may be ``*`` or ``any``; it may say yes to more, at a wire name's speed."""
    return b"\1*" in name or b"\3any" in name


class Unlisted:
    """The nodes of unlisted names, each kept until ``clear``: a wildcard may be dear to compute."""

    def __init__(self, compute: Callable[[bytes], Node | None], open_subtrees: tuple[bytes, ...]) -> None:
        self._compute = compute
        self._open = open_subtrees
        self._kept: dict[bytes, Node | None] = {}

    def clear(self) -> None:
        """The table has changed."""
        self._kept.clear()

    def node(self, name: bytes, *, wildcards: bool) -> Node | None:
        """The node of a name that the table does not list, or None where it does not exist."""
        if not (wildcards and is_wild(name)) and not any(is_within(name, subtree) for subtree in self._open):
            return None
        if name not in self._kept:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[name] = self._compute(name)
        return self._kept[name]
