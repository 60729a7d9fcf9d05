"""What the tests of the Kubernetes source share: a client that writes, and a source that follows."""

import base64
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from twisted.internet import reactor

from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.settings import KubernetesSource as KubernetesSettings
from skydns_py.sources.kubernetes import KubernetesSource, Timing
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.reactor import run_in_reactor
from tests.sources.recording import Recorder

QUICK = Timing(request=5, short=0.2, silence=1.0, settle=0.1)
"""Notices a silent peer, and that it has caught up, within a second or so."""
SERVICES = (Kind.SERVICE,)


def ref(name: str, namespace: str = "default") -> Ref:
    return Ref(Kind.SERVICE, namespace, name)


def is_on(name: str, port: int) -> Callable[[Recorder], bool]:
    """Whether the Service is known with this port."""

    def holds(sink: Recorder) -> bool:
        found = sink.state.get(ref(name))
        return isinstance(found, Service) and [each.port for each in found.ports] == [port]

    return holds


class Writer:
    """Writes objects; a Service is told from others by its port."""

    def __init__(self, access: Access) -> None:
        self._client = ApiClient(access, 10)

    def create(self, plural: str, document: dict[str, Any], namespace: str = "default") -> dict[str, Any]:
        return self._client.call("POST", place(plural, namespace), document)

    def service(self, name: str, port: int = 80, namespace: str = "default", **labels: str) -> None:
        """Create it, or change it."""
        document: dict[str, Any] = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"clusterIP": "None", "ports": [{"port": port}]},
        }
        path = f"{place('services', namespace)}/{name}"
        try:
            patch = {"metadata": document["metadata"], "spec": {"ports": document["spec"]["ports"]}}
            self._client.call("PATCH", path, patch, kind="application/merge-patch+json")
        except ApiError as error:
            if error.status != 404:
                raise
            self.create("services", document, namespace)

    def namespace(self, name: str) -> None:
        """Create it where it is not there."""
        try:
            self.create("namespaces", {"metadata": {"name": name}}, "")
        except ApiError as error:
            if error.status != 409:
                raise

    def delete(self, name: str, plural: str = "services", namespace: str = "default") -> None:
        self._client.call("DELETE", f"{place(plural, namespace)}/{name}")

    def delete_all(self, namespace: str = "default") -> None:
        """Every Service but the API server's own."""
        for name in self.names(namespace):
            self.delete(name, namespace=namespace)

    def names(self, namespace: str = "default") -> list[str]:
        found = self._client.call("GET", place("services", namespace)).get("items") or []
        return [name for each in found if (name := each["metadata"]["name"]) != "kubernetes"]

    def close(self) -> None:
        self._client.close()


def place(plural: str, namespace: str) -> str:
    base = "/apis/discovery.k8s.io/v1" if plural == "endpointslices" else "/api/v1"
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else f"{base}/{plural}"


def kubeconfig(folder: Path, access: Access, server: str = "") -> str:
    """The path of a kubeconfig for this access, or for the same at another address."""
    ca = base64.b64encode(access.ca.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [
            {
                "name": "test",
                "cluster": {"server": server or access.server, "certificate-authority-data": ca},
            }
        ],
        "users": [{"name": "test", "user": {"token": access.token}}],
    }
    path = folder / "kubeconfig.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


@contextmanager
def following(
    path: str, kinds: Collection[Kind] | None = SERVICES, timing: Timing = QUICK, **settings: Any
) -> Iterator[Recorder]:
    """A started source's sink; ``path`` is of a kubeconfig."""
    sink = Recorder()
    source = KubernetesSource(KubernetesSettings(path, **settings), sink, reactor, kinds, timing)
    run_in_reactor(source.start)
    try:
        yield sink
    finally:
        run_in_reactor(source.stop)
