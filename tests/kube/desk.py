"""Where a contract test of the API sits: a client, and a namespace of its own."""

from dataclasses import dataclass
from typing import Any

import pytest

from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.kube_server import KubeServer

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
LEASES = "/apis/coordination.k8s.io/v1"


@dataclass(frozen=True)
class Desk:
    """A client with a namespace of its own."""

    server: KubeServer
    client: ApiClient
    namespace: str

    def path(self, plural: str, name: str = "", query: str = "") -> str:
        root = LEASES if plural == "leases" else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}{name and '/'}{name}{query and '?'}{query}"

    def page(self, plural: str, query: str = "") -> Object:
        return self.client.call("GET", self.path(plural, query=query))

    def get(self, plural: str, name: str) -> Object:
        return self.client.call("GET", self.path(plural, name))

    def create(self, plural: str, name: str, **fields: Any) -> Object:
        given = {**fields, "metadata": {"name": name, **fields.get("metadata", {})}}
        return self.client.call("POST", self.path(plural), given)

    def put(self, plural: str, name: str, given: Object) -> Object:
        return self.client.call("PUT", self.path(plural, name), given)

    def patch(self, plural: str, name: str, patch: Object, kind: str = MERGE) -> Object:
        return self.client.call("PATCH", self.path(plural, name), patch, kind=kind)

    def delete(self, plural: str, name: str, **options: Any) -> Object:
        return self.client.call("DELETE", self.path(plural, name), options)

    def names(self, plural: str, query: str = "") -> list[str]:
        return [each["metadata"]["name"] for each in self.page(plural, query)["items"]]

    def now(self, plural: str = "leases") -> str:
        return str(self.page(plural)["metadata"]["resourceVersion"])

    def watch(self, plural: str, query: str) -> list[Object]:
        return list(self.client.stream(self.path(plural, query=f"watch=1&timeoutSeconds=1&{query}"), 10))

    def refused(self, code: int, reason: str, *request: Any, **more: Any) -> ApiError:
        with pytest.raises(ApiError) as caught:
            self.client.call(*request, **more)
        assert (caught.value.status, caught.value.reason) == (code, reason)
        return caught.value


def meta(item: Object, *names: str) -> tuple[Any, ...]:
    return tuple(item["metadata"].get(name) for name in names)


def shape(event: Object) -> tuple[str, str, str]:
    return event["type"], event["object"]["kind"], event["object"]["metadata"]["name"]


def port(number: int) -> Object:
    return {"type": "LoadBalancer", "ports": [{"port": number}]}
