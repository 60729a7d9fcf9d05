import json
from typing import Any

import pytest

from skydns_py.cluster.decode_json import decode_document, decode_object
from skydns_py.cluster.objects import NO_WISHES, UNEXPOSED, Exposure, Kind, Service, ServicePort, Wishes
from tests.cluster.kubernetes_values import Document, outcome, service, typed

META = {"name": "web", "namespace": "shop"}
V4, V6 = bytes((10, 0, 0, 1)), bytes.fromhex("fd000000000000000000000000000001")
PORT80 = (ServicePort("", "TCP", 80),)


def only(document: Document) -> Any:
    [found] = decode_document(document)
    return found


SERVICES: dict[str, tuple[Document, dict[str, Any]]] = {
    "nothing assigned yet": ({}, {}),
    "empty clusterIP": ({"clusterIP": ""}, {}),
    "one clusterIP": ({"clusterIP": "10.0.0.1"}, {"addresses": (V4,)}),
    "clusterIPs alone": ({"clusterIPs": ["10.0.0.1"]}, {"addresses": (V4,)}),
    "dual stack": ({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}, {"addresses": (V4, V6)}),
    "empty clusterIPs": ({"clusterIP": "10.0.0.1", "clusterIPs": []}, {"addresses": (V4,)}),
    "clusterIPs of nothing": ({"clusterIP": "10.0.0.1", "clusterIPs": [""]}, {"addresses": (V4,)}),
    "the same address twice": ({"clusterIPs": ["10.0.0.1", "10.0.0.1"]}, {"addresses": (V4,)}),
    "an IPv4-mapped address": ({"clusterIP": "::ffff:10.0.0.1"}, {"addresses": (V4,)}),
    "headless": ({"clusterIP": "None"}, {"headless": True}),
    "headless in clusterIPs": ({"clusterIPs": ["None"]}, {"headless": True}),
    "ExternalName": (
        {"type": "ExternalName", "externalName": "DB.example.com"},
        {"external_name": "db.example.com"},
    ),
    "ExternalName with its final dot": (
        {"type": "ExternalName", "externalName": "a_b.c."},
        {"external_name": "a_b.c"},
    ),
    "ExternalName ignores what does not apply to it": (
        {
            "type": "ExternalName",
            "externalName": "a",
            "clusterIP": "None",
            "selector": {"a": "b"},
            "externalIPs": ["x"],
        },
        {"external_name": "a"},
    ),
    "externalName of another type": ({"externalName": "a.example"}, {}),
    "publishNotReadyAddresses": ({"publishNotReadyAddresses": True}, {"publish_not_ready": True}),
    "null selector": ({"selector": None}, {}),
    "empty selector": ({"selector": {}}, {}),
    "selector": ({"selector": {"b": "2", "a": "1"}}, {"selector": (("a", "1"), ("b", "2"))}),
    "null ports": ({"ports": None}, {}),
    "a bare port": ({"ports": [{"port": 80}]}, {"ports": PORT80}),
    "its own targetPort": ({"ports": [{"port": 80, "targetPort": 80}]}, {"ports": PORT80}),
    "targetPort 0": ({"ports": [{"port": 80, "targetPort": 0}]}, {"ports": PORT80}),
    "targetPort empty": ({"ports": [{"port": 80, "targetPort": ""}]}, {"ports": PORT80}),
    "targetPort number": (
        {"ports": [{"port": 80, "targetPort": 1}]},
        {"ports": (ServicePort("", "TCP", 80, 1),)},
    ),
    "targetPort digits": (
        {"ports": [{"port": 80, "targetPort": "1"}]},
        {"ports": (ServicePort("", "TCP", 80, 1),)},
    ),
    "targetPort name": (
        {"ports": [{"port": 80, "targetPort": "w"}]},
        {"ports": (ServicePort("", "TCP", 80, "w"),)},
    ),
    "a full port": (
        {"ports": [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353, "nodePort": 30053}]},
        {"ports": (ServicePort("dns", "UDP", 53, 5353, 30053),)},
    ),
    "SCTP": ({"ports": [{"port": 9, "protocol": "SCTP"}]}, {"ports": (ServicePort("", "SCTP", 9),)}),
    "externalIPs": ({"externalIPs": ["10.0.0.1"]}, {"exposure": Exposure(addresses=(V4,))}),
    "NodePort": ({"type": "NodePort"}, {}),
    "LoadBalancer": ({"type": "LoadBalancer"}, {"exposure": Exposure(wants_balancer=True)}),
    "source ranges": (
        {"loadBalancerSourceRanges": [" 192.0.2.1/24", "2001:DB8::/32"]},
        {"exposure": Exposure(source_ranges=("192.0.2.0/24", "2001:db8::/32"))},
    ),
    "external Local": ({"externalTrafficPolicy": "Local"}, {"exposure": Exposure(external_local=True)}),
    "internal Local": ({"internalTrafficPolicy": "Local"}, {"exposure": Exposure(internal_local=True)}),
    "a policy of tomorrow": ({"externalTrafficPolicy": "Nearby", "internalTrafficPolicy": "Cluster"}, {}),
    "health check": ({"healthCheckNodePort": 30001}, {"exposure": Exposure(health_check_node_port=30001)}),
    "affinity": ({"sessionAffinity": "ClientIP"}, {"exposure": Exposure(affinity_seconds=10800)}),
    "affinity with a timeout": (
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}},
        {"exposure": Exposure(affinity_seconds=60)},
    ),
    "no affinity, yet its timeout": (
        {"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}},
        {},
    ),
    "fields of tomorrow": (
        {"trafficDistribution": {"x": 1}, "ports": [{"port": 80, "appProtocol": 7}]},
        {"ports": PORT80},
    ),
}


@pytest.mark.parametrize("case", SERVICES)
def test_a_service_decodes_to_what_its_spec_says(case: str) -> None:
    spec, expected = SERVICES[case]
    assert only(service(spec)) == Service("shop", "web", **expected)


def test_a_service_without_exposure_shares_one_object() -> None:
    assert only(service({"clusterIP": "10.0.0.1", "type": "ClusterIP"})).exposure is UNEXPOSED


def test_what_repeats_across_services_is_one_object() -> None:
    spec = '{"ports": [{"name": "http-main", "port": 80}], "selector": {"app-name": "the-web"}}'
    meta = '{"name": "web", "namespace": "a-shop"}'
    first, second = (
        decode_object(Kind.SERVICE, {"metadata": json.loads(meta), "spec": json.loads(spec)})
        for _ in range(2)
    )
    assert isinstance(first, Service)
    assert isinstance(second, Service)
    assert first.ports is second.ports
    assert first.namespace is second.namespace
    assert first.selector is not None
    assert second.selector is not None
    assert first.selector[0][0] is second.selector[0][0]


def test_balancer_addresses_leave_out_those_in_proxy_mode_and_hostnames() -> None:
    ingress = [
        {"ip": "10.0.0.1", "ipMode": "VIP"},
        {"ip": "10.0.0.2", "ipMode": "Proxy"},
        {"hostname": "lb.example"},
    ]
    found = only(service({}, status={"loadBalancer": {"ingress": ingress}}))
    assert found.exposure == Exposure(balancer_addresses=(V4,))


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False), ("", False)])
def test_the_old_annotation_publishes_unready_endpoints(value: str, expected: bool) -> None:
    annotations = {"service.alpha.kubernetes.io/tolerate-unready-endpoints": value, "unread": 7}
    document = typed("Service", {"metadata": {**META, "annotations": annotations}})
    assert only(document).publish_not_ready is expected


POOL, SHARING, ADDRESSES = "skydns/address-pool", "skydns/allow-shared-address", "skydns/addresses"
WISHES: dict[str, tuple[Document, Document, Wishes]] = {
    "none": ({}, {}, NO_WISHES),
    "nulls": ({"loadBalancerClass": None, "loadBalancerIP": ""}, {}, NO_WISHES),
    "a class": ({"loadBalancerClass": "example.com/l2"}, {}, Wishes(balancer_class="example.com/l2")),
    "an address": ({"loadBalancerIP": "10.0.0.1"}, {}, Wishes(addresses=(V4,))),
    "addresses": ({}, {ADDRESSES: "10.0.0.1, fd00::1,10.0.0.1"}, Wishes(addresses=(V4, V6))),
    "addresses before the address": (
        {"loadBalancerIP": "192.0.2.1"},
        {ADDRESSES: "10.0.0.1"},
        Wishes(addresses=(V4,)),
    ),
    "a pool": ({}, {POOL: "outside"}, Wishes(pool="outside")),
    "a sharing key": ({}, {SHARING: "web"}, Wishes(sharing_key="web")),
    "all of them": (
        {"loadBalancerClass": "c", "loadBalancerIP": "10.0.0.1"},
        {POOL: "p", SHARING: "k", "unread": "x"},
        Wishes("c", (V4,), "p", "k"),
    ),
}


def wishing(spec: Document, annotations: Document, kind: str = "LoadBalancer") -> Document:
    body = {"metadata": {**META, "annotations": annotations}, "spec": {"type": kind, **spec}}
    return typed("Service", body)


@pytest.mark.parametrize("case", WISHES)
def test_a_load_balanced_service_says_what_it_wishes(case: str) -> None:
    spec, annotations, expected = WISHES[case]
    assert only(wishing(spec, annotations)).exposure == Exposure(wants_balancer=True, wishes=expected)


def test_a_service_that_wants_no_balancer_wishes_nothing() -> None:
    spec, annotations = {"loadBalancerClass": "c", "loadBalancerIP": "x"}, {ADDRESSES: "x", POOL: "p"}
    assert only(wishing(spec, annotations, "NodePort")).exposure is UNEXPOSED


@pytest.mark.parametrize("text", ["x", "10.0.0.1,", "10.0.0.1 fd00::1", "10.0.0.0/24", "010.0.0.1"])
def test_wished_addresses_that_are_none_are_refused(text: str) -> None:
    path, reason = outcome(decode_document, wishing({}, {ADDRESSES: text}))
    assert path == f"metadata.annotations[{ADDRESSES}]"
    assert "address" in str(reason) or "required" in str(reason)
    assert outcome(decode_document, wishing({"loadBalancerIP": text}, {}))[0] == "spec.loadBalancerIP"
