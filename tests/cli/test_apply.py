"""``skydns apply`` against a real etcd."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.registry import key_for, parse_key
from tests import needs
from tests.cli.conftest import Registry, Run
from tests.cli.samples import KEY, service, stored
from tests.etcd_server import EtcdServer

Write = Callable[[str, str], str]
DEMO = Path(__file__).parents[2] / "manifests" / "demo"


# What is written


def test_a_new_object_is_created_as_v1_json_under_the_registrys_key(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    done = skydns("apply", "-f", manifest("web.yaml", service()), "--etcd", registry.url)
    assert (done.code, done.out, done.err) == (0, ["service/my-ns/web created"], [])
    document = registry.document(KEY)
    uid, created = document["metadata"].pop("uid"), document["metadata"].pop("creationTimestamp")
    assert document == yaml.safe_load(service())
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uid)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)


def test_the_demo_is_created_then_unchanged(skydns: Run, registry: Registry) -> None:
    arguments = ("apply", "-f", str(DEMO), "--etcd", registry.url)
    first = skydns(*arguments)
    assert (first.code, first.err) == (0, [])
    titles = [line.removesuffix(" created") for line in first.out]
    assert len(titles) == len(registry.held()) >= 15
    before = registry.revision()
    assert skydns(*arguments).out == [f"{title} unchanged" for title in titles]
    assert registry.revision() == before


def test_every_demo_object_is_stored_under_the_key_that_names_it(skydns: Run, registry: Registry) -> None:
    assert skydns("apply", "-f", str(DEMO), "--etcd", registry.url).code == 0
    for key in registry.held():
        (obj,) = decode_document(registry.document(key))
        assert parse_key(f"/registry/{key}", "/registry") == obj.ref
        assert key_for(obj.ref, "/registry") == f"/registry/{key}"


def test_a_change_is_configured_and_keeps_uid_and_creation(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    skydns("apply", "-f", manifest("web.yaml", service()), "--etcd", registry.url)
    before = registry.document(KEY)["metadata"]
    done = skydns("apply", "-f", manifest("web.yaml", service(port=81)), "--etcd", registry.url)
    assert done.out == ["service/my-ns/web configured"]
    assert registry.document(KEY)["spec"]["ports"] == [{"name": "http", "port": 81}]
    assert registry.document(KEY)["metadata"] == before


def test_objects_are_reported_in_the_order_given(skydns: Run, registry: Registry, manifest: Write) -> None:
    names = ["b", "c", "a"]
    text = "---\n".join(service(name) for name in names)
    done = skydns("apply", "-f", manifest("all.yaml", text), "--etcd", registry.url)
    assert done.out == [f"service/my-ns/{name} created" for name in names]


def test_an_object_without_a_namespace_is_in_default(skydns: Run, registry: Registry) -> None:
    text = "{apiVersion: v1, kind: Endpoints, metadata: {name: web}}"
    done = skydns("apply", "-f", "-", "--etcd", registry.url, stdin=text)
    assert done.out == ["endpoints/default/web created"]
    assert registry.document("services/endpoints/default/web")["metadata"]["namespace"] == "default"


def test_a_namespace_is_not_created_for_what_is_in_it(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    skydns("apply", "-f", manifest("web.yaml", service()), "--etcd", registry.url)
    assert registry.held() == [KEY]


def test_the_prefix_and_the_endpoints_come_from_the_configuration(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    settings = f"source: {{etcd: {{endpoints: ['{registry.url}'], registry_prefix: /registry/other}}}}"
    done = skydns("apply", "-f", manifest("web.yaml", service()), "-c", manifest("c.yaml", settings))
    assert done.code == 0
    assert registry.held() == [f"other/{KEY}"]


def test_a_configuration_without_etcd_is_refused(skydns: Run, manifest: Write) -> None:
    path = manifest("c.yaml", "source: {manifests: {path: demo}}")
    done = skydns("apply", "-f", manifest("web.yaml", service()), "-c", path)
    assert (done.code, done.err) == (2, [f"skydns: {path}: source: this command needs etcd; give --etcd URL"])


def test_the_first_endpoint_that_answers_is_used(skydns: Run, registry: Registry, manifest: Write) -> None:
    done = skydns(
        "apply", "-f", manifest("web.yaml", service()), "--etcd", "http://127.0.0.1:1", "--etcd", registry.url
    )
    assert (done.code, done.out) == (0, ["service/my-ns/web created"])


# What counts as the same


@pytest.mark.parametrize(
    "text",
    [
        service(status={}),
        service(status=None),
        json.dumps(yaml.safe_load(service()), indent="\t"),
        "kind: List\napiVersion: v1\nitems:\n- " + service().replace("\n", "\n  "),
        "kind: ServiceList\napiVersion: v1\nitems:\n- "
        + service().replace("apiVersion: v1\nkind: Service\n", "").replace("\n", "\n  "),
        service().replace(
            "  name: web\n", "  name: web\n  uid: other\n  resourceVersion: '7'\n  annotations:\n"
        ),
        service().replace("  name: web\n", "  name: web\n  creationTimestamp: 2020-01-01T00:00:00Z\n"),
    ],
    ids=["empty status", "null status", "JSON with tabs", "List", "ServiceList", "server metadata", "date"],
)
def test_the_same_meaning_is_unchanged(skydns: Run, registry: Registry, manifest: Write, text: str) -> None:
    skydns("apply", "-f", manifest("web.yaml", service()), "--etcd", registry.url)
    before = registry.value(KEY)
    done = skydns("apply", "-f", "-", "--etcd", registry.url, stdin=text)
    assert (done.out, done.err) == (["service/my-ns/web unchanged"], [])
    assert registry.value(KEY) == before


def test_a_stored_status_stays_where_the_manifest_has_none(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    registry.put(KEY, stored({**yaml.safe_load(service()), "status": status}))
    done = skydns("apply", "-f", manifest("web.yaml", service(port=81)), "--etcd", registry.url)
    assert done.out == ["service/my-ns/web configured"]
    assert registry.document(KEY)["status"] == status
    assert registry.document(KEY)["spec"]["ports"][0]["port"] == 81
    assert skydns("apply", "-f", manifest("web.yaml", service(port=81)), "--etcd", registry.url).out == [
        "service/my-ns/web unchanged"
    ]


def test_a_status_that_is_given_replaces_the_stored_one(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, status: {phase: %s, podIP: 10.1.0.1}}"
    skydns("apply", "-f", manifest("p.yaml", pod % "Running"), "--etcd", registry.url)
    done = skydns("apply", "-f", manifest("p.yaml", pod % "Succeeded"), "--etcd", registry.url)
    assert done.out == ["pod/default/p configured"]
    assert registry.document("pods/default/p")["status"]["phase"] == "Succeeded"


V1BETA1 = """\
apiVersion: v1beta1
kind: Service
id: web
namespace: my-ns
port: 80
portName: http
portalIP: 10.0.0.9
selector: {app: web}
labels: {tier: front}
---
apiVersion: v1beta1
kind: Endpoints
id: web
namespace: my-ns
endpoints: ["173.194.112.206:80", "[2001:db8::1]:80"]
"""


def test_v1beta1_is_stored_as_v1_of_the_same_meaning(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    path = manifest("old.yaml", V1BETA1)
    done = skydns("apply", "-f", path, "--etcd", registry.url)
    assert done.out == ["service/my-ns/web created", "endpoints/my-ns/web created"]
    for key, text in zip((KEY, "services/endpoints/my-ns/web"), V1BETA1.split("---\n"), strict=True):
        document = registry.document(key)
        assert document["apiVersion"] == "v1"
        assert decode_document(document) == decode_document(yaml.safe_load(text))
    assert registry.document(KEY)["metadata"]["labels"] == {"tier": "front"}
    assert skydns("apply", "-f", path, "--etcd", registry.url).out == [
        "service/my-ns/web unchanged",
        "endpoints/my-ns/web unchanged",
    ]


def test_a_v1beta1_list_of_minions_is_stored_as_nodes(skydns: Run, registry: Registry) -> None:
    text = "{apiVersion: v1beta1, kind: MinionList, minions: [{id: one, hostIP: 10.0.0.1}, {id: two}]}"
    done = skydns("apply", "-f", "-", "--etcd", registry.url, stdin=text)
    assert (done.out, done.err) == (["node/one created", "node/two created"], [])
    assert sorted(registry.held()) == ["minions/one", "minions/two"]


def test_a_stored_v1beta1_value_of_the_same_meaning_is_unchanged(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    old = yaml.safe_load(V1BETA1.split("---\n", maxsplit=1)[0])
    registry.put(KEY, stored({**old, "uid": "the-first", "creationTimestamp": None}))
    done = skydns("apply", "-f", manifest("old.yaml", V1BETA1), "--etcd", registry.url)
    assert done.out[0] == "service/my-ns/web unchanged"
    changed = V1BETA1.replace("port: 80", "port: 81", 1)
    assert skydns("apply", "-f", manifest("old.yaml", changed), "--etcd", registry.url).out[0] == (
        "service/my-ns/web configured"
    )
    assert registry.document(KEY)["apiVersion"] == "v1"
    assert registry.document(KEY)["metadata"]["uid"] == "the-first"


# An etcd that asks who is there


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The URL of an etcd where user "dns" may do as it likes with services, and nothing else."""
    with EtcdServer(tmp_path / "guarded") as server:
        etcdctl = [needs.which("etcdctl"), f"--endpoints={server.url}"]
        for command in (
            ("user", "add", "root:toor"),
            ("user", "grant-role", "root", "root"),
            ("role", "add", "services"),
            ("role", "grant-permission", "--prefix", "services", "readwrite", "/registry/services/"),
            ("user", "add", "dns:secret"),
            ("user", "grant-role", "dns", "services"),
            ("auth", "enable"),
        ):
            subprocess.run([*etcdctl, *command], check=True, capture_output=True, timeout=30)
        yield server.url


def guarded_settings(manifest: Write, url: str, password: str) -> str:
    path = manifest("password", f"{password}\n")
    etcd = {"endpoints": [url], "username": "dns", "password_file": path}
    return manifest("settings.yaml", yaml.safe_dump({"source": {"etcd": etcd}}))


def test_a_user_writes_what_it_may_and_is_told_what_it_may_not(
    skydns: Run, manifest: Write, guarded: str
) -> None:
    settings = guarded_settings(manifest, guarded, "secret")
    done = skydns("apply", "-f", manifest("web.yaml", service()), "-c", settings)
    assert (done.code, done.out, done.err) == (0, ["service/my-ns/web created"], [])
    node = manifest("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: one}}")
    done = skydns("apply", "-f", node, "-c", settings)
    assert (done.code, done.out) == (1, [])
    assert len(done.err) == 1
    assert "forbids user 'dns'" in done.err[0]


def test_a_user_that_may_see_no_reservations_can_delete_and_is_told_when_it_wants_some(
    skydns: Run, manifest: Write, guarded: str
) -> None:
    settings = guarded_settings(manifest, guarded, "secret")
    assert skydns("apply", "-f", manifest("web.yaml", service()), "-c", settings).code == 0
    done = skydns("delete", "svc", "web", "-n", "my-ns", "-c", settings)
    assert (done.code, done.out) == (0, ["service/my-ns/web deleted"])
    done = skydns(
        "apply", "-f", manifest("web.yaml", service()), "-c", settings, "--portal-net", "10.0.0.0/24"
    )
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert "forbids user 'dns'" in done.err[0]


def test_a_user_that_etcd_does_not_know_is_told_so(skydns: Run, manifest: Write, guarded: str) -> None:
    path = manifest("web.yaml", service())
    wrong = skydns("apply", "-f", path, "-c", guarded_settings(manifest, guarded, "guess"))
    assert (wrong.code, len(wrong.err)) == (1, 1)
    assert "check username and password_file" in wrong.err[0]
    nobody = skydns("apply", "-f", path, "--etcd", guarded)
    assert (nobody.code, len(nobody.err)) == (1, 1)
    assert "wants a user: set username and password_file" in nobody.err[0]
