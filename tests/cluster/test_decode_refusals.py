"""Every field that is read, with values it must not have: the refusal names the field as it was written."""

from typing import Any

import pytest

from skydns_py.cluster import decode_protobuf
from skydns_py.cluster.decode_json import decode_document
from tests.cluster.kubernetes_values import (
    SAMPLES,
    V1BETA1_SAMPLES,
    Document,
    encode,
    found,
    outcome,
    plant,
    service,
)

Values = tuple[Any, ...]
LONG = "a" * 64
NO_TEXT: Values = (7, True, 1.5, [], {})
NO_MAPPING: Values = (7, "x", [], True)
NO_LIST: Values = (7, "x", {}, True)
NO_FLAG: Values = (0, 1, "yes", "true", [])
NO_PORT: Values = (0, -1, 65536, "80", 80.0, True, [], 10**400)
NO_LABEL = ("Web", "-web", "web-", "a.b", "a_b", "web\n", " web", "m\u00fcller", LONG, *NO_TEXT)
NO_SUBDOMAIN = ("Web", "a..b", ".a", "a.", "a_b", "a\n", "a." * 126 + "aa", *NO_TEXT)
NO_PROTOCOL = ("tcp", "ICMP", "TCP ", *NO_TEXT)
NO_ADDRESS = (
    *("x", "none", "010.0.0.1", "10.0.0.256", "10.0.0", "10.0.0.1.1", "10.0.0.1\n", " 10.0.0.1", "10.0.0.+1"),
    *("10.0.0.1/32", "10.0.0.1:80", "fe80::1%eth0", "[fd00::1]", "1" * 5000, "\u0661.0.0.1", *NO_TEXT),
)
NO_DOMAIN = (
    *("", ".", "a..b", "a b", "a/b", "m\u00fcller.example", "\u212aelvin.example", LONG + ".example"),
    *(".".join(["a" * 49] * 6), *NO_TEXT),
)

BALANCED, EXTERNAL, ENDPOINTS, SLICE, POD, NAMESPACE, NODE = SAMPLES
BARE = service({"clusterIP": "10.0.0.1"})
Table = list[tuple[Document, dict[str, Values]]]

V1: Table = [
    (
        BARE,
        {
            "metadata": NO_MAPPING,
            "metadata.name": (None, "", *NO_LABEL),
            "metadata.namespace": NO_LABEL,
            "metadata.annotations": NO_MAPPING,
            "spec": NO_MAPPING,
            "spec.clusterIP": NO_ADDRESS,
            "status": NO_MAPPING,
        },
    ),
    (
        BALANCED,
        {
            "spec.type": ("Loadbalancer", "clusterIP", *NO_TEXT),
            "spec.clusterIPs": NO_LIST,
            "spec.clusterIPs[0]": (None, *NO_ADDRESS),
            "spec.clusterIPs[1]": (None, "", "None", *NO_ADDRESS),
            "spec.externalIPs": NO_LIST,
            "spec.externalIPs[0]": (None, "", *NO_ADDRESS),
            "spec.loadBalancerSourceRanges[0]": (
                None,
                "",
                "x",
                "192.0.2.0/33",
                "192.0.2.0/x",
                "fe80::%eth0/64",
                *NO_TEXT,
            ),
            "spec.externalTrafficPolicy": NO_TEXT,
            "spec.internalTrafficPolicy": NO_TEXT,
            "spec.healthCheckNodePort": (-1, 65536, "80", 80.0, True),
            "spec.sessionAffinity": ("Cookie", *NO_TEXT),
            "spec.sessionAffinityConfig": NO_MAPPING,
            "spec.sessionAffinityConfig.clientIP": NO_MAPPING,
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds": (0, -1, 86401, "60", 60.0, True),
            "spec.publishNotReadyAddresses": NO_FLAG,
            "spec.selector": NO_MAPPING,
            "spec.selector['app']": (None, *NO_TEXT),
            "spec.ports": NO_LIST,
            "spec.ports[0]": (None, *NO_MAPPING),
            "spec.ports[0].name": NO_LABEL,
            "spec.ports[0].protocol": NO_PROTOCOL,
            "spec.ports[0].port": (None, *NO_PORT),
            "spec.ports[0].targetPort": (
                -1,
                65536,
                "99999",
                "9" * 5000,
                "\u0661",
                "a.b",
                "a b",
                LONG,
                True,
                [],
                1.5,
            ),
            "spec.ports[0].nodePort": (-1, 65536, "80", 80.0, True),
            "status.loadBalancer": NO_MAPPING,
            "status.loadBalancer.ingress": NO_LIST,
            "status.loadBalancer.ingress[0]": (None, *NO_MAPPING),
            "status.loadBalancer.ingress[0].ip": NO_ADDRESS,
            "status.loadBalancer.ingress[1].ipMode": NO_TEXT,
        },
    ),
    (EXTERNAL, {"spec.externalName": (None, *NO_DOMAIN)}),
    (
        ENDPOINTS,
        {
            "metadata.name": (None, "", *NO_SUBDOMAIN),
            "metadata.namespace": NO_LABEL,
            "subsets": NO_LIST,
            "subsets[0]": (None, *NO_MAPPING),
            "subsets[0].addresses": NO_LIST,
            "subsets[0].addresses[0].ip": (None, "", *NO_ADDRESS),
            "subsets[0].addresses[0].hostname": NO_LABEL,
            "subsets[0].addresses[0].nodeName": NO_TEXT,
            "subsets[0].notReadyAddresses[0].ip": (None, "", *NO_ADDRESS),
            "subsets[0].ports[0].name": NO_LABEL,
            "subsets[0].ports[0].protocol": NO_PROTOCOL,
            "subsets[0].ports[0].port": (None, *NO_PORT),
        },
    ),
    (
        SLICE,
        {
            "metadata.name": (None, "", *NO_SUBDOMAIN),
            "metadata.labels": NO_MAPPING,
            "metadata.labels['kubernetes.io/service-name']": NO_TEXT,
            "addressType": (None, "", "IPv5", "ipv4", *NO_TEXT),
            "endpoints": NO_LIST,
            "endpoints[0].addresses": NO_LIST,
            "endpoints[0].addresses[0]": (None, "", *NO_ADDRESS),
            "endpoints[0].conditions": NO_MAPPING,
            "endpoints[0].conditions.ready": NO_FLAG,
            "endpoints[0].conditions.serving": NO_FLAG,
            "endpoints[0].conditions.terminating": NO_FLAG,
            "endpoints[0].hostname": NO_LABEL,
            "endpoints[0].nodeName": NO_TEXT,
            "endpoints[0].zone": NO_TEXT,
            "ports": NO_LIST,
            "ports[0].name": NO_LABEL,
            "ports[0].protocol": NO_PROTOCOL,
            "ports[0].port": NO_PORT,
        },
    ),
    (
        POD,
        {
            "metadata.name": (None, "", *NO_SUBDOMAIN),
            "spec.hostNetwork": NO_FLAG,
            "status.phase": NO_TEXT,
            "status.podIP": NO_ADDRESS,
            "status.podIPs": NO_LIST,
            "status.podIPs[0].ip": NO_ADDRESS,
            "status.conditions": NO_LIST,
            "status.conditions[0].type": NO_TEXT,
            "status.conditions[0].status": NO_TEXT,
        },
    ),
    (NAMESPACE, {"metadata.name": (None, "", *NO_LABEL)}),
    (
        NODE,
        {
            "metadata.name": (None, "", *NO_SUBDOMAIN),
            "status.addresses": NO_LIST,
            "status.addresses[0].type": NO_TEXT,
            "status.addresses[0].address": (None, "", *NO_ADDRESS),
        },
    ),
]

OLD_SERVICE, OLD_ENDPOINTS, OLD_POD, OLD_NAMESPACE, OLD_MINION = V1BETA1_SAMPLES
FLAT_SERVICE = {**OLD_SERVICE, "ports": []}
FLAT_ENDPOINTS = {**OLD_ENDPOINTS, "subsets": []}
NO_OLD_PROTOCOL = ("ICMP", "TCP ", *NO_TEXT)
NO_TARGET: Values = (-1, 65536, "99999", "a.b", True, [], 1.5)
NO_ENDPOINT = (
    *(
        None,
        "",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:+80",
        "10.0.0.1:http",
        ":80",
    ),
    *("10.0.0.1:" + "9" * 5000, "db.example:80", "2001:db8::1:80", "[10.0.0.1]:80", "[2001:db8::1]", "[]:80"),
    *("010.0.0.1:80", "[fe80::1%eth0]:80", "[2001:db8::1:80", *NO_TEXT),
)

V1BETA1: Table = [
    (
        FLAT_SERVICE,
        {
            "id": (None, "", *NO_LABEL),
            "namespace": NO_LABEL,
            "annotations": NO_MAPPING,
            "labels": NO_MAPPING,
            "port": (None, *NO_PORT),
            "portName": NO_LABEL,
            "protocol": NO_OLD_PROTOCOL,
            "containerPort": NO_TARGET,
            "portalIP": NO_ADDRESS,
            "publicIPs": NO_LIST,
            "publicIPs[0]": (None, "", *NO_ADDRESS),
            "createExternalLoadBalancer": NO_FLAG,
            "sessionAffinity": ("Cookie", *NO_TEXT),
            "selector": NO_MAPPING,
            "selector['name']": (None, *NO_TEXT),
            "ports": NO_LIST,
        },
    ),
    (
        OLD_SERVICE,
        {
            "ports[0]": (None, *NO_MAPPING),
            "ports[0].port": (None, *NO_PORT),
            "ports[0].name": NO_LABEL,
            "ports[0].protocol": NO_OLD_PROTOCOL,
            "ports[0].containerPort": NO_TARGET,
        },
    ),
    (
        FLAT_ENDPOINTS,
        {
            "id": (None, "", *NO_SUBDOMAIN),
            "endpoints": NO_LIST,
            "endpoints[0]": NO_ENDPOINT,
            "endpoints[1]": NO_ENDPOINT,
            "protocol": NO_OLD_PROTOCOL,
            "targetRefs": NO_LIST,
            "targetRefs[0].endpoint": NO_TEXT,
            "targetRefs[0].targetRef": NO_MAPPING,
            "targetRefs[0].targetRef.name": NO_TEXT,
            "subsets": NO_LIST,
        },
    ),
    (
        OLD_ENDPOINTS,
        {
            "subsets[0]": (None, *NO_MAPPING),
            "subsets[0].addresses[0].IP": (None, "", *NO_ADDRESS),
            "subsets[0].ports[0].name": NO_LABEL,
            "subsets[0].ports[0].port": (None, *NO_PORT),
            "subsets[0].ports[0].protocol": NO_OLD_PROTOCOL,
        },
    ),
    (
        OLD_POD,
        {
            "id": (None, "", *NO_SUBDOMAIN),
            "desiredState": NO_MAPPING,
            "desiredState.manifest.hostNetwork": NO_FLAG,
            "desiredState.manifest.containers[0]": (None, *NO_MAPPING),
            "currentState.status": NO_TEXT,
            "currentState.podIP": NO_ADDRESS,
            "currentState.Condition": NO_LIST,
            "currentState.Condition[0].kind": NO_TEXT,
        },
    ),
    (OLD_NAMESPACE, {"id": (None, "", *NO_LABEL)}),
    (OLD_MINION, {"id": (None, "", *NO_SUBDOMAIN), "hostIP": ("", *NO_ADDRESS)}),
]


def cases(table: Table) -> list[Any]:
    return [
        pytest.param(base, path, values, id=f"{base['kind']}-{path}")
        for base, fields in table
        for path, values in fields.items()
    ]


@pytest.mark.parametrize(("base", "path", "values"), cases(V1 + V1BETA1))
def test_a_bad_value_is_refused_with_the_path_it_stands_at(base: Document, path: str, values: Values) -> None:
    assert isinstance(outcome(decode_document, base), list), "the document is good before it is spoilt"
    for value in values:
        bad = plant(base, path, value)
        assert outcome(decode_document, bad)[0] == path, value
        in_list = {"apiVersion": "v1", "kind": "List", "items": [base, bad]}
        assert outcome(decode_document, in_list)[0] == f"items[1].{path}", value


@pytest.mark.parametrize(("base", "path", "values"), cases(V1))
def test_protobuf_refuses_what_it_can_carry_with_the_same_words(
    base: Document, path: str, values: Values
) -> None:
    field_type = type(found(base, path))
    carried = [value for value in values if type(value) is field_type and field_type in (str, int)]
    for value in carried:
        if field_type is str or abs(value) < 2**31:
            bad = plant(base, path, value)
            assert outcome(decode_protobuf.decode, encode(bad)) == outcome(decode_document, bad)


def test_a_selector_whose_key_is_no_text_is_refused() -> None:
    assert outcome(decode_document, service({"selector": {1: "app"}}))[0] == "spec.selector[1]"
    assert outcome(decode_document, service({"selector": {"a\nb": 1}}))[0] == "spec.selector['a\\nb']"


def test_digits_in_quotes_are_no_port_but_may_be_a_target_port() -> None:
    assert (
        outcome(decode_document, service({"ports": [{"port": "80"}]}))[1]
        == "must be a whole number, not '80'"
    )
    assert isinstance(outcome(decode_document, service({"ports": [{"port": 80, "targetPort": "81"}]})), list)
