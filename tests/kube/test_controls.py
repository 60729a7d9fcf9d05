"""What a test does to the stand-in API server."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.kube.desk import Object, meta
from tests.kube_api import KubeApi


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        yield running


@pytest.fixture
def client(api: KubeApi) -> Iterator[ApiClient]:
    with closing(ApiClient(api.access, 10)) as made:
        yield made


def service(name: str, **more: Any) -> Object:
    meta = {"name": name, "namespace": "shop"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"ports": [{"port": 80}]},
        **more,
    }


class TestControls:
    """What a test does to the stand-in."""

    def watch(self, client: ApiClient, query: str = "") -> Iterator[Object]:
        return client.stream(f"/api/v1/services?watch=1&allowWatchBookmarks=true{query}", 10)

    def test_apply_creates_replaces_and_sets_the_status(self, api: KubeApi, client: ApiClient) -> None:
        status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        first = api.apply(service("a"))
        second = api.apply(service("a", status=status))
        assert meta(first, "uid") == meta(second, "uid")
        assert client.call("GET", "/api/v1/namespaces/shop/services/a")["status"] == status
        api.remove("v1", "Service", "shop", "a")
        assert client.call("GET", "/api/v1/services")["items"] == []

    def test_bookmarks_come_when_asked_for_and_tell_the_newest_revision(
        self, api: KubeApi, client: ApiClient
    ) -> None:
        events = self.watch(client)
        api.apply(service("a"))
        assert next(events)["type"] == "ADDED"
        revision = api.bookmark()
        bookmark = next(events)
        assert (bookmark["type"], bookmark["object"]["kind"]) == ("BOOKMARK", "Service")
        assert bookmark["object"]["metadata"]["resourceVersion"] == str(revision)

    def test_a_broken_watch_ends_without_its_end(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = self.watch(client)
        next(events)
        api.break_watches()
        with pytest.raises(StoreError, match="ended in the middle"):
            next(events)
        api.wait_watches(0)

    def test_an_ended_watch_ends(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = self.watch(client)
        next(events)
        api.end_watches()
        assert list(events) == []

    def test_an_expired_watch_tells_so_and_ends(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = self.watch(client)
        next(events)
        api.expire_watches()
        assert [(each["type"], each["object"]["code"]) for each in events] == [("ERROR", 410)]

    def test_an_expired_watch_may_be_refused_instead(self, api: KubeApi, client: ApiClient) -> None:
        api.gone_as_status = True
        old = api.store.revision
        api.compact()
        with pytest.raises(ApiError) as caught:
            next(self.watch(client, f"&resourceVersion={old}"))
        assert (caught.value.status, caught.value.reason) == (410, "Expired")

    def test_a_watch_whose_client_left_is_open_no_more(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = self.watch(client)
        next(events)
        api.wait_watches(1)
        client.close()
        api.wait_watches(0)

    def test_a_refusal_lasts_as_often_as_was_said_and_where(self, api: KubeApi, client: ApiClient) -> None:
        api.refuse(403, times=1, only="services")
        assert client.call("GET", "/api/v1/pods")["items"] == []
        with pytest.raises(ApiError, match='cannot list resource "services" in API group ""'):
            client.call("GET", "/api/v1/services")
        assert client.call("GET", "/api/v1/services")["items"] == []

    def test_a_server_that_was_stopped_goes_on_at_its_port(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        api.stop()
        with pytest.raises(StoreError, match="refused"):
            client.call("GET", "/api/v1/services")
        api.start()
        assert len(client.call("GET", "/api/v1/services")["items"]) == 1

    def test_a_group_may_be_missing(self, api: KubeApi, client: ApiClient) -> None:
        path = "/apis/discovery.k8s.io/v1"
        assert [each["kind"] for each in client.call("GET", path)["resources"]] == ["EndpointSlice"]
        api.without.add("discovery.k8s.io")
        with pytest.raises(ApiError, match="404"):
            client.call("GET", f"{path}/endpointslices")
