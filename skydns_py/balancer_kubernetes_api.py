"""Leases and Services in the Kubernetes API, as far as the balancer needs them; every call blocks.

What may not be done is one line that names the permission that is missing.  Those that nobody else would
tell of are logged here, once each.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from skydns_py.balancer import kubernetes_objects as objects
from skydns_py.balancer.kubernetes_ledger import Ledger
from skydns_py.balancer.kubernetes_objects import Item
from skydns_py.balancer.store import Keys
from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_client import ApiError

log = logging.getLogger("skydns")

PAGE = 500
SILENCE = 5.0
"""Seconds without a word from a watch, at least, before it is given up: it brings the own renewals."""
NOT_FOUND, CONFLICT, GONE, FORBIDDEN = 404, 409, 410, 403
_SELECTOR = {"labelSelector": f"{objects.LABEL}={objects.LABEL_VALUE}"}
_UNTOLD = ("list leases", "watch leases", "update leases", "delete leases")
Json = dict[str, Any]


class Client(Protocol):
    """``sources.kubernetes_client.ApiClient``."""

    def call(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> dict[str, Any]:
        """One request; ApiError, StoreError."""

    def stream(self, path: str, seconds: float) -> Iterator[dict[str, Any]]:
        """A watch; StoreError where it breaks, or says nothing for so many seconds."""

    def close(self) -> None:
        """Break off whatever is under way."""


class Place:
    """Where one node's balancer has its Leases, and what its connections know together.

    ``client`` makes a connection whose calls take so many seconds at most; ``lease_seconds`` are those of
    this node's own sessions.
    """

    def __init__(
        self, client: Callable[[float], Client], keys: Keys, namespace: str, node: str, lease_seconds: int
    ) -> None:
        self.client = client
        self.keys = keys
        self.namespace = namespace
        self.node = node
        self.lease_seconds = lease_seconds
        self.ledger = Ledger()
        self._told: set[str] = set()

    def tell(self, line: str) -> None:
        """Log a line, once."""
        if line not in self._told:
            self._told.add(line)
            log.warning("%s", line)


class Api:
    """By one connection. Raises StoreError; of its ApiErrors only those a caller has to tell apart."""

    def __init__(self, client: Client, place: Place) -> None:
        self._client = client
        self._place = place
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases"

    def close(self) -> None:
        """Break off whatever is under way."""
        self._client.close()

    def lease(self, name: str) -> Item | None:
        """A Lease of ours; None where there is none."""
        with self._allowed("get leases"), _absent():
            return self._item(self._client.call("GET", f"{self._leases}/{name}"))
        return None

    def session(self, name: str) -> Json | None:
        """The whole document of a Lease; None where there is none."""
        with self._allowed("get leases"), _absent():
            return self._client.call("GET", f"{self._leases}/{name}")
        return None

    def open_session(self, body: Json) -> Json:
        """The document of a new Lease."""
        with self._allowed("create leases"):
            return self._client.call("POST", self._leases, body)

    def renew(self, session: Json) -> Json | None:
        """A Lease instead of the one whose uid and resourceVersion the document has; None where it is gone.

        With the uid: without it the API server would make a Lease that is not there.
        """
        with self._allowed("update leases"), _unless(CONFLICT, NOT_FOUND):
            return self._client.call("PUT", f"{self._leases}/{session['metadata']['name']}", session)
        return None

    def create(self, body: Json) -> Item | None:
        """A new Lease; None where one of that name is there."""
        with self._allowed("create leases"), _unless(CONFLICT):
            return self._item(self._client.call("POST", self._leases, body))
        return None

    def replace(self, body: Json, version: int) -> Item | None:
        """A Lease instead of the one at ``version``, or of none; None where another one is there."""
        body["metadata"]["resourceVersion"] = str(version)
        path = f"{self._leases}/{body['metadata']['name']}"
        with self._allowed("update leases"), _unless(CONFLICT, NOT_FOUND):
            return self._item(self._client.call("PUT", path, body))
        return None

    def delete(self, name: str, version: int = 0, uid: str = "") -> bool:
        """Whether the Lease was there, at ``version`` unless that is 0, and is not any more."""
        conditions = {"resourceVersion": str(version) if version else "", "uid": uid}
        given = {field: value for field, value in conditions.items() if value}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": given}
        with self._allowed("delete leases"), _unless(CONFLICT, NOT_FOUND):
            self._client.call("DELETE", f"{self._leases}/{name}", body)
            return True
        return False

    def leases(self) -> tuple[list[Item], int]:
        """All Leases of ours, and the resourceVersion at which that was so."""
        found: list[Item] = []
        token = ""
        while True:
            query = urlencode({**_SELECTOR, "limit": PAGE, **({"continue": token} if token else {})})
            with self._allowed("list leases"):
                page = self._client.call("GET", f"{self._leases}?{query}")
            documents = page.get("items") or []
            found += [item for each in documents if (item := objects.parse(each, self._place.keys.root))]
            metadata = page.get("metadata") or {}
            token = str(metadata.get("continue") or "")
            if not token:
                return found, objects.parse_version(metadata)

    def watch(self, version: int) -> Iterator[tuple[str, Json]]:
        """What happens to Leases of ours after ``version``: ADDED, MODIFIED, DELETED, BOOKMARK; and which."""
        query = urlencode(
            {**_SELECTOR, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        )
        with self._allowed("watch leases"):
            for event in self._client.stream(
                f"{self._leases}?{query}", max(SILENCE, self._place.lease_seconds)
            ):
                document = event.get("object") or {}
                if event.get("type") == "ERROR":
                    raise StoreError(f"the API server ends a watch: {document.get('message') or 'no reason'}")
                yield str(event.get("type")), document

    def service(self, namespace: str, name: str) -> Json | None:
        """A Service; None where there is none."""
        with self._allowed("get services", namespace), _absent():
            return self._client.call("GET", _service(namespace, name))
        return None

    def write_status(self, namespace: str, name: str, document: Json) -> Json | None:
        """The Service's status, if the Service is still at the document's resourceVersion; else None."""
        with self._allowed("update services/status", namespace), _unless(CONFLICT, NOT_FOUND):
            return self._client.call("PUT", f"{_service(namespace, name)}/status", document)
        return None

    def _item(self, document: Mapping[str, Any]) -> Item:
        found = objects.parse(document, self._place.keys.root)
        if found is None:
            raise StoreError("the API server answers with another object than was asked for")
        return found

    @contextmanager
    def _allowed(self, what: str, namespace: str = "") -> Iterator[None]:
        """``what`` is a verb and a resource; without the permission for it, one line that names it."""
        try:
            yield
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            line = (
                f"the API server does not let skydns balancer {what} in namespace "
                f"{namespace or self._place.namespace}; allow it, as manifests/kubernetes/balancer.yaml does"
            )
            if what in _UNTOLD:
                self._place.tell(line)
            raise StoreError(line) from None


def _service(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{quote(name, safe='')}"


@contextmanager
def _unless(*statuses: int) -> Iterator[None]:
    """Statuses that are an answer."""
    try:
        yield
    except ApiError as error:
        if error.status not in statuses:
            raise


def _absent() -> Any:
    return _unless(NOT_FOUND)
