"""``skydns get`` and ``skydns delete`` against a real etcd."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import UNEXPOSED, ClusterObject, Service
from skydns_py.cluster.registry import decode, parse_key
from tests.cli.conftest import Registry, Run

DATA = Path(__file__).parents[1] / "data" / "kubernetes-1.36" / "registry.jsonl"
DEMO = str(Path(__file__).parents[2] / "manifests" / "demo")
Write = Callable[[str, str], str]


@pytest.fixture
def demo(skydns: Run, registry: Registry) -> Registry:
    assert skydns("apply", "-f", DEMO, "--etcd", registry.url).code == 0
    return registry


@pytest.fixture
def recorded(registry: Registry) -> Registry:
    """What a real API server has written: protobuf."""
    for line in DATA.read_text().splitlines():
        entry = json.loads(line)
        registry.put(entry["key"].removeprefix("/registry/"), base64.b64decode(entry["value"]))
    return registry


def test_services_are_shown_as_a_table(skydns: Run, demo: Registry) -> None:
    done = skydns("get", "services", "-n", "my-ns", "--etcd", demo.url)
    assert (done.code, done.err) == (0, [])
    assert done.out == [
        "NAMESPACE   NAME         TYPE        CLUSTER-IP   EXTERNAL   PORTS",
        "my-ns       db           ClusterIP   None         -          postgres:5432/TCP",
        "my-ns       my-service   ClusterIP   10.0.0.20    -          http:80/TCP,https:443/TCP",
    ]


def test_without_a_kind_every_kind_is_listed(skydns: Run, demo: Registry) -> None:
    listed = skydns("get", "-o", "name", "--etcd", demo.url)
    assert sorted(listed.out) == sorted(
        line.split()[0] for line in skydns("apply", "-f", DEMO, "--etcd", demo.url).out
    )
    tables = skydns("get", "--etcd", demo.url)
    assert sum(line.startswith(("NAMESPACE", "NAME")) for line in tables.out) == 5
    assert any(line.split()[:2] == ["my-ns", "service/my-service"] for line in tables.out)


def test_one_namespace_leaves_out_what_is_in_none(skydns: Run, demo: Registry) -> None:
    assert skydns("get", "-n", "other-ns", "-o", "name", "--etcd", demo.url).out == [
        "service/other-ns/my-service",
        "pod/other-ns/client",
    ]


def test_a_name_is_looked_for_in_every_namespace_unless_one_is_given(skydns: Run, demo: Registry) -> None:
    every = skydns("get", "svc", "my-service", "-o", "name", "--etcd", demo.url)
    assert every.out == ["service/my-ns/my-service", "service/other-ns/my-service"]
    one = skydns("get", "svc", "my-service", "-n", "my-ns", "-o", "name", "--etcd", demo.url)
    assert one.out == ["service/my-ns/my-service"]


def test_a_namespace_that_begins_like_another_is_another(skydns: Run, registry: Registry) -> None:
    for namespace in ("my", "my-ns", "my0"):
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": namespace}}
        registry.put(f"pods/{namespace}/a", json.dumps(document).encode())
    assert skydns("get", "po", "-n", "my", "-o", "name", "--etcd", registry.url).out == ["pod/my/a"]


def test_what_is_not_there_is_said(skydns: Run, demo: Registry) -> None:
    done = skydns("get", "svc", "nothing", "-n", "my-ns", "--etcd", demo.url)
    assert (done.code, done.out, done.err) == (1, [], ["skydns: svc nothing not found in namespace my-ns"])
    assert skydns("get", "svc", "nothing", "--etcd", demo.url).err == ["skydns: svc nothing not found"]
    empty = skydns("get", "svc", "-n", "empty", "--etcd", demo.url)
    assert (empty.code, empty.out, empty.err) == (0, [], ["skydns: nothing found"])
    assert (
        json.loads(skydns("get", "svc", "-n", "empty", "-o", "json", "--etcd", demo.url).text)["items"] == []
    )


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_printed_documents_can_be_applied_again(skydns: Run, demo: Registry, output: str) -> None:
    printed = skydns("get", "-o", output, "--etcd", demo.url)
    done = skydns("apply", "-f", "-", "--etcd", demo.url, stdin=printed.text)
    assert (done.code, done.err) == (0, [])
    assert {line.split()[1] for line in done.out} == {"unchanged"}


def test_one_named_object_is_printed_as_stored(skydns: Run, demo: Registry) -> None:
    done = skydns("get", "svc", "my-service", "-n", "my-ns", "-o", "json", "--etcd", demo.url)
    assert json.loads(done.text) == demo.document("services/specs/my-ns/my-service")


def test_a_stored_v1beta1_value_is_printed_as_v1(skydns: Run, registry: Registry) -> None:
    old = {"apiVersion": "v1beta1", "kind": "Service", "id": "a", "port": 80, "portalIP": "10.0.0.9"}
    registry.put("services/specs/default/a", json.dumps(old).encode())
    printed = yaml.safe_load(skydns("get", "svc", "a", "-o", "yaml", "--etcd", registry.url).text)
    assert printed["apiVersion"] == "v1"
    assert decode_document(printed) == decode_document(old)
    assert skydns("get", "svc", "-o", "wide", "--etcd", registry.url).out[1].split()[-2] == "v1beta1"


def test_the_table_counts_endpoints_and_wide_shows_them_all(skydns: Run, demo: Registry) -> None:
    slices = ("get", "endpointslice", "-n", "my-ns", "--etcd", demo.url)
    assert skydns(*slices).out[1].split("   ")[-1] == "10.1.0.20:8080,10.1.0.20:8443,10.1.0.21:8080 + 1 more"
    wide = skydns(*slices, "-o", "wide").out[1]
    assert "10.1.0.20:8080,10.1.0.20:8443,10.1.0.21:8080,10.1.0.21:8443 " in wide
    assert "[fd00:10:1::51]:5432" in skydns("get", "ep", "db", "-o", "wide", "--etcd", demo.url).out[1]


def test_pods_show_their_addresses_and_state(skydns: Run, demo: Registry) -> None:
    assert skydns("get", "pods", "-n", "my-ns", "--etcd", demo.url).out == [
        "NAMESPACE   NAME     ADDRESSES   STATE",
        "my-ns       client   127.0.0.2   ready",
    ]


# What an API server has written


def test_every_object_of_a_real_api_server_is_listed(skydns: Run, recorded: Registry) -> None:
    for output in ("table", "wide", "yaml", "json"):
        done = skydns("get", "-o", output, "--etcd", recorded.url)
        assert (done.code, done.err) == (0, [])
    names = skydns("get", "-o", "name", "--etcd", recorded.url).out
    assert len(names) == len(recorded.held())


def test_protobuf_is_printed_from_its_decoded_fields_and_marked_as_partial(
    skydns: Run, recorded: Registry
) -> None:
    done = skydns("get", "-o", "yaml", "--etcd", recorded.url)
    assert done.text.count("# ") == len(recorded.held())
    first = skydns("get", "svc", "kubernetes", "-o", "yaml", "--etcd", recorded.url)
    assert first.out[0] == (
        "# service/default/kubernetes: partial: stored as protobuf by an API server; "
        "these are the fields that names need"
    )
    assert yaml.safe_load(first.text)["metadata"]["annotations"] == {"skydns/partial": "true"}


def unexposed(obj: ClusterObject) -> ClusterObject:
    """Without what names do not need."""
    return replace(obj, exposure=UNEXPOSED) if isinstance(obj, Service) else obj


def test_a_partial_print_means_for_names_what_the_stored_value_means(skydns: Run, recorded: Registry) -> None:
    printed = json.loads(skydns("get", "-o", "json", "--etcd", recorded.url).text)["items"]
    shown = {str(obj.ref): obj for item in printed for obj in decode_document(item)}
    for key in recorded.held():
        ref = parse_key(f"/registry/{key}", "/registry")
        assert ref is not None
        assert unexposed(shown[str(ref)]) == unexposed(decode(ref, recorded.value(key) or b""))


def test_a_partial_print_is_refused_as_input(skydns: Run, recorded: Registry) -> None:
    printed = skydns("get", "svc", "kubernetes", "-o", "yaml", "--etcd", recorded.url).text
    done = skydns("apply", "-f", "-", "--force", "--etcd", recorded.url, stdin=printed)
    assert (done.code, done.out) == (1, [])
    reason = "skydns/partial marks a print of only some fields; write them all"
    assert done.err == [f"skydns: standard input document 1: metadata.annotations: {reason}"]


def test_an_object_that_cannot_be_decoded_is_named_and_the_rest_is_shown(skydns: Run, demo: Registry) -> None:
    demo.put("services/specs/my-ns/broken", b'{"apiVersion": "v1", "kind": "Service"}')
    demo.put("services/specs/my-ns/cut", b"k8s\0\x0a\xff")
    for output in ("table", "yaml", "json", "name"):
        done = skydns("get", "svc", "-n", "my-ns", "-o", output, "--etcd", demo.url)
        assert done.code == 1
        assert [line.split(": ")[1] for line in done.err] == ["service/my-ns/broken", "service/my-ns/cut"]
        assert "my-service" in done.text


# Delete


def test_what_a_manifest_names_is_deleted(skydns: Run, demo: Registry) -> None:
    applied = [line.split()[0] for line in skydns("apply", "-f", DEMO, "--etcd", demo.url).out]
    done = skydns("delete", "-f", DEMO, "--etcd", demo.url)
    assert (done.code, done.err) == (0, [])
    assert done.out == [f"{title} deleted" for title in applied]
    assert demo.held() == []


def test_one_object_is_deleted_by_kind_and_name(skydns: Run, demo: Registry) -> None:
    before = demo.held()
    done = skydns("delete", "svc", "my-service", "-n", "my-ns", "--etcd", demo.url)
    assert (done.code, done.out) == (0, ["service/my-ns/my-service deleted"])
    assert set(before) - set(demo.held()) == {"services/specs/my-ns/my-service"}
    assert skydns("delete", "service", "redis-master", "--etcd", demo.url).out == [
        "service/default/redis-master deleted"
    ]
    assert skydns("delete", "ns", "my-ns", "--etcd", demo.url).out == ["namespace/my-ns deleted"]


def test_what_was_not_there_is_named_after_the_rest_is_gone(skydns: Run, demo: Registry) -> None:
    skydns("delete", "svc", "my-service", "-n", "my-ns", "--etcd", demo.url)
    done = skydns("delete", "-f", DEMO, "--etcd", demo.url)
    assert (done.code, done.err) == (1, ["skydns: service/my-ns/my-service not found"])
    assert demo.held() == []


def test_an_api_servers_object_is_not_deleted_without_force(skydns: Run, recorded: Registry) -> None:
    before = recorded.held()
    arguments = ("delete", "svc", "kubernetes", "--etcd", recorded.url)
    done = skydns(*arguments)
    assert (done.code, done.out) == (1, [])
    assert done.err == [
        "skydns: service/default/kubernetes was written by an API server, which owns this etcd; use kubectl, "
        "or --force to overwrite"
    ]
    assert recorded.held() == before
    assert skydns(*arguments, "--force").out == ["service/default/kubernetes deleted"]


def test_nothing_is_deleted_where_one_object_is_an_api_servers(skydns: Run, demo: Registry) -> None:
    demo.put("services/specs/my-ns/my-service", b"k8s\0")
    before = demo.held()
    assert skydns("delete", "-f", DEMO, "--etcd", demo.url).code == 1
    assert demo.held() == before
