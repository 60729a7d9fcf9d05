"""What etcd holds below the balancer's prefix, as far as this node knows; fed by a watch and by own writes.

1. An own write is entered as soon as etcd has confirmed it.  The watch, or a list that was under way, may
   bring older news of that key afterwards; what is not newer than what is known is dropped.
2. So the revision at which a key was removed is kept as well: without it, late news of an own seat that was
   given up since would bring it back.
"""

from typing import Any, NamedTuple

from skydns_py.balancer.store import Held, Keys, News, Reservation, parse_reservation


class Owner(NamedTuple):
    """Who has a seat, by which lease, and the revision at which it was taken."""

    node: str
    lease: int
    revision: int


class View:
    """``reservations`` by address, ``owners`` by seat, ``nodes`` that are alive, ``given`` by a webhook."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, Held] = {}
        self.synced = False
        self.reservations: dict[str, Reservation] = {}
        self.owners: dict[str, Owner] = {}
        self.nodes: dict[str, int] = {}
        self.given: dict[str, bytes] = {}

    def revision(self, key: str) -> int:
        """Of the key's last change; 0 where it is not there."""
        held = self._known.get(key, Held())
        return held.revision if _is_there(held) else 0

    def take(self, news: News) -> set[tuple[str, str]]:
        """(kind, name) of everything that is different now."""
        found = dict(news.keys)
        if news.whole:
            self.synced = True
            missing = self._known.keys() - found.keys()
            found.update(dict.fromkeys(missing, Held(b"", news.whole)))
        return {self._note(key, held) for key, held in found.items() if self._is_news(key, held)}

    def _is_news(self, key: str, held: Held) -> bool:
        return held.revision > self._known.get(key, Held()).revision

    def _note(self, key: str, held: Held) -> tuple[str, str]:
        kind, name = self._keys.parse(key)
        self._known[key] = held
        if not _is_there(held):
            self._forget(kind, name)
        elif kind == "ip":
            self.reservations[name] = parse_reservation(held.value)
        elif kind == "owner":
            self.owners[name] = Owner(held.value.decode(errors="replace"), held.lease, held.revision)
        elif kind == "node":
            self.nodes[name] = held.lease
        elif kind == "service":
            self.given[name] = held.value
        return kind, name

    def _forget(self, kind: str, name: str) -> None:
        tables: dict[str, dict[str, Any]] = {
            "ip": self.reservations,
            "owner": self.owners,
            "node": self.nodes,
            "service": self.given,
        }
        tables.get(kind, {}).pop(name, None)


def _is_there(held: Held) -> bool:
    return bool(held.value or held.lease)
