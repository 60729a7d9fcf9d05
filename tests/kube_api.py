"""A stand-in for the Kubernetes API server: HTTP, TLS and watches in threads of the test's process.

It speaks what this project uses of the API as a real one does; what it does not know it refuses.  Missing
beside a real one: tables and protobuf, server-side apply and strategic merge patches, generateName, dry
runs, most validation, discovery beyond /api/v1 and /apis/GROUP/VERSION, and the Service ``kubernetes``.
Its rules are in ``tests/kube``: ``store`` (objects), ``call`` (requests), ``watch``, ``http``.
"""

import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from skydns_py.sources.kubernetes_access import Access
from tests.kube.http import Server
from tests.kube.resources import BY_KIND, NAMESPACES, Object, Refused, Resource
from tests.kube.store import Store
from tests.kube.watch import Watch

WAIT_SECONDS = 10.0
"""How long a control waits for what it is to see."""


@dataclass
class Refusal:
    """What is answered instead, how often (0 for always) and where: paths that contain ``only``."""

    code: int
    times: int
    only: str
    headers: dict[str, str]
    body: str
    kind: str


class KubeApi:
    """The stand-in. ``token`` is demanded where given; ``tls`` is (authority, certificate, key) as files.

    ``client_ca`` makes it demand a client certificate.  ``store`` may be read and written directly,
    ``requests`` are all that came, as "GET /path?query"; groups in ``without`` are not served.
    """

    def __init__(
        self,
        *,
        token: str = "",
        tls: tuple[Path, Path, Path] | None = None,
        client_ca: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.store = Store()
        self.token = token
        self.without: set[str] = set()
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self.connections = 0
        self.gone_as_status = False
        self.watches: list[Watch] = []
        self._tls, self._client_ca = tls, client_ca
        self._refusals: list[Refusal] = []
        self._address = (host, 0)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *unused: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on; the same after ``stop`` and ``start``."""
        return self._address[1]

    @property
    def url(self) -> str:
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def access(self) -> Access:
        """How to reach it."""
        return Access(self.url, ca=self._tls[0].read_text() if self._tls else "", token=self.token)

    def start(self) -> Self:
        """Listen; the objects are as they were."""
        self._server = Server(self._address, self, self._context())
        self._address = (self._address[0], self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """End every connection at once and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._order("break")
            server.break_connections()

    def apply(self, given: Object) -> Object:
        """Create or replace an object, status included, and its namespace where there is none."""
        resource = BY_KIND[given["apiVersion"], given["kind"]]
        meta = {**given["metadata"], "uid": None, "resourceVersion": None}
        item = {**given, "metadata": {key: value for key, value in meta.items() if value is not None}}
        namespace, name = meta.get("namespace", "default") if resource.namespaced else "", meta["name"]
        with self.store.changed:
            if namespace and not self._exists(NAMESPACES, "", namespace):
                self.store.create(NAMESPACES, "", {"metadata": {"name": namespace}})
            if not self._exists(resource, namespace, name):
                return self.store.create(resource, namespace, item, keep_status=True)
            old = self.store.get(resource, namespace, name)
            item["metadata"] = {**meta, "resourceVersion": old["metadata"]["resourceVersion"], "uid": None}
            new = self.store.update(resource, (namespace, name), item)
            parted = "status" in resource.subresources and "status" in given
            new = {**new, "status": given["status"]} if parted else new
            return self.store.update(resource, (namespace, name), new, "status") if parted else new

    def remove(self, api_version: str, kind: str, namespace: str, name: str) -> None:
        """Delete an object at once, whatever holds it."""
        resource = BY_KIND[api_version, kind]
        with self.store.changed:
            self.store.get(resource, namespace, name)
            self.store.remove((resource.plural, namespace, name))

    def compact(self) -> int:
        """From now on earlier revisions are gone: lists of them, and watches from them, get 410."""
        return self.store.compact()

    def break_watches(self) -> None:
        """End the connection of each open watch without a word."""
        self._order("break")

    def end_watches(self) -> None:
        """End each open watch as after its ``timeoutSeconds``."""
        self._order("end")

    def expire_watches(self) -> None:
        """Send each open watch an ERROR event of code 410 and end it."""
        self._order("expire")

    def bookmark(self) -> int:
        """Send a BOOKMARK to each open watch that allows them; returns its resourceVersion."""
        with self.store.changed:
            self._order("bookmark")
            return self.store.revision

    def wait_watches(self, count: int) -> None:
        """Wait until so many watches are open, no more and no less."""
        with self.store.changed:
            reached = self.store.changed.wait_for(lambda: len(self.watches) == count, WAIT_SECONDS)
        assert reached, f"{len(self.watches)} watches are open, not {count}"

    def refuse(
        self,
        code: int,
        *,
        times: int = 0,
        only: str = "",
        headers: dict[str, str] | None = None,
        body: str = "",
        kind: str = "application/json",
    ) -> None:
        """Answer requests whose "METHOD path" contains ``only`` so, until ``accept`` or so many times.

        Without a ``body`` the answer is a Status, in the words of a real server.
        """
        self._refusals.append(Refusal(code, times, only, headers or {}, body, kind))

    def accept(self) -> None:
        """End every ``refuse``."""
        self._refusals.clear()

    def refusal(self, request: str) -> Refusal | None:
        """The refusal that this request meets, counted."""
        with self.store.changed:
            for each in self._refusals:
                if each.only in request:
                    each.times -= 1
                    if each.times == 0:
                        self._refusals.remove(each)
                    return each
        return None

    def _exists(self, resource: Resource, namespace: str, name: str) -> bool:
        with suppress(Refused):
            return bool(self.store.get(resource, namespace, name))
        return False

    def _order(self, order: str) -> None:
        with self.store.changed:
            for watch in self.watches:
                watch.orders.append(order)
            self.store.changed.notify_all()

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._tls[1:])
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
