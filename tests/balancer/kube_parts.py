"""The parts of a balancer that take seats, over HTTP to an API server; their network is a table."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet import reactor

from skydns_py.balancer.announcer import Announcer
from skydns_py.balancer.link import Worker
from skydns_py.balancer.session import Session, clock
from skydns_py.balancer.store import CONTROLLER, News
from skydns_py.balancer.view import View
from skydns_py.balancer.watcher import Watcher
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.balancer_kubernetes_api import Place
from skydns_py.cluster.objects import Address
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient
from tests.balancer.kube import KEYS, NAMESPACE
from tests.reactor import run_in_reactor

LEASE_SECONDS = 2
SECONDS = 20.0


@dataclass(frozen=True)
class Happened:
    """A node took a seat, or had it no longer, at ``when`` of the monotonic clock."""

    when: float
    node: str
    seat: str
    has: bool


class Scene:
    """What all nodes did, in order; addresses that went by themselves are entered when somebody looks."""

    def __init__(self) -> None:
        self.all: list[Happened] = []
        self._until: dict[tuple[str, str], float] = {}
        self._changed = threading.Condition()

    def has(self, node: str, seat: str, seconds: float = 1e9) -> None:
        with self._changed:
            self.expire()
            fresh = (node, seat) not in self._until
            self._until[node, seat] = time.monotonic() + seconds
            others = [other for other, each in self._until if each == seat and other != node]
            self._note(Happened(time.monotonic(), node, seat, True) if fresh else None)
            assert not others, f"{others} and {node} have {seat}"

    def no_more(self, node: str, seat: str) -> None:
        with self._changed:
            self.expire()
            if self._until.pop((node, seat), None) is not None:
                self._note(Happened(time.monotonic(), node, seat, False))

    def expire(self) -> None:
        """As the kernel does."""
        for (node, seat), until in list(self._until.items()):
            if until <= time.monotonic():
                del self._until[node, seat]
                self._note(Happened(until, node, seat, False))

    def wait(self, what: str, probe: Callable[[Happened], bool], after: int = 0) -> Happened:
        """The first that fits, of those from number ``after`` on."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(probe, self.all[after:])), SECONDS)
            found = next(filter(probe, self.all[after:]), None)
        assert found is not None, f"{what} does not happen; what did: {self.all[after:]}"
        return found

    def never_twice(self) -> None:
        """AssertionError where a seat was taken before another node had left it."""
        holder: dict[str, str] = {}
        for each in sorted(self.all, key=lambda each: each.when):
            if each.has:
                assert holder.get(each.seat, each.node) == each.node, f"two have {each.seat}: {self.all}"
                holder[each.seat] = each.node
            elif holder.get(each.seat) == each.node:
                del holder[each.seat]

    def _note(self, happened: Happened | None) -> None:
        if happened is not None:
            self.all.append(happened)
        self._changed.notify_all()


class Part:
    """A node ``name``; the part of a ``layer2.Layer2`` too."""

    def __init__(self, name: str, access: Access, scene: Scene) -> None:
        self.name = name
        self._scene = scene
        self.place = Place(lambda seconds: ApiClient(access, seconds), KEYS, NAMESPACE, name, LEASE_SECONDS)
        quick, patient = self._connect(LEASE_SECONDS / 4), self._connect(5.0)
        self.view = View(KEYS)
        self._worker = Worker(quick, reactor, "test-seats")
        self._watcher = Watcher(patient, KEYS.root, self._take, lambda _: None, reactor)
        self.announcer = Announcer(name, self.view, KEYS, self, self._worker, clock, reactor)
        self.announcer.eligible = self._eligible
        self.announcer.lead = self._lead
        self.announcer.reopened = self._watcher.restart
        self._session = Session(quick, LEASE_SECONDS, self.announcer, reactor)
        for each in (self._worker, self._watcher, self._session):
            run_in_reactor(each.start)

    def stop(self) -> None:
        """As on SIGTERM."""
        run_in_reactor(self.announcer.stop)
        self._session.stop()
        self._watcher.stop()
        self._worker.stop()
        self._session.join(2.0)

    def hold(self, address: Address, validity: int) -> None:
        self._scene.has(self.name, str(ip_address(address)), validity)

    def prolong(self, addresses: list[Address], validity: int) -> list[Address]:
        for each in addresses:
            self.hold(each, validity)
        return []

    def drop(self, addresses: list[Address]) -> None:
        for each in addresses:
            self._scene.no_more(self.name, str(ip_address(each)))

    def announce(self, address: Address) -> None:
        """Nothing."""

    def overheard(self) -> set[Address]:
        return set()

    def _connect(self, seconds: float) -> Callable[[int], Any]:
        return lambda _: KubernetesStore(self.place, seconds)

    def _eligible(self, seat: str) -> set[str]:
        return set(self.view.nodes) if seat == CONTROLLER or seat in self.view.reservations else set()

    def _lead(self, leads: bool) -> None:
        if leads:
            self._scene.has(self.name, CONTROLLER)
        else:
            self._scene.no_more(self.name, CONTROLLER)

    def _take(self, news: News) -> None:
        first = not self.view.synced
        for kind, name in self.view.take(news):
            self.announcer.changed(kind, name)
        if first:
            self.announcer.register()
            self.announcer.review_all()
