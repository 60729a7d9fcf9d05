"""What the balancer needs of a store, etcd or the Kubernetes API, and the keys it keeps there.

Below its prefix: ``ip/192.0.2.10`` is whose an address is (``Reservation``), ``owner/192.0.2.10`` the node
that announces it, ``owner/controller`` the node that allocates, ``node/NAME`` says that a node's balancer is
alive, ``service/NS/NAME`` what a webhook gave.  ``owner`` and ``node`` keys hang on their node's lease.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CONTROLLER = "controller"
"""The seat of the node that allocates; every other seat is an address, as text."""


@dataclass(frozen=True, slots=True)
class Held:
    """A key's value, the revision of its last change (0: is not there) and its lease (0: none)."""

    value: bytes = b""
    revision: int = 0
    lease: int = 0


NOTHING = Held()


@dataclass(frozen=True, slots=True)
class Write:
    """A key to write, or to remove where ``value`` is None."""

    key: str
    value: bytes | None = None
    lease: int = 0


class News(NamedTuple):
    """What keys hold now; without value and lease they are gone, as of the revision given.

    ``whole`` is the revision of a listing, beyond whose keys there are none below the prefix; 0 for a change.
    """

    keys: Mapping[str, Held]
    whole: int = 0


class Store(Protocol):
    """One endpoint. Every call blocks for a bounded time and raises StoreError, one line, where it fails."""

    transactions: bool
    """Whether ``write`` makes all writes or none, and compares every key at the moment it does."""

    def read(self, keys: Sequence[str]) -> dict[str, Held]:
        """What each key holds; without transactions they are read one after the other, in this order."""

    def write(self, writes: Sequence[Write], seen: Mapping[str, int]) -> dict[str, int]:
        """All writes, if each key of ``seen``, theirs among them, is at that revision: the new ones, else {}.

        Without transactions they are made in this order, each under the condition of its own key, until one
        fails: then the ones before it stay.  A key that is written is at a new revision then, even where it
        holds what it held.
        """

    def grant(self, seconds: int) -> tuple[int, int]:
        """A new lease and the seconds it was granted for, which may be more than asked for."""

    def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds it lasts from when the store heard of it, 0 where it has ended."""

    def revoke(self, lease: int) -> None:
        """End a lease, and with it its keys."""

    def follow(self, prefix: str) -> Iterator[News]:
        """Everything below ``prefix``, then every change; blocks between them for as long as it takes."""

    def close(self) -> None:
        """Break off whatever is under way; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The Services, as ``my-ns/web``, that have an address, and the key under which they share it."""

    services: tuple[str, ...]
    sharing: str = ""

    def encode(self) -> bytes:
        """The value of the key."""
        return json.dumps({"services": list(self.services), "sharing": self.sharing}).encode()


def parse_reservation(value: bytes) -> Reservation:
    """The other way round; without Services where the value is not one of ours."""
    with suppress(ValueError, TypeError, AttributeError, KeyError):
        found = json.loads(value)
        return Reservation(tuple(map(str, found["services"])), str(found["sharing"]))
    return Reservation(())


class Keys:
    """Where things are below ``prefix``, which does not end in a slash."""

    def __init__(self, prefix: str) -> None:
        self.root = f"{prefix}/"

    def ip(self, address: str) -> str:
        """Whose an address is."""
        return f"{self.root}ip/{address}"

    def owner(self, seat: str) -> str:
        """Who has a seat."""
        return f"{self.root}owner/{seat}"

    def node(self, name: str) -> str:
        """That a node's balancer is alive."""
        return f"{self.root}node/{name}"

    def service(self, owner: str) -> str:
        """What a webhook gave ``my-ns/web``."""
        return f"{self.root}service/{owner}"

    def parse(self, key: str) -> tuple[str, str]:
        """The kind of a key below the prefix, and the rest."""
        kind, _, rest = key.removeprefix(self.root).partition("/")
        return kind, rest
