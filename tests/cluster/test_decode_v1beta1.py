import json
from typing import Any

import pytest
from hypothesis import given, settings

from skydns_py.cluster import decode_v1beta1
from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import (
    Endpoint,
    EndpointPort,
    Endpoints,
    Exposure,
    Namespace,
    Node,
    Pod,
    Service,
    ServicePort,
    Subset,
)
from skydns_py.cluster.service import ALL_PODS
from skydns_py.errors import DecodeError
from tests.cluster.kubernetes_values import V1BETA1_SAMPLES, Document, mutations, outcome

V4, OTHER, V6 = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), bytes.fromhex("20010db8" + "0" * 23 + "1")


def written(kind: str, **body: Any) -> Document:
    return {"kind": kind, "apiVersion": "v1beta1", "id": "web", **body}


def only(document: Document) -> Any:
    [found] = decode_document(document)
    return found


BARE = ServicePort("", "TCP", 80)
SERVICES: dict[str, tuple[Document, dict[str, Any]]] = {
    "a port alone": ({}, {}),
    "server fields": ({"uid": "u", "creationTimestamp": None, "selfLink": "/", "resourceVersion": 7}, {}),
    "containerPort": ({"containerPort": 8080}, {"ports": (ServicePort("", "TCP", 80, 8080),)}),
    "containerPort 0": ({"containerPort": 0}, {}),
    "containerPort empty": ({"containerPort": ""}, {}),
    "containerPort name": ({"containerPort": "www"}, {"ports": (ServicePort("", "TCP", 80, "www"),)}),
    "protocol": ({"protocol": "UDP"}, {"ports": (ServicePort("", "UDP", 80),)}),
    "protocol in any case": ({"protocol": "udp"}, {"ports": (ServicePort("", "UDP", 80),)}),
    "portName": ({"portName": "http"}, {"ports": (ServicePort("http", "TCP", 80),)}),
    "no portalIP yet": ({"portalIP": ""}, {}),
    "portalIP": ({"portalIP": "10.0.0.1"}, {"addresses": (V4,)}),
    "portalIP None": ({"portalIP": "None"}, {"headless": True}),
    "publicIPs": ({"publicIPs": ["10.0.0.2"]}, {"exposure": Exposure(addresses=(OTHER,))}),
    "a balancer": ({"createExternalLoadBalancer": True}, {"exposure": Exposure(wants_balancer=True)}),
    "no balancer": ({"createExternalLoadBalancer": False, "publicIPs": None}, {}),
    "proxyPort": ({"proxyPort": 40000}, {}),
    "sessionAffinity None": ({"sessionAffinity": "None"}, {}),
    "sessionAffinity": ({"sessionAffinity": "ClientIP"}, {"exposure": Exposure(affinity_seconds=10800)}),
    "null selector": ({"selector": None}, {"selector": None}),
    "empty selector": ({"selector": {}}, {"selector": ()}),
    "selector": ({"selector": {"name": "web"}}, {"selector": (("name", "web"),)}),
    "namespace": ({"namespace": "shop"}, {"namespace": "shop"}),
    "null ports": ({"ports": None}, {}),
    "empty ports": ({"ports": []}, {}),
    "ports override": (
        {
            "portName": "old",
            "protocol": "UDP",
            "containerPort": 1,
            "ports": [
                {"name": "a", "port": 81, "protocol": "TCP", "containerPort": 8081},
                {"name": "b", "port": 82},
            ],
        },
        {"ports": (ServicePort("a", "TCP", 81, 8081), ServicePort("b", "TCP", 82))},
    ),
}


@pytest.mark.parametrize("case", SERVICES)
def test_a_service_keeps_its_meaning(case: str) -> None:
    body, expected = SERVICES[case]
    fields = {"namespace": "default", "ports": (BARE,), **expected}
    assert only(written("Service", port=80, **body)) == Service(name="web", **fields)


def test_the_first_releases_own_example_decodes() -> None:
    text = (
        '{"kind":"Service","id":"apache2-service","uid":"…","creationTimestamp":"…","apiVersion":"v1beta1",'
        '"namespace":"default","port":9090,"protocol":"TCP","selector":{"name":"apache2"},"containerPort":80,'
        '"portalIP":"10.100.62.248","sessionAffinity":"None"}'
    )
    port, selector = ServicePort("", "TCP", 9090, 80), (("name", "apache2"),)
    expected = Service("default", "apache2-service", (port,), (bytes((10, 100, 62, 248)),), selector=selector)
    assert only(json.loads(text)) == expected


HTTP = (EndpointPort("", "TCP", 80),)
ENDPOINTS: dict[str, tuple[Document, tuple[Subset, ...]]] = {
    "none": ({"endpoints": None}, ()),
    "empty": ({"endpoints": [], "subsets": []}, ()),
    "one": ({"endpoints": ["10.0.0.1:80"]}, (Subset((Endpoint(V4),), HTTP),)),
    "IPv6": ({"endpoints": ["[2001:db8::1]:80"]}, (Subset((Endpoint(V6),), HTTP),)),
    "UDP": (
        {"endpoints": ["10.0.0.1:53"], "protocol": "UDP"},
        (Subset((Endpoint(V4),), (EndpointPort("", "UDP", 53),)),),
    ),
    "protocol in any case": (
        {"endpoints": ["10.0.0.1:80"], "protocol": "tcp"},
        (Subset((Endpoint(V4),), HTTP),),
    ),
    "two of one port, one of another": (
        {"endpoints": ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80"]},
        (
            Subset((Endpoint(V4), Endpoint(OTHER)), HTTP),
            Subset((Endpoint(V4),), (EndpointPort("", "TCP", 81),)),
        ),
    ),
    "targetRefs": (
        {
            "endpoints": ["10.0.0.1:80"],
            "targetRefs": [{"endpoint": "10.0.0.1:80", "targetRef": {"kind": "Pod"}}],
        },
        (Subset((Endpoint(V4),), HTTP),),
    ),
    "subsets win": (
        {
            "endpoints": ["10.0.0.2:99"],
            "protocol": "UDP",
            "subsets": [
                {"addresses": [{"IP": "10.0.0.1", "targetRef": {"kind": "Pod"}}], "ports": [{"port": 80}]}
            ],
        },
        (Subset((Endpoint(V4),), HTTP),),
    ),
    "ip in any case": (
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
        (Subset((Endpoint(V4),), HTTP),),
    ),
    "ports of a subset": (
        {
            "subsets": [
                {
                    "addresses": [{"IP": "10.0.0.1"}],
                    "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2, "protocol": "udp"}],
                }
            ]
        },
        (Subset((Endpoint(V4),), (EndpointPort("a", "TCP", 1), EndpointPort("b", "UDP", 2))),),
    ),
}


@pytest.mark.parametrize("case", ENDPOINTS)
def test_endpoints_keep_their_meaning(case: str) -> None:
    body, expected = ENDPOINTS[case]
    assert only(written("Endpoints", **body)) == Endpoints("default", "web", expected)


PODS: list[tuple[Document, dict[str, Any]]] = [
    ({}, {}),
    ({"currentState": {"podIP": "10.0.0.1", "status": "Running"}}, {"addresses": (V4,)}),
    ({"currentState": {"status": "Terminated"}}, {"finished": True}),
    ({"currentState": {"status": "Succeeded"}}, {"finished": True}),
    ({"currentState": {"status": "Waiting"}}, {}),
    ({"currentState": {"Condition": [{"kind": "Ready", "status": "Full"}]}}, {"ready": True}),
    ({"currentState": {"Condition": [{"kind": "Ready", "status": "None"}]}}, {}),
    ({"desiredState": {"manifest": {"hostNetwork": True}}}, {"host_network": True}),
    ({"labels": {"tier": "backend", "name": "web"}}, {"labels": (("name", "web"), ("tier", "backend"))}),
    ({"desiredState": {"host": "n1"}, "currentState": {"host": "n2"}}, {"node": "n1"}),
    ({"currentState": {"host": "n2"}}, {"node": "n2"}),
    (
        {
            "desiredState": {
                "manifest": {
                    "containers": [
                        {"name": "c", "ports": [{"name": "www", "containerPort": 80}, {"containerPort": 81}]},
                        {"name": "d", "ports": [{"name": "dns", "containerPort": 53, "protocol": "udp"}]},
                    ]
                }
            }
        },
        {"ports": (EndpointPort("www", "TCP", 80), EndpointPort("dns", "UDP", 53))},
    ),
]


@pytest.mark.parametrize(("body", "expected"), PODS)
def test_a_pod_keeps_its_meaning(body: Document, expected: dict[str, Any]) -> None:
    assert only(written("Pod", **body)) == Pod("default", "web", **expected)


def test_namespaces_and_minions_keep_their_meaning() -> None:
    assert only(written("Namespace")) == Namespace("web")
    assert only(written("Minion", hostIP="10.0.0.1")) == Node("web", (V4,))
    listed = {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}
    assert only(written("Node", hostIP="10.0.0.1", status=listed)) == Node("web", (OTHER,))


def test_a_selector_of_all_pods_survives_v1_and_an_api_server() -> None:
    upgraded = decode_v1beta1.upgrade(written("Service", port=80, selector={}, annotations={"a": "b"}))
    assert upgraded["metadata"] == {
        "name": "web",
        "namespace": "default",
        "annotations": {"a": "b", ALL_PODS: "true"},
    }
    assert only(upgraded).selector == ()
    without_empty_maps = {**upgraded, "spec": {"ports": [{"port": 80}]}}
    assert only(without_empty_maps).selector == ()
    by_hand = decode_v1beta1.upgrade(written("Service", port=80, selector=None))
    assert only(by_hand).selector is None


@pytest.mark.parametrize("document", V1BETA1_SAMPLES, ids=lambda document: document["kind"])
def test_the_upgraded_document_is_json_of_the_same_object(document: Document) -> None:
    upgraded = json.loads(json.dumps(decode_v1beta1.upgrade(document)))
    assert upgraded["apiVersion"] == "v1"
    assert decode_document(upgraded) == decode_document(document)
    assert document == json.loads(json.dumps(document)), "the input is not changed"


def test_the_upgraded_document_has_v1_fields_only() -> None:
    upgraded = decode_v1beta1.upgrade(V1BETA1_SAMPLES[0])
    assert upgraded == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "apache2-service", "namespace": "shop", "labels": {"a": "b"}},
        "spec": {
            "clusterIP": "10.100.62.248",
            "externalIPs": ["192.0.2.1"],
            "type": "LoadBalancer",
            "sessionAffinity": "None",
            "selector": {"name": "apache2"},
            "ports": [{"name": "web", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }


def test_the_references_of_endpoints_are_kept() -> None:
    target = {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "u"}
    flat = written(
        "Endpoints", endpoints=["10.0.0.1:80"], targetRefs=[{"endpoint": "10.0.0.1:80", "targetRef": target}]
    )
    subset = written("Endpoints", subsets=[{"addresses": [{"IP": "10.0.0.1", "targetRef": target}]}])
    address = {"ip": "10.0.0.1", "targetRef": target}
    assert decode_v1beta1.upgrade(flat)["subsets"] == [{"addresses": [address], "ports": [{"port": 80}]}]
    assert decode_v1beta1.upgrade(subset)["subsets"] == [{"addresses": [address]}]


@pytest.mark.parametrize("kind", ["ReplicationController", "", None])
def test_a_kind_without_a_v1_form_here_is_refused(kind: str | None) -> None:
    with pytest.raises(DecodeError, match=r"^kind: .* is not one of Service, Endpoints"):
        decode_v1beta1.upgrade({"apiVersion": "v1beta1", "kind": kind})


@settings(max_examples=500, deadline=None)
@given(mutations(V1BETA1_SAMPLES))
def test_no_mutation_makes_an_upgrade_raise_anything_but_a_decode_error(document: Document) -> None:
    outcome(decode_v1beta1.upgrade, document)
    outcome(decode_document, document)


@settings(max_examples=500, deadline=None)
@given(mutations(V1BETA1_SAMPLES))
def test_what_decodes_also_upgrades_to_the_same_object(document: Document) -> None:
    try:
        decoded = decode_document(document)
    except DecodeError:
        return
    if decoded:
        assert decode_document(decode_v1beta1.upgrade(document)) == decoded
