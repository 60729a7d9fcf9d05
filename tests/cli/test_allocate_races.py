"""Portal addresses that are lost to other writers between reading and writing, against a real etcd."""

import base64
import json
import threading
from pathlib import Path

import pytest
import yaml

from skydns_py.cli import store
from skydns_py.cli.allocate import Allocator
from skydns_py.cli.apply import apply_one
from skydns_py.cli.documents import read
from skydns_py.cli.etcd_store import EtcdStore
from skydns_py.settings import EtcdSource
from skydns_py.settings_text import parse_portal_net
from tests.cli.allocating import assert_exact, document, join, reserved, specs
from tests.cli.conftest import NET, Apply, Registry, Run


def allocator(place: store.Store, net: str = "10.96.0.0/29") -> Allocator:
    return Allocator(place, EtcdSource(portal_net=parse_portal_net(net)))


def test_a_choice_from_an_old_list_is_lost_and_made_anew(registry: Registry, apply: Apply) -> None:
    with store.connect(EtcdSource(endpoints=(registry.url,))) as place:
        old = allocator(place)
        first = read("here", yaml.safe_load(document("first")))
        key = "/registry/services/specs/my-ns/first"
        assert old.plan(first, store.Stored()) is not None  # the list is read now
        apply(join(*(document(f"s{at}") for at in range(5))), net="10.96.0.0/29")
        assert apply_one(place, key, first, store.Stored(), False, allocator=old) == "created"
    assert_exact(registry)
    assert len(reserved(registry)) == 6


def test_a_full_list_is_read_again_before_it_is_believed(
    registry: Registry, apply: Apply, skydns: Run
) -> None:
    with store.connect(EtcdSource(endpoints=(registry.url,))) as place:
        apply(join(*(document(f"s{at}") for at in range(6))), net="10.96.0.0/29")
        old = allocator(place)
        old.check([(read("here", yaml.safe_load(document("x", clusterIP="10.1.1.1"))), store.Stored())])
        skydns("delete", "svc", "s3", "-n", "my-ns", "--etcd", registry.url)
        late = read("here", yaml.safe_load(document("late")))
        key = "/registry/services/specs/my-ns/late"
        assert apply_one(place, key, late, store.Stored(), False, allocator=old) == "created"
    assert_exact(registry)


def test_a_named_address_that_was_taken_meanwhile_is_refused(registry: Registry, apply: Apply) -> None:
    wanted = document("web", clusterIP="10.96.0.5")
    with store.connect(EtcdSource(endpoints=(registry.url,))) as place:
        old = allocator(place)
        web = read("here", yaml.safe_load(wanted))
        old.check([(web, store.Stored())])
        apply(document("other", clusterIP="10.96.0.5"))
        with pytest.raises(Exception, match=r"web: 10\.96\.0\.5 belongs to service/my-ns/other"):
            apply_one(place, "/registry/services/specs/my-ns/web", web, store.Stored(), False, allocator=old)


def test_of_two_writers_of_one_service_the_address_is_one(registry: Registry) -> None:
    names = [f"s{at}" for at in range(20)]
    gate = threading.Barrier(2)

    def write(port: int) -> None:
        with store.connect(EtcdSource(endpoints=(registry.url,))) as place:
            mine = allocator(place, NET)
            gate.wait(10)
            for name in names:
                wanted = read("here", yaml.safe_load(document(name, ports=[{"port": port}])))
                key = f"/registry/services/specs/my-ns/{name}"
                apply_one(place, key, wanted, store.Stored(), False, allocator=mine)

    threads = [threading.Thread(target=write, args=(port,)) for port in (81, 82)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert_exact(registry)
    assert len(reserved(registry)) == len(names)


def test_the_service_and_its_reservations_have_one_revision(apply: Apply, registry: Registry) -> None:
    apply(document("web", type="LoadBalancer", externalTrafficPolicy="Local"))
    found = [meta for prefix in ("/registry/", "/registry.allocations/") for _, meta in
             registry.client.get_prefix(prefix)]  # fmt: skip
    assert len(found) == 4
    assert len({meta.mod_revision for meta in found}) == 1


def test_a_protobuf_service_that_is_forced_keeps_its_address(
    skydns: Run, registry: Registry, apply: Apply
) -> None:
    lines = (Path(__file__).parents[1] / "data/kubernetes-1.36/registry.jsonl").read_text().splitlines()
    entries = {entry["key"]: entry["value"] for entry in map(json.loads, lines)}
    key = "/registry/services/specs/default/kubernetes"
    registry.put(key.removeprefix("/registry/"), base64.b64decode(entries[key]))
    flags = ("--etcd", registry.url, "--portal-net", NET, "--force")
    done = skydns("apply", "-f", "-", *flags, stdin=document("kubernetes", "default"))
    assert (done.code, done.err) == (0, [])
    assert specs(registry)["default/kubernetes"]["clusterIP"].startswith("10.")
    assert_exact(registry)


def test_a_store_reads_and_writes_several_keys_at_once(registry: Registry) -> None:
    with store.connect(EtcdSource(endpoints=(registry.url,))) as place:
        assert isinstance(place, EtcdStore)
        a, b = "/registry/a", "/registry/b"
        assert place.write([store.Change(a, 0, b"1"), store.Change(b, 0, b"2")])
        held = place.read([a, b])
        assert held[a].created == held[b].created == held[a].revision
        assert not place.write([store.Change(a, 0, b"3"), store.Change(b, held[b].revision, b"3")])
        assert not place.write([store.Change(a, held[a].revision)], {b: 0})
        assert place.write([store.Change(a, held[a].revision)], {b: held[b].revision})
        assert place.read([a, b]) == {a: store.Stored(), b: held[b]}
