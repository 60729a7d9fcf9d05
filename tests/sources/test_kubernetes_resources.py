"""What is asked of the Kubernetes API, and that its objects are etcd's; without a server."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from skydns_py.app import NAMED
from skydns_py.cluster import registry
from skydns_py.cluster.decode_json import decode_object
from skydns_py.cluster.objects import ClusterObject, Kind, Ref
from skydns_py.errors import StoreError
from skydns_py.portal_app import KINDS
from skydns_py.sources.kubernetes_client import ApiError
from skydns_py.sources.kubernetes_resources import Resource, resources, version_of
from skydns_py.sources.kubernetes_roll import describe
from tests.conformance import recording

ROOT = Path(__file__).parents[2]
ALL = frozenset(Kind)
LISTS: dict[str, Any] = json.loads((recording.DATA / "api-lists.json").read_text())
BY_NAME = {each.plural: each for each in (*resources(ALL, (), ""), Resource(Kind.ENDPOINTS))}


def asked(path: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(path)
    return parts.path, {key: value for key, [value] in parse_qs(parts.query).items()}


def recorded() -> dict[Ref, ClusterObject]:
    found: dict[Ref, ClusterObject] = {}
    for plural, answer in LISTS.items():
        resource = BY_NAME[plural]
        for entry in resource.entries(answer["items"]):
            found[resource.ref(entry.key)] = decode_object(resource.kind, entry.value)
    return found


def test_every_object_of_the_api_is_what_the_registry_has_below_its_key() -> None:
    from_api, compared = recorded(), 0
    assert all(obj.ref == ref for ref, obj in from_api.items())
    for key, value in recording.registry():
        ref = registry.parse_key(key, "/registry")
        assert ref is not None
        assert registry.decode(ref, value) == from_api[ref]
        compared += 1
    assert compared == 54


@pytest.mark.parametrize(
    ("kind", "everywhere", "in_one"),
    [
        (Kind.NAMESPACE, "/api/v1/namespaces", "/api/v1/namespaces"),
        (Kind.NODE, "/api/v1/nodes", "/api/v1/nodes"),
        (Kind.SLICE, "/apis/discovery.k8s.io/v1/endpointslices",
         "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"),
        (Kind.ENDPOINTS, "/api/v1/endpoints", "/api/v1/namespaces/shop/endpoints"),
        (Kind.SERVICE, "/api/v1/services", "/api/v1/namespaces/shop/services"),
        (Kind.POD, "/api/v1/pods", "/api/v1/namespaces/shop/pods"),
    ],
)  # fmt: skip
def test_each_kind_is_asked_for_where_the_api_has_it(kind: Kind, everywhere: str, in_one: str) -> None:
    [resource] = resources({kind}, (), "")
    assert asked(resource.listing(500, ""))[0] == everywhere
    [resource] = resources({kind}, ("shop",), "")
    assert asked(resource.listing(500, ""))[0] == in_one


def test_a_list_asks_for_the_newest_and_goes_on_with_its_token_alone() -> None:
    resource = Resource(Kind.SERVICE)
    assert asked(resource.listing(500, ""))[1] == {"limit": "500"}
    assert asked(resource.listing(500, "a+/="))[1] == {"limit": "500", "continue": "a+/="}
    exact = {"limit": "500", "resourceVersion": "7", "resourceVersionMatch": "Exact"}
    assert asked(resource.listing(500, "", 7))[1] == exact
    assert asked(resource.listing(500, "t", 7))[1] == {"limit": "500", "continue": "t"}


def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    assert asked(Resource(Kind.POD).watching(7, 300))[1] == {
        "watch": "1",
        "resourceVersion": "7",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }


def test_the_label_selector_is_for_services_and_not_for_the_probe() -> None:
    for resource in resources(ALL, ("a", "b"), "tier in (web),!old"):
        query = asked(resource.listing(1, ""))[1]
        assert (query.get("labelSelector") == "tier in (web),!old") is (resource.kind is Kind.SERVICE)
        assert "labelSelector" not in asked(resource.probe())[1]


def test_slices_stand_for_endpoints_and_records_are_not_there() -> None:
    kinds = [each.kind for each in resources(ALL, (), "")]
    assert kinds == [Kind.NAMESPACE, Kind.NODE, Kind.SLICE, Kind.SERVICE, Kind.POD]
    assert [each.kind for each in resources({Kind.ENDPOINTS, Kind.RECORD}, (), "")] == [Kind.ENDPOINTS]


def test_namespaces_are_asked_for_one_by_one_and_by_their_names() -> None:
    found = resources({Kind.NAMESPACE, Kind.NODE, Kind.SERVICE}, ("a", "b"), "")
    assert [(each.kind, each.namespace, each.name) for each in found] == [
        (Kind.NAMESPACE, "", "a"),
        (Kind.NAMESPACE, "", "b"),
        (Kind.NODE, "", ""),
        (Kind.SERVICE, "a", ""),
        (Kind.SERVICE, "b", ""),
    ]
    assert asked(found[0].probe())[1] == {"limit": "1", "fieldSelector": "metadata.name=a"}
    both = [{"metadata": {"name": name, "resourceVersion": "1"}} for name in ("a", "b")]
    assert [entry.key for entry in found[0].entries(both)] == [b"/a"]


@pytest.mark.parametrize("version", [None, "", "x", "-1", "1.5", "\u0665", "9" * 20, 7])
def test_a_resource_version_that_is_no_number_is_refused(version: object) -> None:
    with pytest.raises(
        StoreError, match=r"a list has a resourceVersion that is no number: .*cannot be followed"
    ):
        version_of({"metadata": {"resourceVersion": version}}, "a list")


@pytest.mark.parametrize("item", [None, 7, "x", [], {}, {"metadata": None}, {"metadata": {}}])
def test_an_object_without_a_name_is_refused(item: Any) -> None:
    with pytest.raises(StoreError, match="one of the services has no name"):
        Resource(Kind.SERVICE).entries([item])


@pytest.mark.parametrize(
    ("role", "kinds"), [("skydns-serve", NAMED), ("skydns-portal", KINDS)], ids=["serve", "portal"]
)
def test_the_roles_allow_what_is_asked_for_and_nothing_else(role: str, kinds: tuple[Kind, ...]) -> None:
    documents = list(yaml.safe_load_all((ROOT / "manifests/kubernetes/rbac.yaml").read_text()))
    [rules] = [
        each["rules"]
        for each in documents
        if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", role)
    ]
    allowed = [
        (group, plural) for rule in rules for group in rule["apiGroups"] for plural in rule["resources"]
    ]
    wanted = {kind for kind in kinds if kind is not Kind.POD or role == "skydns-serve"}
    needed = [asked(each.probe())[0].split("/") for each in resources(wanted, (), "")]
    assert sorted(allowed) == sorted((words[2] if words[1] == "apis" else "", words[-1]) for words in needed)
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}


SERVER = "https://10.0.0.1:6443"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreError(f"GET /api/v1/pods at {SERVER}: connection refused"), "connection refused"),
        (StoreError("GET /api/v1/pods: 3 bytes"), "GET /api/v1/pods: 3 bytes"),
        (ApiError("GET /a: 401 Unauthorized: no", 401, "Unauthorized"), "401 Unauthorized: no"),
        (ApiError("GET /a: 503 Unavailable", 503, "Unavailable"), "503 Unavailable"),
        (ApiError("GET /a: 429 TooManyRequests: x: y", 429, ""), "429 TooManyRequests: x: y"),
        (ApiError("GET /a: 400 BadRequest: no", 400, ""), "GET /a: 400 BadRequest: no"),
        (ApiError("GET /a: 403 Forbidden: no", 403, ""),
         "GET /a: 403 Forbidden: no; allow list and watch, as manifests/kubernetes/rbac.yaml does"),
    ],
)  # fmt: skip
def test_a_reason_that_is_the_same_for_all_kinds_names_none(error: Exception, expected: str) -> None:
    assert describe(error, SERVER) == f"Kubernetes API at {SERVER}: {expected}"
