"""Many announcers on one clock; store and kernels are models of what etcd and Linux promise, at worst.

The store ends a lease no earlier than its seconds after it *heard* of the last renewal, and up to 0.6 s
later.  A kernel takes an address off ``validity`` seconds after it was last told, and up to 0.25 s later.
Messages take time either way, watches lag, nodes are stopped and go on, or are cut off; the announcers are
the real ones.
"""

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.task import Clock

from skydns_py.balancer.announcer import Announcer
from skydns_py.balancer.store import CONTROLLER, Held, Keys, News, Write
from skydns_py.balancer.view import View
from skydns_py.cluster.objects import Address
from skydns_py.errors import StoreError

STEP = 0.02
KEYS = Keys("/lb")
TTL = 2.0


class ModelStore:
    """Keys, leases, and news for everybody, in the order things happened."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.now = 0.0
        self.revision = 1
        self.keys: dict[str, Held] = {}
        self.ends: dict[int, float] = {}
        self.log: list[News] = []
        self._leases = itertools.count(1)

    def put(self, key: str, value: bytes, lease: int = 0) -> int:
        self.revision += 1
        self.keys[key] = Held(value, self.revision, lease)
        self.log.append(News({key: self.keys[key]}))
        return self.revision

    def remove(self, *keys: str) -> int:
        self.revision += 1
        for key in keys:
            self.keys.pop(key, None)
        self.log.append(News({key: Held(b"", self.revision) for key in keys}))
        return self.revision

    def write(self, writes: list[Write], seen: Mapping[str, int]) -> dict[str, int]:
        if any(self.keys.get(key, Held()).revision != revision for key, revision in seen.items()):
            return {}
        for write in writes:
            if write.lease and write.lease not in self.ends:
                raise StoreError("requested lease not found")
            if write.value is None:
                self.remove(write.key)
            else:
                self.put(write.key, write.value, write.lease)
        return {write.key: self.revision for write in writes}

    def grant(self) -> int:
        lease = next(self._leases)
        self.ends[lease] = self.now + TTL
        return lease

    def renew(self, lease: int) -> bool:
        if lease in self.ends:
            self.ends[lease] = self.now + TTL
        return lease in self.ends

    def revoke(self, lease: int) -> None:
        if self.ends.pop(lease, None) is not None:
            gone = [key for key, held in self.keys.items() if held.lease == lease]
            if gone:
                self.remove(*gone)

    def tick(self, now: float) -> None:
        self.now = now
        for lease, end in tuple(self.ends.items()):
            if (now >= end and self._chance.random() < 0.1) or now >= end + 0.6:
                self.revoke(lease)


class ModelNode:
    """An announcer, its session and its kernel; the part of a ``layer2.Layer2`` too."""

    def __init__(self, name: str, store: ModelStore, chance: random.Random) -> None:
        self.name = name
        self._store = store
        self._chance = chance
        self._reactor = Clock()
        self._mail: list[tuple[float, Callable[[], None]]] = []
        self._inbox: list[Callable[[], None]] = []
        self._read = 0
        self._next_renewal = 0.0
        self._waits = False
        self._deaf_until = 0.0
        self.now = 0.0
        self.lease = 0
        self.stopped = False
        self.cut = False
        self.calm = False
        self.kernel: dict[Address, float] = {}
        self.leading = False
        view = View(KEYS)
        self.view = view
        self.announcer = Announcer(name, view, KEYS, self, self, lambda: self.now, self._reactor)  # type: ignore[arg-type]  # a worker is what has its ``run``
        self.announcer.eligible = lambda _: set(view.nodes)
        self.announcer.lead = self._lead

    def _lead(self, leads: bool) -> None:
        self.leading = leads

    # A network

    def hold(self, address: Address, validity: int) -> None:
        self.kernel[address] = self.now + validity + self._chance.random() * 0.25

    def prolong(self, addresses: list[Address], validity: int) -> list[Address]:
        for each in addresses:
            self.hold(each, validity)
        return []

    def drop(self, addresses: list[Address]) -> None:
        for each in addresses:
            self.kernel.pop(each, None)

    def announce(self, address: Address) -> None:
        assert address in self.kernel, "what is not there must not be announced"

    def overheard(self) -> set[Address]:
        return set()

    # A worker

    def run(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        self._send(lambda: self._do(work, done), lambda: done(StoreError("no answer")))

    def _do(self, work: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        result: Any
        try:
            result = work(self._store)
        except StoreError as error:
            result = error
        self._answer(lambda: done(result))

    # Messages: a call at the store in a while, its answer here in a while

    def _send(self, call: Callable[[], None], failed: Callable[[], None]) -> None:
        if self.cut:
            self._mail.append((self.now + 0.5, lambda: self._inbox.append(failed)))
        else:
            self._mail.append((self.now + self._delay(), call))

    def _answer(self, call: Callable[[], None]) -> None:
        self._mail.append((self.now + self._delay(), lambda: self._inbox.append(call)))

    def _delay(self) -> float:
        return self._chance.choice([0.0, 0.02] if self.calm else [0.0, 0.0, 0.02, 0.1, 0.4, 1.2])

    def _renew(self) -> None:
        sent = self.now
        self._waits = True
        if self.lease:
            lease = self.lease
            self._send(lambda: self._renewed(lease, sent, self._store.renew(lease)), self._failed)
        else:
            self._send(lambda: self._granted(self._store.grant(), sent), self._failed)

    def _renewed(self, lease: int, sent: float, good: bool) -> None:
        def told() -> None:
            self._waits = False
            if good:
                self.announcer.confirmed(lease, sent)
            else:
                self.lease = 0
                self.announcer.ended()

        self._answer(told)

    def _granted(self, lease: int, sent: float) -> None:
        def told() -> None:
            self._waits = False
            self.lease = lease
            self.announcer.opened(lease, TTL, sent)

        self._answer(told)

    def _failed(self) -> None:
        self._waits = False
        self.announcer.failing("no answer")

    def tick(self, now: float) -> None:
        """The kernel and the network go on; the process only if it is not stopped."""
        self.now = now
        self.kernel = {address: until for address, until in self.kernel.items() if now < until}
        due = [call for at, call in self._mail if at <= now]
        self._mail = [(at, call) for at, call in self._mail if at > now]
        for call in due:
            call()
        if not self.stopped:
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        steps: list[Callable[[], None]] = [*self._inbox, self._watch, self._time, self._lease]
        self._inbox = []
        self._chance.shuffle(steps)
        for step in steps:
            step()

    def _watch(self) -> None:
        if self.cut or self.now < self._deaf_until:
            return
        if not self.calm and self._chance.random() < 0.02:
            self._deaf_until = self.now + self._chance.random() * 2.0
            return
        if not self.view.synced:
            self._read = len(self._store.log)
            news = News(dict(self._store.keys), self._store.revision)
            self._told(news)
            self.announcer.register()
        while self._read < len(self._store.log):
            self._read += 1
            self._told(self._store.log[self._read - 1])

    def _told(self, news: News) -> None:
        for kind, name in self.view.take(news):
            self.announcer.changed(kind, name)

    def _time(self) -> None:
        self._reactor.advance(max(0.0, self.now - self._reactor.seconds()))

    def _lease(self) -> None:
        if self.now >= self._next_renewal and not self._waits:
            self._next_renewal = self.now + TTL / 6
            self._renew()


class World:
    """``names`` of nodes and ``seats``; ``run`` lets time pass and checks all the while.

    ``store`` and ``node`` make the models of another store.
    """

    def __init__(
        self,
        names: str,
        seats: list[str],
        seed: int,
        store: Callable[[random.Random], Any] = ModelStore,
        node: Callable[[str, Any, random.Random], ModelNode] = ModelNode,
    ) -> None:
        chance = random.Random(seed)
        self.store = store(chance)
        for seat in seats:
            self.store.put(KEYS.ip(seat), b'{"services": ["a/b"], "sharing": ""}')
        self.nodes = [node(name, self.store, chance) for name in names]
        self.now = 0.0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.store.tick(self.now)
            for node in self.nodes:
                node.tick(self.now)
            self.check()

    def calm(self) -> None:
        """From now on nothing fails and all messages are quick."""
        for node in self.nodes:
            node.stopped = node.cut = False
            node.calm = True

    def check(self) -> None:
        held = [address for node in self.nodes for address in node.kernel]
        assert len(held) == len(set(held)), f"two nodes have one address at {self.now:.2f} s"
        leading = [node.name for node in self.nodes if node.leading and not node.stopped]
        assert len(leading) <= 1, f"{leading} both give addresses at {self.now:.2f} s"

    def holders(self) -> dict[str, str]:
        """Each owner key's node."""
        return {
            KEYS.parse(key)[1]: held.value.decode()
            for key, held in self.store.keys.items()
            if KEYS.parse(key)[0] == "owner"
        }


__all__ = ["CONTROLLER", "KEYS", "ModelNode", "World"]
