"""Many announcers on one clock, with Leases for a store: every node judges the sessions of all.

The ledgers, the store and the announcers are the real ones; the API server is ``tests.kube.store``, where a
request takes effect a while after it was sent.  Nothing in it ever ends a session.
"""

import random
from collections.abc import Callable
from typing import Any

from skydns_py.balancer.kubernetes_ledger import Ledger
from skydns_py.balancer.kubernetes_objects import session_name, version_at
from skydns_py.balancer.store import Held, News, Write
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.balancer_kubernetes_api import Api
from tests.balancer.kube import KEYS, Memory, changes, ledger, place, store
from tests.balancer.nodes import TTL, ModelNode, World
from tests.kube.store import Store


class ModelApi:
    """What all nodes share."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.objects = Store()

    def put(self, key: str, value: bytes) -> None:
        assert store(self.objects).write([Write(key, value)], {key: 0})

    def tick(self, now: float) -> None:
        """Nothing: no session ends by itself."""

    @property
    def keys(self) -> dict[str, Held]:
        """Those that count."""
        found = ledger(self.objects).whole().keys
        return {key: held for key, held in found.items() if held.value}


class _Calls:
    """A ``KubernetesStore``, with the names that ``ModelNode`` calls."""

    def __init__(self, real: KubernetesStore) -> None:
        self._real = real
        self.write = real.write

    def grant(self) -> int:
        return self._real.grant(int(TTL))[0]

    def renew(self, lease: int) -> bool:
        return bool(self._real.keep_alive(lease))


class ApiNode(ModelNode):
    """Sweeps, too. ``blind``: it deletes sessions whatever they have become since."""

    def __init__(self, name: str, api: ModelApi, chance: random.Random, blind: bool = False) -> None:
        super().__init__(name, api, chance)  # type: ignore[arg-type]  # what it asks of a store is below
        self._objects = api.objects
        self._place = place(api.objects, name)
        self._store: Any = _Calls(KubernetesStore(self._place, 1.0))
        self._api = Api(Memory(api.objects), self._place)
        self._blind = blind
        self._seen = 0
        self._tried: dict[int, float] = {}
        self._relists = True
        self.announcer.reopened = self._relist

    def _relist(self) -> None:
        self._relists = True

    def _watch(self) -> None:
        if not self._hears():
            return
        if self._relists:
            self._relists = False
            self._place.ledger = ledger(self._objects, self.now, TTL)
            self._seen = self._objects.revision
            first = not self.view.synced
            self._told(self._place.ledger.whole())
            if first:
                self.announcer.register()
        for item, exists in changes(self._objects, self._seen):
            self._seen = max(self._seen, item.version)
            self._told(News(self._place.ledger.take(item, exists, self.now)))
        self._sweep(self._place.ledger)

    def _hears(self) -> bool:
        if self.cut or self.now < self._deaf_until:
            return False
        if not self.calm and self._chance.random() < 0.02:
            self._deaf_until = self.now + self._chance.random() * 2.0
        return self.now >= self._deaf_until

    def _sweep(self, known: Ledger) -> None:
        for session in known.overdue(self.now):
            if self.now >= self._tried.get(session.lease, 0.0) + 0.1:
                self._tried[session.lease] = self.now
                version = 0 if self._blind else session.version
                self._send(self._ending(known, session, version), lambda: None)

    def _ending(self, known: Ledger, session: Any, version: int) -> Callable[[], None]:
        def end() -> None:
            if not self._api.delete(session.name, version, session.uid):
                self._answer(lambda: known.renewed(session, self.now))

        return end


def api_world(names: str, seats: list[str], seed: int, *, blind: bool = False) -> World:
    """A ``World`` whose store is the API."""
    return World(names, seats, seed, ModelApi, lambda *words: ApiNode(*words, blind=blind))


__all__ = ["KEYS", "ApiNode", "ModelApi", "api_world", "session_name", "version_at"]
