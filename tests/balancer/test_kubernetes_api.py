"""What the store relies on in the API server, with the stand-in and with a real one."""

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from skydns_py.balancer.kubernetes_objects import session_name
from skydns_py.balancer.store import Held, News, Write
from skydns_py.balancer_kubernetes import KubernetesStore
from skydns_py.balancer_kubernetes_api import Api, Place
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.balancer.kube import KEYS
from tests.kube_server import KubeServer, servers

SEAT, IP = KEYS.owner("2001:db8::1"), KEYS.ip("2001:db8::1")
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[KubeServer]:
    with request.param() as running:
        yield running


@dataclass
class Desk:
    client: ApiClient
    place: Place
    store: KubernetesStore
    api: Api

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.place.namespace}/services/web"

    @property
    def key(self) -> str:
        return f"/registry/services/specs/{self.place.namespace}/web"

    def service(self) -> dict[str, Any]:
        spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
        collection = self.path.rpartition("/")[0]
        return self.client.call("POST", collection, {"metadata": {"name": "web"}, "spec": spec})


@pytest.fixture
def desk(server: KubeServer) -> Iterator[Desk]:
    namespace = f"lb-{next(_numbers)}"
    with closing(ApiClient(server.access, 10)) as client:
        client.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        place = Place(lambda seconds: ApiClient(server.access, seconds), KEYS, namespace, "n1", 2)
        with closing(KubernetesStore(place, 10)) as store:
            yield Desk(client, place, store, Api(client, place))


def test_a_session_is_renewed_only_while_it_is_there(desk: Desk) -> None:
    lease, seconds = desk.store.grant(2)
    before = desk.api.lease(session_name(lease))
    assert seconds == 2
    assert desk.store.keep_alive(lease)
    after = desk.api.lease(session_name(lease))
    assert before is not None
    assert after is not None
    assert after.version > before.version
    desk.store.revoke(lease)
    assert desk.store.keep_alive(lease) == 0
    assert desk.api.lease(session_name(lease)) is None


def test_a_session_that_was_renewed_meanwhile_is_not_ended(desk: Desk) -> None:
    lease, _ = desk.store.grant(2)
    seen = desk.api.lease(session_name(lease))
    assert seen is not None
    desk.store.keep_alive(lease)
    assert not desk.api.delete(seen.name, seen.version, seen.uid)
    now = desk.api.lease(session_name(lease))
    assert now is not None
    assert desk.api.delete(now.name, now.version, now.uid)
    assert not desk.api.delete(now.name, now.version, now.uid)


def test_keys_are_written_only_over_what_was_seen(desk: Desk) -> None:
    revision = desk.store.write([Write(IP, b"x")], {IP: 0})[IP]
    assert desk.store.write([Write(IP, b"y")], {IP: 0}) == {}
    again = desk.store.write([Write(IP, b"x")], {IP: revision})[IP]
    assert again > revision, "writing what was there is a change"
    assert desk.store.write([Write(IP, b"y")], {IP: revision}) == {}
    assert desk.store.write([Write(IP)], {IP: revision}) == {}
    assert desk.store.read([IP]) == {IP: Held(b"x", again)}
    assert desk.store.write([Write(IP)], {IP: again})
    assert desk.store.read([IP]) == {IP: Held()}


def test_a_seat_goes_with_its_session_for_all_who_follow(desk: Desk) -> None:
    lease, _ = desk.store.grant(60)
    with closing(KubernetesStore(desk.place, 10)) as follower:
        news = follower.follow(KEYS.root)
        assert next(news).keys == {}
        revision = desk.store.write([Write(SEAT, b"n1", lease)], {SEAT: 0})[SEAT]
        assert next(news) == News({SEAT: Held(b"n1", revision, lease)})
        desk.store.revoke(lease)
        assert next(news) == News({SEAT: Held(b"", revision + 1)})
        other, _ = desk.store.grant(60)
        taken = desk.store.write([Write(SEAT, b"n2", other)], {SEAT: 0})[SEAT]
        assert next(news) == News({SEAT: Held(b"n2", taken, other)})
        news.close()


def test_a_status_is_written_only_over_what_was_read_and_nothing_else_of_the_service(desk: Desk) -> None:
    desk.service()
    held = desk.store.read([desk.key])[desk.key]
    document = json.loads(held.value)
    document["spec"]["externalName"] = "example.org"
    document["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    value = json.dumps(document).encode()
    assert desk.store.write([Write(desk.key, value)], {desk.key: held.revision})
    found = desk.client.call("GET", desk.path)
    assert found["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"
    assert "externalName" not in found["spec"]
    assert desk.store.write([Write(desk.key, value)], {desk.key: held.revision}) == {}


def test_the_status_of_a_service_that_went_makes_none(desk: Desk) -> None:
    desk.service()
    held = desk.store.read([desk.key])[desk.key]
    desk.client.call("DELETE", desk.path)
    assert desk.store.write([Write(desk.key, held.value)], {desk.key: held.revision}) == {}
    with pytest.raises(ApiError) as caught:
        desk.client.call("GET", desk.path)
    assert caught.value.status == 404
    desk.service()
    assert desk.store.write([Write(desk.key, held.value)], {desk.key: held.revision}) == {}


def test_all_keys_are_found_however_many_there_are(desk: Desk) -> None:
    keys = [KEYS.ip(f"2001:db8::{number:x}") for number in range(1, 521)]
    for key in keys:
        assert desk.store.write([Write(key, b"x")], {key: 0})
    with closing(KubernetesStore(desk.place, 10)) as follower:
        news = follower.follow(KEYS.root)
        assert set(next(news).keys) == set(keys)
        news.close()
