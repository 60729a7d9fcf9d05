import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cluster import decode_protobuf
from skydns_py.cluster.decode_json import API, decode_document
from skydns_py.cluster.objects import Pod, Service
from skydns_py.cluster.protos import CLASSES, MESSAGES
from skydns_py.errors import DecodeError
from tests.cluster.kubernetes_values import (
    SAMPLES,
    Document,
    encode,
    outcome,
    registry_values,
    service,
    typed,
)


def mostly(*values: Any) -> st.SearchStrategy[Any]:
    """One of ``values``, the first, valid ones more often than the last."""
    return st.integers(0, 8).flatmap(lambda low: st.sampled_from(values[:-1] if low else values))


NAMES = mostly("web", "web-0", "a" * 63, "Web")
TEXTS = mostly("", "a", "m\u00fcller", "\U0001f600")
IPS = mostly("10.0.0.1", "192.0.2.7", "fd00::1", "::ffff:10.0.0.1", "2001:DB8:0::1", "010.0.0.1")
PORTS = mostly(1, 80, 65535, 0)
PORT_NAMES = mostly("", "http", "_http")
PROTOCOLS = mostly("", "TCP", "UDP", "SCTP", "tcp")
BOOLS = st.booleans()
PAIRS = st.dictionaries(mostly("app", "kubernetes.io/service-name", ""), TEXTS, max_size=3)
FEW_IPS = st.lists(IPS, max_size=3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """A mapping of any of ``fields``."""
    return st.fixed_dictionaries({}, optional=fields)


def lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(inner, max_size=3)


METADATA = st.fixed_dictionaries(
    {"name": NAMES}, optional={"namespace": NAMES, "labels": PAIRS, "annotations": PAIRS}
)
POD_METADATA = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"namespace": NAMES, "labels": PAIRS, "deletionTimestamp": st.just({"seconds": 1})},
)
NODE_LABELS = st.dictionaries(
    mostly("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone", "zone"), TEXTS
)
WISHES = st.dictionaries(
    mostly("skydns/address-pool", "skydns/allow-shared-address", "skydns/addresses", "other"),
    mostly("", "10.0.0.1", "10.0.0.1, fd00::1,10.0.0.1", "10.0.0.1,"),
)
SERVICE_PORTS = st.fixed_dictionaries(
    {"port": PORTS},
    optional={
        "name": PORT_NAMES,
        "protocol": PROTOCOLS,
        "targetPort": mostly(0, 80, "", "http", "8080", 65536),
        "nodePort": mostly(0, 30000, -1),
    },
)
SERVICES = some(
    ports=lists(SERVICE_PORTS),
    selector=PAIRS,
    clusterIP=mostly("", "None", "10.0.0.1", "x"),
    clusterIPs=st.just(["None"]) | FEW_IPS,
    type=mostly("", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Other"),
    externalName=mostly("a.example", "a.example.", "A_b", "a..b"),
    externalIPs=FEW_IPS,
    loadBalancerSourceRanges=lists(mostly("192.0.2.0/24", " 192.0.2.1", "fd00::/8", "x")),
    externalTrafficPolicy=mostly("", "Cluster", "Local", "Other"),
    internalTrafficPolicy=mostly("", "Cluster", "Local", "Other"),
    healthCheckNodePort=mostly(0, 30001, 70000),
    publishNotReadyAddresses=BOOLS,
    sessionAffinity=mostly("", "None", "ClientIP", "Other"),
    sessionAffinityConfig=some(clientIP=some(timeoutSeconds=mostly(1, 86400, 0))),
    loadBalancerIP=mostly("", "10.0.0.1", "x"),
    loadBalancerClass=TEXTS,
)
STATUS = some(loadBalancer=some(ingress=lists(some(ip=IPS, ipMode=mostly("", "VIP", "Proxy", "Other")))))
ENDPOINT_PORTS = some(name=PORT_NAMES, port=PORTS, protocol=PROTOCOLS)
ADDRESSES = lists(st.fixed_dictionaries({"ip": IPS}, optional={"hostname": PORT_NAMES, "nodeName": TEXTS}))
SUBSETS = some(addresses=ADDRESSES, notReadyAddresses=ADDRESSES, ports=lists(ENDPOINT_PORTS))
SLICE_ENDPOINTS = some(
    addresses=FEW_IPS,
    conditions=some(ready=BOOLS, serving=BOOLS, terminating=BOOLS),
    hostname=PORT_NAMES,
    nodeName=TEXTS,
    zone=TEXTS,
    hints=some(forZones=lists(some(name=TEXTS)), forNodes=lists(some(name=TEXTS))),
)
CONTAINER_PORTS = some(name=PORT_NAMES, containerPort=PORTS, protocol=PROTOCOLS)
POD_SPEC = some(
    containers=lists(some(ports=lists(CONTAINER_PORTS))),
    nodeName=TEXTS,
    hostNetwork=BOOLS,
    hostname=PORT_NAMES,
    subdomain=PORT_NAMES,
)
POD_STATUS = some(
    phase=mostly("", "Running", "Succeeded", "Failed"),
    conditions=lists(some(type=mostly("Ready", "Other"), status=mostly("True", "False"))),
    podIP=mostly("", "10.0.0.1", "x"),
    podIPs=lists(some(ip=IPS)),
)
NODE_ADDRESSES = lists(some(type=mostly("InternalIP", "ExternalIP", "Hostname"), address=IPS))

BODIES: dict[str, st.SearchStrategy[Document]] = {
    "Service": some(metadata=METADATA | some(name=NAMES, annotations=WISHES), spec=SERVICES, status=STATUS),
    "Endpoints": some(metadata=METADATA, subsets=lists(SUBSETS)),
    "EndpointSlice": some(
        metadata=METADATA,
        addressType=mostly("IPv4", "IPv6", "FQDN", "IPv5"),
        endpoints=lists(SLICE_ENDPOINTS),
        ports=lists(ENDPOINT_PORTS),
    ),
    "Pod": some(metadata=POD_METADATA, spec=POD_SPEC, status=POD_STATUS),
    "Namespace": some(metadata=METADATA),
    "Node": some(
        metadata=METADATA | some(name=NAMES, labels=NODE_LABELS), status=some(addresses=NODE_ADDRESSES)
    ),
}


@pytest.mark.parametrize("kind", BODIES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_protobuf_and_json_give_the_same_object_or_the_same_refusal(kind: str, data: st.DataObject) -> None:
    document = typed(kind, data.draw(BODIES[kind]))
    from_json = outcome(decode_document, json.loads(json.dumps(document)))
    assert outcome(decode_protobuf.decode, encode(document)) == from_json


def test_every_kind_served_is_compared() -> None:
    assert set(BODIES) == {kind for _, kind in API}


@pytest.mark.parametrize("document", SAMPLES, ids=lambda document: document["kind"])
def test_the_samples_survive_protobuf(document: Document) -> None:
    assert [decode_protobuf.decode(encode(document))] == decode_document(document)


def test_the_fields_of_a_message_have_numbers_of_their_own() -> None:
    for name, fields in MESSAGES.items():
        assert len({number for number, _ in fields.values()}) == len(fields), name
        assert [field.number for field in CLASSES[name].DESCRIPTOR.fields] == [
            each for each, _ in fields.values()
        ]


NAMED_WEB = bytes.fromhex("0a 05 0a 03") + b"web"  # field 1, metadata; in it field 1, name
UNRECORDED: list[tuple[str, Document, bytes]] = [
    ("Service", {"spec": {"loadBalancerSourceRanges": ["192.0.2.0"]}}, b"\x12\x0b\x4a\x09192.0.2.0"),  # 9
    ("Service", {"spec": {"healthCheckNodePort": 80}}, b"\x12\x02\x60\x50"),  # 12
    ("Service", {"spec": {"publishNotReadyAddresses": True}}, b"\x12\x02\x68\x01"),  # 13
    (
        "EndpointSlice",
        {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "zone": "z"}]},
        b"\x12\x0d\x0a\x0810.0.0.1\x3a\x01z\x22\x04IPv4",  # zone is 7
    ),
    (
        "Node",
        {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}},
        b"\x1a\x18\x2a\x16\x0a\x0aInternalIP\x12\x0810.0.0.1",  # addresses is 5, in it 1 and 2
    ),
    (
        "Service",
        {"spec": {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.1", "loadBalancerClass": "c"}},
        b"\x12\x1c\x22\x0cLoadBalancer\x42\x0810.0.0.1\xaa\x01\x01c",  # 8 and 21
    ),
    (
        "EndpointSlice",
        {
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "hints": {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]},
                }
            ],
        },
        b"\x12\x16\x0a\x0810.0.0.1\x42\x0a\x0a\x03\x0a\x01z\x12\x03\x0a\x01n\x22\x04IPv4",  # hints is 8
    ),
    (
        "Pod",
        {"spec": {"hostname": "h", "subdomain": "s"}},
        b"\x12\x08\x82\x01\x01h\x8a\x01\x01s",
    ),  # 16 and 17
    (
        "Pod",
        {"spec": {"containers": [{"ports": [{"name": "w", "containerPort": 53, "protocol": "UDP"}]}]}},
        b"\x12\x0e\x12\x0c\x32\x0a\x0a\x01w\x18\x35\x22\x03UDP",  # ports is 6, in it 1, 3 and 4
    ),
]


@pytest.mark.parametrize(("kind", "body", "octets"), UNRECORDED)
def test_what_the_recording_lacks_has_the_published_numbers(kind: str, body: Document, octets: bytes) -> None:
    document = typed(kind, {"metadata": {"name": "web"}, **body})
    value = enveloped(document["apiVersion"], kind, NAMED_WEB + octets)
    assert [decode_protobuf.decode(value)] == decode_document(document)


def test_a_pod_whose_deletion_has_begun_is_terminating() -> None:
    deletion = b"\x0a\x0c\x0a\x03web\x4a\x05\x08\xf7\xc4\x98\x38"  # deletionTimestamp is 9, its seconds 1
    found = decode_protobuf.decode(enveloped("v1", "Pod", deletion))
    assert found == Pod("default", "web", terminating=True)
    assert decode_protobuf.decode(enveloped("v1", "Pod", NAMED_WEB)) == Pod("default", "web")


def test_a_value_cut_anywhere_is_refused_or_a_shorter_object() -> None:
    for value in registry_values().values():
        for end in range(len(value)):
            outcome(decode_protobuf.decode, value[:end])


def test_a_value_cut_inside_the_object_is_always_refused() -> None:
    for value in registry_values().values():
        length_of_tail = 4  # contentEncoding and contentType, both empty: two octets each
        for end in range(4, len(value) - length_of_tail, 7):
            with pytest.raises(DecodeError):
                decode_protobuf.decode(value[:end])


VALUES = sorted(registry_values().values())


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(VALUES),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_value_raises_nothing_but_a_decode_error(
    value: bytes, damage: list[tuple[int, int]]
) -> None:
    damaged = bytearray(value)
    for place, octet in damage:
        damaged[place % len(damaged)] = octet
    outcome(decode_protobuf.decode, bytes(damaged))


@settings(deadline=None)
@given(st.binary())
def test_no_octets_raise_anything_but_a_decode_error(octets: bytes) -> None:
    outcome(decode_protobuf.decode, octets)
    outcome(decode_protobuf.decode, b"k8s\0" + octets)


@settings(deadline=None)
@given(st.sampled_from(sorted(API)), st.binary())
def test_no_inner_octets_raise_anything_but_a_decode_error(api: tuple[str, str], octets: bytes) -> None:
    outcome(decode_protobuf.decode, enveloped(*api, octets))


def enveloped(version: str, kind: str, raw: bytes, **rest: str) -> bytes:
    unknown: Any = CLASSES["Unknown"](raw=raw, **rest)
    unknown.typeMeta.apiVersion, unknown.typeMeta.kind = version, kind
    return b"k8s\0" + bytes(unknown.SerializeToString())


def test_fields_of_a_newer_server_are_skipped() -> None:
    newer = bytes.fromhex("9a3e03616263")  # field 995, three octets
    raw = CLASSES["Service"].FromString(b"").SerializeToString() + newer
    raw += CLASSES["Service"](metadata={"name": "web"}).SerializeToString()
    assert decode_protobuf.decode(enveloped("v1", "Service", raw)) == Service("default", "web")


@pytest.mark.parametrize(
    ("value", "path", "part"),
    [
        (b"", "", "k8s"),
        (b'{"kind": "Service"}', "", "k8s"),
        (b"k8s\0", "kind", "' '"),
        (b"k8s\0\xff", "", "cut short"),
        (enveloped("v1", "Secret", b""), "kind", "v1 Secret"),
        (enveloped("v2", "Service", b""), "kind", "v2 Service"),
        (enveloped("v1", "Service", b"\xff"), "", "message Service"),
        (enveloped("v1", "Service", b"", contentEncoding="gzip"), "", "gzip"),
        (
            enveloped("v1", "Service", bytes.fromhex("0a030a01ff")),
            "",
            "message Service",
        ),  # a name not in UTF-8
        (enveloped("v1", "Service", b""), "metadata.name", "required"),
    ],
)
def test_a_bad_envelope_is_refused(value: bytes, path: str, part: str) -> None:
    found, reason = outcome(decode_protobuf.decode, value)
    assert found == path
    assert part in str(reason)


def test_a_refusal_names_the_field_as_json_does() -> None:
    value = encode(service({"ports": [{"port": 80}, {"port": 81, "name": "Bad"}]}))
    assert outcome(decode_protobuf.decode, value)[0] == "spec.ports[1].name"
