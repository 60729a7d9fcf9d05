"""The stand-in API server's objects without a network: a client for ``KubernetesStore`` in memory."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from skydns_py.balancer.kubernetes_ledger import Ledger
from skydns_py.balancer.kubernetes_objects import Item, parse
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.balancer_kubernetes_api import Place
from skydns_py.sources.kubernetes_client import ApiError
from tests.balancer.nodes import KEYS
from tests.kube.call import Call
from tests.kube.resources import BY_PATH, Object, Refused
from tests.kube.store import Store

NAMESPACE = "kube-system"
LEASES = BY_PATH["coordination.k8s.io", "v1", "leases"]
SERVICES = BY_PATH["", "v1", "services"]


class Memory:
    """A ``Client``. ``before`` is called with each request, ``after`` once it was done; either may raise."""

    def __init__(self, objects: Store) -> None:
        self.objects = objects
        self.before: Callable[[str, str], None] = lambda *_: None
        self.after: Callable[[str, str], None] = lambda *_: None

    def call(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> dict[str, Any]:
        self.before(method, path)
        content = b"" if body is None else json.dumps(body).encode()
        try:
            _, found = Call.of(self.objects, (), method, path).run(method, content, kind)
        except Refused as refused:
            raise ApiError(f"{method} {path}: {refused.message}", refused.code, refused.reason) from None
        self.after(method, path)
        return found

    def stream(self, path: str, seconds: float) -> Iterator[dict[str, Any]]:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing."""


def items(objects: Store) -> list[Item]:
    """All Leases of the balancer's."""
    found = [parse(each, KEYS.root) for each in objects.find(LEASES, NAMESPACE)]
    return [each for each in found if each is not None]


def ledger(objects: Store, now: float = 0.0, pace: float = 0.0) -> Ledger:
    """What a listing gives."""
    return Ledger(items(objects), objects.revision, now, pace)


def changes(objects: Store, version: int) -> list[tuple[Item, bool]]:
    """What a watch brings after ``version``: which Lease, and whether it exists."""
    found: list[tuple[Item, bool]] = []
    for change in objects.since(version):
        if change.key[0] == LEASES.plural and (item := parse(change.after, KEYS.root)):
            found.append((item, change.type != "DELETED"))
    return found


def place(objects: Store, node: str, client: Memory | None = None) -> Place:
    """As a node's balancer has it."""
    made = client or Memory(objects)
    return Place(lambda _: made, KEYS, NAMESPACE, node, 2)


def store(objects: Store, node: str = "n1") -> KubernetesStore:
    """By a connection that does not fail."""
    return KubernetesStore(place(objects, node), 1.0)


__all__ = ["KEYS", "LEASES", "NAMESPACE", "SERVICES", "Memory", "Object"]
