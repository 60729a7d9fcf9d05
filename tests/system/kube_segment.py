"""The API server as the store of a ``bench.segment``: its keys are Leases, Services and Endpoints.

The server runs in this process (the stand-in) or beside it (a real one); the nodes reach it through a proxy
in the store's namespace.
"""

import base64
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from bench.segment import STORE, inside
from skydns_py.balancer.kubernetes_ledger import Ledger
from skydns_py.balancer.kubernetes_objects import key_name
from skydns_py.balancer.store import Keys
from skydns_py.balancer_kubernetes import REGISTRY
from skydns_py.balancer_kubernetes_api import Api, Place
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.kube_api import KubeApi
from tests.kube_server import KubeServer
from tests.proxy import Proxy

KEYS = Keys("/skydns.balancer")
NAMESPACE = "kube-system"
PORT = 6443
_MERGE = "application/merge-patch+json"


@contextmanager
def stand_in() -> Iterator[KubeServer]:
    """Without a token, which nobody sends over http."""
    with KubeApi() as api:
        yield KubeServer(api.access, api.compact, api)


class Relay(Proxy):
    """A proxy that listens in a namespace, and connects from this one."""

    def __init__(self, space: str, address: tuple[str, int], target: int) -> None:
        super().__init__(target)
        self._listener.close()
        with inside(space):
            self._listener = socket.create_server(address)

    def end_connections(self) -> None:
        """As a server that ends does."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class ApiStore:
    """What ``bench.segment.Etcd`` does, with an API server."""

    def __init__(
        self, space: str, folder: Path, server: Callable[[], AbstractContextManager[KubeServer]]
    ) -> None:
        self._stack = ExitStack()
        self._server = self._stack.enter_context(server())
        access = self._server.access
        self._relay = self._stack.enter_context(
            Relay(space, (STORE, PORT), int(access.server.rpartition(":")[2]))
        )
        self._client = ApiClient(access, 10.0)
        self._stack.callback(self._client.close)
        self._leases = Api(self._client, Place(lambda _: self._client, KEYS, NAMESPACE, "test", 60))
        self._client.call("POST", "/api/v1/namespaces", {"metadata": {"name": "my-ns"}})
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()))
        self.source = {"kubernetes": {"kubeconfig": str(kubeconfig)}}

    def close(self) -> None:
        self._stack.close()

    def restart(self) -> None:
        """As for its clients: every connection ends."""
        if self._server.api is not None:
            self._server.api.stop()
            self._server.api.start()
        self._relay.end_connections()

    def put(self, key: str, document: dict[str, Any]) -> None:
        """Create it, or make it so."""
        ref = _ref(key)
        metadata = {name: document["metadata"].get(name) for name in ("name", "annotations", "labels")}
        body = {**document, "metadata": metadata}
        if ref.kind is Kind.ENDPOINTS:
            self._write(
                f"/apis/discovery.k8s.io/v1/namespaces/{ref.namespace}/endpointslices", ref, _slice(body)
            )
        self._write(_collection(ref), ref, body)

    def delete(self, key: str) -> None:
        if key.startswith(REGISTRY):
            ref = _ref(key)
            self._client.call("DELETE", f"{_collection(ref)}/{ref.name}")
        else:
            self._leases.delete(key_name(*KEYS.parse(key)))

    def get(self, key: str) -> bytes | None:
        if not key.startswith(REGISTRY):
            return self._keys().get(key)
        ref = _ref(key)
        with suppress(ApiError):
            return json.dumps(self._client.call("GET", f"{_collection(ref)}/{ref.name}")).encode()
        return None

    def below(self, prefix: str) -> dict[str, bytes]:
        if prefix == f"{REGISTRY}/":
            return {key.removeprefix(prefix): b"" for key in self._services()}
        found = self._keys().items()
        return {key.removeprefix(prefix): value for key, value in found if key.startswith(prefix)}

    def _keys(self) -> dict[str, bytes]:
        items, version = self._leases.leases()
        return {key: held.value for key, held in Ledger(items, version).whole().keys.items() if held.value}

    def _services(self) -> list[str]:
        found = self._client.call("GET", "/api/v1/namespaces/my-ns/services")["items"]
        refs = [Ref(Kind.SERVICE, "my-ns", each["metadata"]["name"]) for each in found]
        return [registry.key_for(ref, REGISTRY) for ref in refs]

    def _write(self, collection: str, ref: Ref, body: dict[str, Any]) -> None:
        try:
            self._client.call("PATCH", f"{collection}/{ref.name}", body, kind=_MERGE)
        except ApiError as error:
            if error.status != 404:
                raise
            with suppress(ApiError):  # an old server has no slices
                self._client.call("POST", collection, body)

    def _kubeconfig(self) -> dict[str, Any]:
        access = self._server.access
        scheme = access.server.partition(":")[0]
        cluster = {"server": f"{scheme}://{STORE}:{PORT}"}
        if access.ca:
            authority = base64.b64encode(access.ca.encode()).decode()
            cluster |= {"certificate-authority-data": authority, "tls-server-name": "127.0.0.1"}
        return {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": access.token}}],
        }


def _ref(key: str) -> Ref:
    found = registry.parse_key(key, REGISTRY)
    assert found is not None, key
    return found


def _collection(ref: Ref) -> str:
    plural = {Kind.SERVICE: "services", Kind.ENDPOINTS: "endpoints"}[ref.kind]
    return f"/api/v1/namespaces/{ref.namespace}/{plural}"


def _slice(endpoints: dict[str, Any]) -> dict[str, Any]:
    """The slice that the control plane would make of it."""
    name = endpoints["metadata"]["name"]
    addresses = [each for subset in endpoints["subsets"] for each in subset["addresses"]]
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [each["ip"]], "nodeName": each["nodeName"], "conditions": {"ready": True}}
            for each in addresses
        ],
        "ports": [{"port": 80}],
    }
