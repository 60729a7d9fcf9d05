import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skydns_py.cluster import registry
from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import ClusterObject, Kind, Ref, Service
from skydns_py.errors import DecodeError
from tests.cluster.kubernetes_values import (
    SAMPLES,
    V1BETA1_SAMPLES,
    Document,
    api_lists,
    encode,
    mutations,
    outcome,
    registry_values,
    service,
)

WEB = Ref(Kind.SERVICE, "shop", "web")

KEYS: list[tuple[str, Ref]] = [
    ("services/specs/shop/web", WEB),
    ("services/endpoints/shop/web", Ref(Kind.ENDPOINTS, "shop", "web")),
    ("endpointslices/shop/web-x7k2p", Ref(Kind.SLICE, "shop", "web-x7k2p")),
    ("pods/shop/web-0", Ref(Kind.POD, "shop", "web-0")),
    ("namespaces/shop", Ref(Kind.NAMESPACE, "", "shop")),
    ("minions/node-a.example", Ref(Kind.NODE, "", "node-a.example")),
]


@pytest.mark.parametrize("prefix", ["/registry", "/registry/", "/a/b", ""])
@pytest.mark.parametrize(("relative", "ref"), KEYS)
def test_a_key_names_its_object_and_back(prefix: str, relative: str, ref: Ref) -> None:
    key = f"{prefix.rstrip('/')}/{relative}"
    assert registry.parse_key(key, prefix) == ref
    assert registry.key_for(ref, prefix) == key
    assert relative.startswith(registry.PREFIXES[ref.kind])


def test_every_kind_but_records_has_a_prefix_and_a_case_above() -> None:
    assert {ref.kind for _, ref in KEYS} == set(Kind) - {Kind.RECORD}
    assert len(registry.PREFIXES) == len(KEYS)
    with pytest.raises(ValueError, match="Record"):
        registry.key_for(Ref(Kind.RECORD, "", "local/a"), "/registry")


@pytest.mark.parametrize("folder", ["services/specs", "services/endpoints", "endpointslices", "pods"])
def test_a_key_without_a_namespace_is_in_default(folder: str) -> None:
    ref = registry.parse_key(f"/registry/{folder}/web", "/registry")
    assert ref is not None
    assert (ref.namespace, ref.name) == ("default", "web")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/registry",
        "/registry/",
        "/registry/services/specs",
        "/registry/services/specs/",
        "/registry/services/specs/shop/",
        "/registry/services/specs//web",
        "/registry/services/specs/shop/web/more",
        "/registry/services/other/shop/web",
        "/registry/namespaces/shop/finalize",
        "/registry/minions/a/b",
        "/registry/secrets/shop/web",
        "/registry/podtemplates/shop/web",
        "/registry2/services/specs/shop/web",
        "/other/registry/services/specs/shop/web",
        "registry/services/specs/shop/web",
    ],
)
def test_other_keys_name_nothing(key: str) -> None:
    assert registry.parse_key(key, "/registry") is None


@settings(deadline=None)
@given(st.text() | st.text().map(lambda rest: f"/registry/services/specs/{rest}"))
def test_no_key_raises(key: str) -> None:
    ref = registry.parse_key(key, "/registry")
    assert ref is None or registry.parse_key(registry.key_for(ref, "/registry"), "/registry") == ref


def recorded_objects() -> dict[Ref, ClusterObject]:
    return {each.ref: each for recorded in api_lists() for each in decode_document(recorded)}


def test_the_recorded_registry_is_what_the_api_server_answered() -> None:
    from_api, compared = recorded_objects(), 0
    for key, value in registry_values().items():
        ref = registry.parse_key(key, "/registry")
        assert ref is not None, key
        decoded = registry.decode(ref, value)
        if ref in from_api:
            assert decoded == from_api[ref]
            compared += 1
    assert compared == len(registry_values()) == 54


def test_the_recording_holds_what_the_rules_are_about() -> None:
    objects = list(recorded_objects().values())
    services = [each for each in objects if isinstance(each, Service)]
    assert any(each.headless for each in services)
    assert any(each.external_name for each in services)
    assert any(len(each.addresses) == 2 for each in services)
    assert any(each.exposure.balancer_addresses for each in services)
    assert any(each.exposure.affinity_seconds for each in services)
    assert any(isinstance(port.target, str) for each in services for port in each.ports)


def test_json_values_of_both_versions_decode() -> None:
    for document in SAMPLES + V1BETA1_SAMPLES:
        [expected] = decode_document(document)
        assert registry.decode(expected.ref, json.dumps(document).encode()) == expected
        if document["apiVersion"] != "v1beta1":
            assert registry.decode(expected.ref, encode(document)) == expected


def test_an_early_value_without_a_namespace_belongs_to_its_short_key() -> None:
    value = b'{"kind": "Service", "apiVersion": "v1beta1", "id": "web", "port": 80}'
    ref = registry.parse_key("/registry/services/specs/web", "/registry")
    assert ref is not None
    assert registry.decode(ref, value).ref == ref


JSON_WEB = json.dumps(service()).encode()
REFUSED: list[tuple[Ref, bytes, str, str]] = [
    (WEB, b"", "", "is not JSON"),
    (WEB, b"\xff", "", "is not UTF-8 at octet 0"),
    (WEB, JSON_WEB[:-1], "", "is not JSON"),
    (WEB, JSON_WEB.decode().encode("utf-16"), "", "is not UTF-8"),
    (WEB, b"[" * 100_000, "", "nested too deeply"),
    (WEB, b"1" * 5000, "", "is not JSON"),
    (WEB, b"null", "kind", "one object"),
    (WEB, b"7", "", "must be a mapping"),
    (WEB, b"{}", "apiVersion", "is required"),
    (WEB, b'{"kind": "Secret", "apiVersion": "v1"}', "kind", "one object"),
    (WEB, json.dumps({"kind": "List", "apiVersion": "v1", "items": SAMPLES}).encode(), "kind", "one object"),
    (WEB, json.dumps(service({"ports": [{}]})).encode(), "spec.ports[0].port", "from 1 to 65535"),
    (Ref(Kind.POD, "shop", "web"), JSON_WEB, "kind", "Service shop/web"),
    (Ref(Kind.SERVICE, "shop", "api"), JSON_WEB, "metadata", "the key says Service shop/api"),
    (Ref(Kind.SERVICE, "default", "web"), encode(service()), "metadata", "the key says Service default/web"),
    (WEB, b"k8s:enc:aescbc:v1:key1:\x00\x01", "", "Kubernetes API"),
    (WEB, b"k8s\0", "kind", "not an object"),
]


@pytest.mark.parametrize(("ref", "value", "path", "part"), REFUSED)
def test_a_value_that_cannot_be_used_is_refused(ref: Ref, value: bytes, path: str, part: str) -> None:
    found, reason = outcome(registry.decode, ref, value)
    assert found == path
    assert part in str(reason)


@settings(deadline=None)
@given(st.binary())
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": 1e999, "b": NaN}')
def test_no_octets_raise_anything_but_a_decode_error(value: bytes) -> None:
    outcome(registry.decode, WEB, value)


@settings(deadline=None)
@given(mutations(SAMPLES + V1BETA1_SAMPLES))
def test_no_json_raises_anything_but_a_decode_error(document: Document) -> None:
    def plain(value: Any) -> Any:
        return str(value)

    try:
        value = json.dumps(document, default=plain)
    except TypeError:  # a key that JSON cannot have
        return
    outcome(registry.decode, WEB, value.encode())


def test_a_refusal_is_one_line_with_field_and_reason() -> None:
    with pytest.raises(DecodeError, match=r"^spec\.ports\[0\]\.port: must be from 1 to 65535, not 0$"):
        registry.decode(WEB, json.dumps(service({"ports": [{"port": 0}]})).encode())
