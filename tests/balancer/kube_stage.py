"""Controllers on one API server, each in a thread that goes on by one request at a time, as it is told.

So they can be stopped between any two requests and go on whenever, as deposed ones may; requests may fail,
and answers may be lost.  Providers and stores are the real ones.  Nothing here keeps two controllers from
giving at once: the seat is not there, so comparing it never helps.
"""

import json
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from skydns_py.balancer.book import Book, Task
from skydns_py.balancer.choose import NoAddress, NotOurs, Pools
from skydns_py.balancer.provider import PoolProvider
from skydns_py.balancer.store import News, Reservation, parse_reservation
from skydns_py.balancer.view import View
from skydns_py.balancer_kubernetes import REGISTRY, KubernetesStore
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.errors import SkydnsError, StoreError
from skydns_py.settings import PoolSettings
from tests.balancer.kube import KEYS, SERVICES, Memory, items, ledger, place
from tests.kube.resources import BY_PATH
from tests.kube.store import Store

SECONDS = 20.0
NAMESPACE = "my-ns"


class _Leave(BaseException):
    """The thread is to end."""


class Controller:
    """One; ``step`` lets it make its next request, or begin its next look at all Services."""

    def __init__(self, objects: Store, addresses: str) -> None:
        self._objects = objects
        self._client = Memory(objects)
        self._client.before, self._client.after = self._before, self._after
        self._store = KubernetesStore(place(objects, "n", self._client), 1.0)
        self._view = View(KEYS)
        self._services: dict[str, Service] = {}
        self._pools = Pools([PoolSettings("p", (addresses,))], self._services.get)
        self._provider = PoolProvider(self._pools, Book(KEYS, REGISTRY, self._view), self._view)
        self._go, self._came = threading.Semaphore(0), threading.Semaphore(0)
        self._leaves = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()
        self.fault = ""
        self.lags = False
        self.idle = False
        self.refused: set[str] = set()

    def step(self) -> None:
        self._go.release()
        self._wait()

    def close(self) -> None:
        self._leaves = True
        self._go.release()
        self._thread.join(SECONDS)

    def _wait(self) -> None:
        assert self._came.acquire(timeout=SECONDS), "a controller does not come to its next request"

    def _gate(self) -> None:
        self._came.release()
        self._go.acquire()
        if self._leaves:
            raise _Leave

    def _before(self, *unused: str) -> None:
        self._gate()
        self._fail("before")

    def _after(self, *unused: str) -> None:
        self._fail("after")

    def _fail(self, when: str) -> None:
        if self.fault == when:
            self.fault = ""
            raise StoreError("no answer")

    def _run(self) -> None:
        try:
            while True:
                self._gate()
                self._look()
        except _Leave:
            self._came.release()

    def _look(self) -> None:
        if not self.lags:
            self._sync()
        self.lags, idle = False, True
        self.refused.clear()
        for owner in sorted({*self._services, *self._pools.owners()}):
            if (task := self._task(owner)) is not None:
                idle = False
                self._do(task)
        self.idle = idle

    def _task(self, owner: str) -> Task | None:
        service = self._services.get(owner)
        try:
            if service is not None and service.exposure.wants_balancer:
                return self._provider.ensure(service)
            return self._provider.release(owner)
        except (NoAddress, NotOurs):
            self.refused.add(owner)
            return None

    def _do(self, task: Task) -> None:
        try:
            self._take(task(self._store).news)
        except SkydnsError:
            self.idle = False  # it will be tried again

    def _sync(self) -> None:
        self._services.clear()
        self._services.update(services(self._objects))
        self._take(ledger(self._objects).whole())

    def _take(self, news: News) -> None:
        for kind, name in self._view.take(news):
            if kind == "ip":
                self._pools.note(ip_address(name).packed, self._view.reservations.get(name))


def services(objects: Store) -> dict[str, Service]:
    """All Services, as ``my-ns/web``."""
    found: dict[str, Service] = {}
    for each in objects.find(SERVICES, NAMESPACE):
        ref = Ref(Kind.SERVICE, NAMESPACE, each["metadata"]["name"])
        decoded = registry.decode(ref, json.dumps(SERVICES.whole(each)).encode())
        assert isinstance(decoded, Service)
        found[f"{NAMESPACE}/{ref.name}"] = decoded
    return found


def reserved(objects: Store) -> dict[str, Reservation]:
    """By address."""
    found = {KEYS.parse(item.key): item for item in items(objects) if item.key}
    return {name: parse_reservation(item.value) for (kind, name), item in found.items() if kind == "ip"}


def shown(objects: Store) -> Iterator[tuple[str, str]]:
    """Each Service with each address in its status."""
    for owner, service in services(objects).items():
        for address in service.exposure.balancer_addresses:
            yield owner, str(ip_address(address))


class User:
    """Writes Services."""

    def __init__(self, objects: Store) -> None:
        self._client = Memory(objects)
        self._client.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self._objects = objects

    def wants(self, name: str, spec: dict[str, Any] | None, key: str = "") -> None:
        """Create it, change it, or remove it."""
        there = {
            each["metadata"]["name"] for each in self._objects.find(BY_PATH["", "v1", "services"], NAMESPACE)
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/services"
        annotations = {"skydns/allow-shared-address": key} if key else {}
        document = {"metadata": {"name": name, "annotations": annotations}, "spec": spec}
        if spec is None:
            if name in there:
                self._client.call("DELETE", f"{path}/{name}")
        elif name in there:
            self._client.call("PUT", f"{path}/{name}", document)
        else:
            self._client.call("POST", path, document)
