"""Several writers of one key, against a real etcd."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml

from skydns_py.cli import apply, documents, store
from skydns_py.cli.etcd_store import EtcdStore
from skydns_py.cluster.registry import key_for
from skydns_py.settings import EtcdSource
from tests.cli.conftest import Registry, Run
from tests.cli.samples import KEY, service, stored

Write = Callable[[str, str], str]
PROTOBUF = b"k8s\0\n\r\n\x02v1\x12\x07Service"


@pytest.fixture
def place(registry: Registry) -> Any:
    with store.connect(EtcdSource(endpoints=(registry.url,))) as connected:
        yield connected


def document(text: str) -> documents.Document:
    return documents.read("here", yaml.safe_load(text))


def test_a_write_based_on_an_old_read_does_not_win(place: EtcdStore, registry: Registry) -> None:
    key = f"/registry/{KEY}"
    assert place.put(key, b"{}", 0)
    seen = place.read([key])[key]
    registry.put(KEY, b"newer")
    assert not place.put(key, b"older", seen.revision)
    assert not place.put(key, b"older", 0)
    assert not place.delete(key, seen.revision)
    assert registry.value(KEY) == b"newer"


def test_a_status_written_between_read_and_write_is_kept(place: EtcdStore, registry: Registry) -> None:
    registry.put(KEY, stored(yaml.safe_load(service())))
    key = f"/registry/{KEY}"
    before = place.read([key])[key]
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    registry.put(KEY, stored({**yaml.safe_load(service()), "status": status}))
    assert apply.apply_one(place, key, document(service(port=81)), before, False) == "configured"
    assert registry.document(KEY)["status"] == status
    assert registry.document(KEY)["spec"]["ports"][0]["port"] == 81


def test_a_key_that_others_keep_changing_is_given_up_with_one_line(
    skydns: Run, registry: Registry, manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = EtcdStore.write

    def contested(self: EtcdStore, changes: Sequence[store.Change]) -> bool:
        registry.put(KEY, stored({"n": registry.revision()}))
        return real(self, changes)

    monkeypatch.setattr(EtcdStore, "write", contested)
    done = skydns("apply", "-f", manifest("web.yaml", service()), "--etcd", registry.url)
    assert (done.code, done.err) == (1, ["skydns: service/my-ns/web: others keep changing it; apply again"])


def test_of_two_writers_at_once_each_object_has_one_creator_and_the_last_one_wins_whole(
    registry: Registry,
) -> None:
    names = [f"s{number}" for number in range(30)]
    outcomes: dict[int, list[str]] = {}
    gate = threading.Barrier(2)

    def write(port: int) -> None:
        with store.connect(EtcdSource(endpoints=(registry.url,))) as connected:
            wanted = [document(service(name, port=port)) for name in names]
            keys = [key_for(each.ref, "/registry") for each in wanted]
            gate.wait(10)
            held = connected.read(keys)
            outcomes[port] = [
                apply.apply_one(connected, key, each, held[key], False)
                for key, each in zip(keys, wanted, strict=True)
            ]

    threads = [threading.Thread(target=write, args=(port,)) for port in (81, 82)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one, other, name in zip(outcomes[81], outcomes[82], names, strict=True):
        assert sorted((one, other)) == ["configured", "created"]
        loser = 81 if one == "created" else 82
        kept = registry.document(f"services/specs/my-ns/{name}")
        assert kept == {
            **kept,
            **yaml.safe_load(service(name, port=163 - loser)),
            "metadata": kept["metadata"],
        }


def test_reads_of_many_keys_are_complete(place: EtcdStore, registry: Registry) -> None:
    keys = [f"/registry/pods/a/{number}" for number in range(200)]
    for key in keys[::2]:
        registry.put(key.removeprefix("/registry/"), key.encode())
    held = place.read(keys)
    assert [held[key].value for key in keys] == [
        b"" if at % 2 else key.encode() for at, key in enumerate(keys)
    ]


def test_a_listing_of_several_pages_is_complete(
    place: EtcdStore, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skydns_py.cli.etcd_store.PAGE", 3)
    keys = [f"/registry/pods/a/{number}" for number in range(8)]
    for key in (*keys, "/registry/pods/a0", "/registry/pods/"):
        registry.put(key.removeprefix("/registry/"), b"x")
    assert [key for key, _ in place.scan("/registry/pods/a/")] == keys
