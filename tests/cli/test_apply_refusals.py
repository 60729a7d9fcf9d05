"""What ``skydns apply`` refuses, before anything is written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from skydns_py.cli import documents
from tests.cli.conftest import Registry, Run
from tests.cli.samples import KEY, service

Write = Callable[[str, str], str]
PROTOBUF = b"k8s\0\n\r\n\x02v1\x12\x07Service"


def refused(skydns: Run, registry: Registry, *paths: str) -> list[str]:
    before = registry.revision()
    done = skydns("apply", *(f"-f={path}" for path in paths), "--etcd", registry.url)
    assert (done.code, done.out) == (1, [])
    assert registry.revision() == before
    return [line.removeprefix("skydns: ") for line in done.err]


def test_one_bad_document_keeps_every_other_from_being_written(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    path = manifest("web.yaml", service() + "---\n" + service("other", port=99999))
    (line,) = refused(skydns, registry, manifest("good.yaml", service("good")), path)
    assert line == f"{path} document 2: spec.ports[0].port: must be from 1 to 65535, not 99999"


def test_every_bad_document_is_named(skydns: Run, registry: Registry, manifest: Write) -> None:
    a = manifest("a.yaml", service(port="http") + "---\n---\n" + service("b", port=0))
    b = manifest("b.json", '{"apiVersion": "v1", "kind": "List", "items": [{"kind": "Pod"}, 5]}')
    assert refused(skydns, registry, a, b) == [
        f"{a} document 1: spec.ports[0].port: must be a whole number, not 'http'",
        f"{a} document 3: spec.ports[0].port: must be from 1 to 65535, not 0",
        f"{b} document 1 items[0]: apiVersion: is required",
        f"{b} document 1 items[1]: must be a mapping with apiVersion and kind",
    ]


KINDS = "Service, Endpoints, EndpointSlice, Pod, Namespace, Node"
LABEL = 'a DNS label: at most 63 of lower-case letters, digits and inner "-"'
NO_JSON = " document 1: is nothing that JSON can hold: "
NESTED = "is nested deeper than 100 levels"
REFUSALS = [
    (
        "apiVersion: apps/v1\nkind: Deployment",
        f" document 1: kind: 'apps/v1 Deployment' is not stored here; only {KINDS}",
    ),
    ("just text", " document 1: must be a mapping with apiVersion and kind"),
    ("apiVersion: v1\nkind: Service\nmetadata: {}", " document 1: metadata.name: is required"),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a/b}",
        f" document 1: metadata.name: 'a/b' is not {LABEL}",
    ),
    (
        "{apiVersion: v1beta1, kind: Service, id: a, port: 80, portalIP: here}",
        " document 1: portalIP: 'here' is not a plain IPv4 or IPv6 address",
    ),
    ("a: 1\nb:\n  c: 1\n  c: 2\n", ":4: 'c' is given twice"),
    ('{"a": 1, "a": 2}', ":1: 'a' is given twice"),
    ("a:\n  " + "[" * 200_000, f":2: {NESTED}"),
    ("- " * 200_000, f":1: {NESTED}"),
    ('{"a":' * 200_000, f":1: {NESTED}"),
    ("kind: &a [*a]", ":1: the alias *a stands for nothing before it, or for itself"),
    (
        "apiVersion: v1\nkind: Pod\nstatus: 1e999",
        f"{NO_JSON}Out of range float values are not JSON compliant",
    ),
    ("kind: !mine x", ":1: the tag !mine is not known here"),
    ("", ": no document in there"),
    ("---\n---\n", ": no document in there"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSALS, ids=[text[:30] for text, _ in REFUSALS])
def test_a_refusal_names_file_document_and_field(
    skydns: Run, registry: Registry, manifest: Write, text: str, expected: str
) -> None:
    path = manifest("web.yaml", text)
    (line,) = refused(skydns, registry, path)
    assert line.startswith(f"{path}{expected}")


def test_a_list_whose_items_are_no_list_is_refused(skydns: Run, registry: Registry, manifest: Write) -> None:
    path = manifest(
        "list.yaml", "{apiVersion: v1, kind: List, items: {}}\n---\n{apiVersion: v1, kind: List, items: x}"
    )
    assert refused(skydns, registry, path) == [f"{path} document 2: items: must be a list"]


def test_what_is_no_yaml_is_refused_with_its_line(skydns: Run, registry: Registry, manifest: Write) -> None:
    path = manifest("web.yaml", service() + "---\na: 1\n\tb: 2\n")
    (line,) = refused(skydns, registry, path)
    assert line.startswith(f"{path}:{service().count(chr(10)) + 3}: is not YAML: ")


def test_what_is_no_text_is_refused(skydns: Run, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_bytes(b"\xff")
    (line,) = refused(skydns, registry, str(tmp_path))
    assert line.startswith(f"{tmp_path}/web.yaml:1: is not YAML: ")


def test_a_json_file_is_read_as_json(skydns: Run, registry: Registry, manifest: Write) -> None:
    path = manifest("web.json", '{"apiVersion": "v1",\n"kind": NaN}')
    assert refused(skydns, registry, path)[0].startswith(f"{path} document 1: is nothing that JSON can hold")
    path = manifest("cut.json", '{"apiVersion": "v1",\n"kind"}')
    assert refused(skydns, registry, path)[0].startswith(f"{path}:2: is not JSON: ")


@pytest.mark.parametrize(
    "text", [service(), json.dumps(yaml.safe_load(service()), indent="\t"), "{kind: Pod, %s}"]
)
def test_standard_input_may_be_yaml_or_json(skydns: Run, registry: Registry, text: str) -> None:
    text = text.replace("%s", "apiVersion: v1, metadata: {name: a}")
    done = skydns("apply", "-f", "-", "--etcd", registry.url, stdin=text)
    assert (done.code, done.err) == (0, [])
    assert done.out[0].endswith(" created")


def test_a_folder_without_manifests_is_wrong_usage(skydns: Run, tmp_path: Path) -> None:
    done = skydns("apply", "-f", str(tmp_path))
    assert (done.code, done.err) == (2, [f"skydns: {tmp_path}: no .yaml, .yml, .json file in this folder"])


def test_a_folder_is_its_manifests_and_those_below_by_path_once_each(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yml", "a/y.json", ".hidden.yaml", ".git/c.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert documents.files(tmp_path) == [tmp_path / name for name in ("a/y.json", "a/z.yml", "b.yaml")]


def test_an_object_given_twice_is_refused(skydns: Run, registry: Registry, manifest: Write) -> None:
    a, b = manifest("a.yaml", service()), manifest("b.yaml", service("x") + "---\n" + service(port=81))
    assert refused(skydns, registry, a, b) == [
        f"{b} document 2: service/my-ns/web is already in {a} document 1; keep one"
    ]


def test_an_api_servers_value_is_not_overwritten_without_force(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    registry.put(KEY, PROTOBUF)
    path = manifest("web.yaml", service("new") + "---\n" + service())
    reason = "was written by an API server, which owns this etcd; use kubectl, or --force to overwrite"
    assert refused(skydns, registry, path) == [f"service/my-ns/web {reason}"]
    done = skydns("apply", "-f", path, "--etcd", registry.url, "--force")
    assert done.out == ["service/my-ns/new created", "service/my-ns/web configured"]
    assert registry.document(KEY)["spec"]["clusterIP"] == "10.0.0.9"


def test_an_address_that_nobody_can_be_reached_at_is_refused_and_can_be_deleted(
    skydns: Run, registry: Registry, manifest: Write
) -> None:
    good = manifest("web.yaml", service())
    assert skydns("apply", "-f", good, "--etcd", registry.url).code == 0
    stored = registry.document(KEY)
    stored["spec"]["clusterIP"] = "127.0.0.9"
    path = manifest("bad.json", json.dumps(stored))
    (line,) = refused(skydns, registry, path)
    assert line == f"{path} document 1: spec.clusterIP: 127.0.0.9 is loopback: nobody can be reached there"
    registry.put(KEY, json.dumps(stored).encode())  # as an earlier version stored it
    assert "127.0.0.9" in skydns("get", "services", "--etcd", registry.url).text
    assert skydns("delete", "-f", path, "--etcd", registry.url).code == 0
