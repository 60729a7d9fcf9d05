import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cluster.decode_json import decode_document, decode_each, decode_object
from skydns_py.cluster.objects import (
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Hints,
    Kind,
    Namespace,
    Node,
    Pod,
    Service,
    ServicePort,
    Subset,
)
from skydns_py.errors import DecodeError
from tests.cluster.kubernetes_values import (
    SAMPLES,
    V1BETA1_SAMPLES,
    YAML_VALUES,
    Document,
    api_lists,
    mutations,
    outcome,
    service,
    typed,
)

META = {"name": "web", "namespace": "shop"}
V4, V6 = bytes((10, 0, 0, 1)), bytes.fromhex("fd000000000000000000000000000001")
PORT80 = (ServicePort("", "TCP", 80),)


def only(document: Document) -> Any:
    [found] = decode_document(document)
    return found


def test_an_object_without_a_namespace_is_in_default() -> None:
    assert only(typed("Service", {"metadata": {"name": "web"}})) == Service("default", "web")
    assert only(typed("Pod", {"metadata": {"name": "p", "namespace": ""}})) == Pod("default", "p")


def test_endpoints_keep_readiness_hostname_node_and_ports() -> None:
    subsets = [
        {
            "addresses": [
                {"ip": "10.0.0.1", "hostname": "web-0", "nodeName": "n1", "targetRef": {"kind": "Pod"}}
            ],
            "notReadyAddresses": [{"ip": "fd00::1"}],
            "ports": [{"port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        },
        {"addresses": [], "ports": [{"port": 1}]},
        {"addresses": [{"ip": "10.0.0.1"}]},
    ]
    ready, unready = Endpoint(V4, "web-0", node="n1"), Endpoint(V6, ready=False, serving=False)
    ports = (EndpointPort("", "TCP", 80), EndpointPort("dns", "UDP", 53))
    expected = (Subset((ready, unready), ports), Subset((Endpoint(V4),), ()))
    assert only(typed("Endpoints", {"metadata": META, "subsets": subsets})) == Endpoints(
        "shop", "web", expected
    )
    assert only(typed("Endpoints", {"metadata": META, "subsets": None})) == Endpoints("shop", "web")


CONDITIONS: list[tuple[Document | None, tuple[bool, bool, bool]]] = [
    (None, (True, True, False)),
    ({}, (True, True, False)),
    ({"ready": None, "serving": None, "terminating": None}, (True, True, False)),
    ({"ready": True}, (True, True, False)),
    ({"ready": False}, (False, False, False)),
    ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
    ({"serving": False}, (True, False, False)),
]


@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS)
def test_absent_conditions_mean_ready_and_serving_follows_ready(
    conditions: Document | None, expected: tuple[bool, bool, bool]
) -> None:
    endpoint = {"addresses": ["10.0.0.1"], "conditions": conditions}
    body = {"metadata": META, "addressType": "IPv4", "endpoints": [endpoint]}
    [found] = only(typed("EndpointSlice", body)).subsets[0].endpoints
    assert (found.ready, found.serving, found.terminating) == expected


def test_a_slice_belongs_to_the_service_of_its_label() -> None:
    body = {
        "metadata": {**META, "labels": {"kubernetes.io/service-name": "api", "unread": None}},
        "addressType": "IPv6",
        "endpoints": [{"addresses": ["fd00::1", "10.0.0.1"], "hostname": "h", "nodeName": "n", "zone": "z"}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "any"}, {"port": None}],
    }
    endpoints = tuple(Endpoint(each, "h", node="n", zone="z") for each in (V6, V4))
    expected = EndpointSlice("shop", "web", "api", (Subset(endpoints, (EndpointPort("http", "TCP", 80),)),))
    assert only(typed("EndpointSlice", body)) == expected


def test_a_slice_of_names_or_of_nothing_has_no_endpoints() -> None:
    fqdn = {"metadata": META, "addressType": "FQDN", "endpoints": [{"addresses": ["db.example.com"]}]}
    empty = {"metadata": META, "addressType": "IPv4", "endpoints": None, "ports": None}
    assert only(typed("EndpointSlice", fqdn)) == EndpointSlice("shop", "web", "")
    assert only(typed("EndpointSlice", empty)) == EndpointSlice("shop", "web", "")


def test_a_slice_name_may_exceed_a_label() -> None:
    name = "a" * 63 + "-x7k2p"
    body = {"metadata": {**META, "name": name}, "addressType": "IPv4"}
    assert only(typed("EndpointSlice", body)).name == name


PODS: list[tuple[Document, dict[str, Any]]] = [
    ({}, {}),
    ({"status": {"podIP": "10.0.0.1"}}, {"addresses": (V4,)}),
    (
        {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}},
        {"addresses": (V4, V6)},
    ),
    ({"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "fd00::1"}]}}, {"addresses": (V6, V4)}),
    ({"status": {"podIP": "", "podIPs": [{}, {"ip": ""}]}}, {}),
    ({"spec": {"hostNetwork": True}}, {"host_network": True}),
    ({"status": {"phase": "Running"}}, {}),
    ({"status": {"phase": "Succeeded"}}, {"finished": True}),
    ({"status": {"phase": "Failed"}}, {"finished": True}),
    ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, {"ready": True}),
    (
        {
            "status": {
                "conditions": [
                    {"type": "Ready", "status": "False"},
                    {"type": "Initialized", "status": "True"},
                ]
            }
        },
        {},
    ),
    (
        {"metadata": {**META, "labels": {"tier": "backend", "app": "web"}}},
        {"labels": (("app", "web"), ("tier", "backend"))},
    ),
    ({"metadata": {**META, "labels": None, "deletionTimestamp": None}}, {}),
    ({"metadata": {**META, "deletionTimestamp": "2026-01-02T03:04:05Z"}}, {"terminating": True}),
    (
        {"spec": {"nodeName": "n1", "hostname": "web-0", "subdomain": "db"}},
        {"node": "n1", "hostname": "web-0", "subdomain": "db"},
    ),
    (
        {
            "spec": {
                "containers": [
                    {"name": "c", "ports": [{"name": "www", "containerPort": 80}, {"containerPort": 81}]},
                    {"name": "bare"},
                    {"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP", "hostPort": 1}]},
                ]
            }
        },
        {"ports": (EndpointPort("www", "TCP", 80), EndpointPort("dns", "UDP", 53))},
    ),
]


@pytest.mark.parametrize(("body", "expected"), PODS)
def test_a_pod_decodes_to_what_names_need_of_it(body: Document, expected: dict[str, Any]) -> None:
    assert only(typed("Pod", {"metadata": META, **body})) == Pod("shop", "web", **expected)


def test_what_repeats_across_pods_is_one_object() -> None:
    text = (
        '{"metadata": {"name": "%s", "labels": {"app-name": "the-web"}},'
        ' "spec": {"nodeName": "node-1", "containers": [{"ports": [{"name": "www", "containerPort": 80}]}]}}'
    )
    first, second = (only(typed("Pod", json.loads(text % name))) for name in ("a", "b"))
    assert first.labels is second.labels
    assert first.ports is second.ports
    assert first.node is second.node


HINTS: list[tuple[Document | None, Hints | None]] = [
    (None, None),
    ({}, None),
    ({"forZones": [], "forNodes": None}, None),
    ({"forZones": [{"name": "z1"}, {"name": "z2"}]}, Hints(zones=("z1", "z2"))),
    ({"forNodes": [{"name": "n1"}]}, Hints(nodes=("n1",))),
    ({"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}, Hints(("z1",), ("n1",))),
]


@pytest.mark.parametrize(("hints", "expected"), HINTS)
def test_a_slices_hints_are_kept(hints: Document | None, expected: Hints | None) -> None:
    endpoints = [{"addresses": ["10.0.0.1"], "hints": hints}, {"addresses": ["fd00::1"]}]
    body = {"metadata": META, "addressType": "IPv4", "endpoints": endpoints}
    assert [each.hints for each in only(typed("EndpointSlice", body)).subsets[0].endpoints] == [
        expected,
        None,
    ]


NEWER, OLDER = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, ""),
        ({"zone": "z"}, ""),
        ({NEWER: "z1"}, "z1"),
        ({OLDER: "z2"}, "z2"),
        ({OLDER: "z2", NEWER: "z1"}, "z1"),
    ],
)
def test_a_node_is_in_the_zone_of_its_label(labels: Document | None, expected: str) -> None:
    assert only(typed("Node", {"metadata": {"name": "n", "labels": labels}})) == Node("n", (), expected)


def test_a_node_keeps_its_internal_and_external_addresses() -> None:
    listed = [
        {"type": "Hostname", "address": "node-a"},
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "ExternalIP", "address": "fd00::1"},
        {"type": "InternalIP", "address": "10.0.0.1"},
    ]
    document = typed("Node", {"metadata": {"name": "node-a.example"}, "status": {"addresses": listed}})
    assert only(document) == Node("node-a.example", (V4, V6))


def test_a_namespace_has_only_its_name() -> None:
    assert only(typed("Namespace", {"metadata": {"name": "shop", "namespace": "ignored"}})) == Namespace(
        "shop"
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"apiVersion": "v1", "kind": "ConfigMap", "data": 7},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "v2", "kind": "Service"},
        {"apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice"},
        {"apiVersion": "v1beta1", "kind": "ReplicationController"},
        {"apiVersion": "v1", "kind": "ConfigMapList", "items": "unread"},
        {"apiVersion": "example.com/v1", "kind": "AllowList", "items": 7},
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [{"apiVersion": "example.com/v1", "kind": "AllowList"}],
        },
        {"apiVersion": "v1", "kind": "List", "items": None},
        {"apiVersion": "v1", "kind": "ServiceList"},
        {"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret"}]},
    ],
)
def test_other_kinds_and_empty_documents_hold_nothing(document: Document | None) -> None:
    assert decode_document(document) == []


def test_lists_hold_the_objects_of_their_items() -> None:
    bare = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]
    slices = [{"metadata": {"name": "s"}, "addressType": "IPv4"}]
    mixed = [typed("Namespace", {"metadata": {"name": "shop"}}), *V1BETA1_SAMPLES[3:]]
    assert decode_document(typed("ServiceList", {"items": bare})) == [
        Service("default", "a"),
        Service("default", "b"),
    ]
    found = decode_document(
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "items": slices}
    )
    assert found == [EndpointSlice("default", "s", "")]
    found = decode_document({"apiVersion": "v1", "kind": "List", "items": mixed})
    assert found == [Namespace("shop"), Namespace("shop"), Node("node-a", (bytes((192, 0, 2, 10)),))]


def test_the_recorded_lists_decode_whole() -> None:
    lists = api_lists()
    found = [decode_document(each) for each in lists]
    assert [len(each) for each in found] == [len(each["items"]) for each in lists]


def test_a_bad_item_is_refused_alone() -> None:
    items = [service(name="a"), service({"ports": [{"port": 0}]}, name="b"), 7, service(name="c")]
    first, bad, number, last = decode_each({"apiVersion": "v1", "kind": "List", "items": items})
    assert (first, last) == (Service("shop", "a"), Service("shop", "c"))
    assert isinstance(bad, DecodeError)
    assert bad.path == "items[1].spec.ports[0].port"
    assert isinstance(number, DecodeError)
    assert number.path == "items[2]"


BAD_DOCUMENTS: list[tuple[object, str]] = [
    (7, ""),
    ("text", ""),
    ([], ""),
    ({}, "apiVersion"),
    ({"kind": "Service"}, "apiVersion"),
    ({"apiVersion": "v1"}, "kind"),
    ({"apiVersion": 1, "kind": "Service"}, "apiVersion"),
    ({"apiVersion": "v1", "kind": ["Service"]}, "kind"),
    ({"apiVersion": "v1", "kind": "List", "items": {}}, "items"),
    ({"apiVersion": "v1", "kind": "List", "items": [None]}, "items[0]"),
    ({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1"}]}, "items[0].kind"),
    ({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "List"}]}, "items[0]"),
    ({"apiVersion": "v1", "kind": "ServiceList", "items": [{}]}, "items[0].metadata.name"),
    ({"apiVersion": "v1beta1", "kind": "ServiceList", "items": [{"id": "a"}]}, "items[0].port"),
    (
        {"apiVersion": "v1beta1", "kind": "MinionList", "minions": [{"id": "a", "hostIP": "x"}]},
        "minions[0].hostIP",
    ),
]


@pytest.mark.parametrize(("document", "path"), BAD_DOCUMENTS)
def test_a_bad_document_is_refused_with_its_path(document: object, path: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_document(document)
    assert refused.value.path == path
    assert refused.value.reason


def test_text_that_dns_could_not_carry_is_refused() -> None:
    path, reason = outcome(decode_document, service({"selector": {"app": "\ud800"}}))
    assert (path, "surrogate" in str(reason)) == ("spec.selector['app']", True)


def test_a_list_that_contains_itself_is_refused() -> None:
    document: Document = {"apiVersion": "v1", "kind": "List"}
    document["items"] = [document]
    assert outcome(decode_document, document)[0] == "items[0]"


@settings(deadline=None)
@given(YAML_VALUES)
def test_no_value_raises_anything_but_a_decode_error(value: object) -> None:
    outcome(decode_document, value)


@settings(deadline=None)
@given(
    st.sampled_from([kind for kind in Kind if kind is not Kind.RECORD]),
    st.dictionaries(st.text(), YAML_VALUES),
)
def test_no_mapping_raises_anything_but_a_decode_error(kind: Kind, value: dict[str, object]) -> None:
    outcome(decode_object, kind, value)


@settings(max_examples=500, deadline=None)
@given(mutations(SAMPLES + V1BETA1_SAMPLES))
def test_no_mutation_raises_anything_but_a_decode_error(document: Document) -> None:
    outcome(decode_document, document)
    outcome(decode_document, {"apiVersion": "v1", "kind": "List", "items": [document]})
