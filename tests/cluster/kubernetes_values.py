"""What the decoders are tested with: recorded objects, samples, and our own protobuf of any v1 document."""

import base64
import functools
import json
import operator
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st

from skydns_py.cluster.objects import ClusterObject
from skydns_py.cluster.protos import CLASSES, MESSAGES
from skydns_py.errors import DecodeError

RECORDED = Path(__file__).parent.parent / "data" / "kubernetes-1.36"
API_VERSION = {"EndpointSlice": "discovery.k8s.io/v1"}

Document = dict[str, Any]
_STEP = re.compile(r"\[(\d+)\]|\['([^']+)'\]|([^.\[\]]+)")


def registry_values() -> dict[str, bytes]:
    """The recorded etcd values by their keys."""
    lines = (RECORDED / "registry.jsonl").read_text().splitlines()
    return {row["key"]: base64.b64decode(row["value"]) for row in map(json.loads, lines)}


def api_lists() -> list[Document]:
    """The recorded lists as the API server answered them."""
    return list(json.loads((RECORDED / "api-lists.json").read_text()).values())


def typed(kind: str, body: Mapping[str, Any]) -> Document:
    """``body`` with its apiVersion and kind."""
    return {"apiVersion": API_VERSION.get(kind, "v1"), "kind": kind, **body}


def service(spec: Mapping[str, Any] | None = None, name: str = "web", **rest: Any) -> Document:
    """A v1 Service of namespace ``shop``."""
    return typed("Service", {"metadata": {"name": name, "namespace": "shop"}, "spec": spec or {}, **rest})


def plant(document: Document, path: str, value: Any) -> Document:
    """A copy of ``document`` with ``value`` at ``path``, as refusals write paths: ``spec.ports[0].port``."""
    copy: Document = json.loads(json.dumps(document))
    *way, last = _steps(path)
    functools.reduce(operator.getitem, way, copy)[last] = value
    return copy


def found(document: Document, path: str) -> Any:
    """What stands at ``path``; None where the last step is not there."""
    *way, last = _steps(path)
    place: Any = functools.reduce(operator.getitem, way, document)
    return place.get(last) if isinstance(place, dict) else place[last]


def _steps(path: str) -> list[Any]:
    return [int(index) if index else key or name for index, key, name in _STEP.findall(path)]


def encode(document: Mapping[str, Any]) -> bytes:
    """A v1 document as a registry value in protobuf."""
    kind = document["kind"]
    envelope = {"typeMeta": {"apiVersion": document["apiVersion"], "kind": kind}}
    unknown = _message("Unknown", envelope)
    unknown.raw = _message(kind, document).SerializeToString()  # type: ignore[attr-defined]  # made at run time
    return b"k8s\0" + unknown.SerializeToString()


def _message(name: str, document: Mapping[str, Any]) -> Message:
    message = CLASSES[name]()
    message.SetInParent()
    for field, (_, kind) in MESSAGES[name].items():
        if document.get(field) is not None:
            _set(message, field, kind, document[field])
    return message


def _set(message: Message, field: str, kind: str, value: Any) -> None:
    inner = kind.removeprefix("[]")
    if kind == "IntOrString":
        value = {"type": 1, "strVal": value} if isinstance(value, str) else {"type": 0, "intVal": value}
    if kind == "map":
        getattr(message, field).update(value)
    elif kind.startswith("[]"):
        getattr(message, field).extend(_message(inner, each) if inner in CLASSES else each for each in value)
    elif inner in CLASSES:
        getattr(message, field).CopyFrom(_message(inner, value))
    else:
        setattr(message, field, value)


Outcome = list[ClusterObject] | tuple[str, str]
"""Objects, or path and reason of the refusal."""


def outcome(decoder: Any, *arguments: Any) -> Outcome:
    """What a decoder makes of its input; anything but objects and DecodeError escapes and fails the test."""
    try:
        decoded = decoder(*arguments)
    except DecodeError as error:
        line = str(error)
        assert line, "a refusal without a reason"
        assert line.isprintable(), f"not one printable line: {line!r}"
        assert len(line) < 2000, "a refusal longer than a person reads"
        return error.path, error.reason
    return decoded if isinstance(decoded, list) else [decoded]


SAMPLES: tuple[Document, ...] = (
    service(
        {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1", "fd00::1"],
            "externalIPs": ["192.0.2.1"],
            "loadBalancerSourceRanges": ["198.51.100.0/24"],
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Local",
            "healthCheckNodePort": 30001,
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "publishNotReadyAddresses": True,
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}
            ],
        },
        status={
            "loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}]}
        },
    ),
    service({"type": "ExternalName", "externalName": "db.example.com."}),
    typed(
        "Endpoints",
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "subsets": [
                {
                    "addresses": [{"ip": "10.1.0.1", "hostname": "web-0", "nodeName": "a"}],
                    "notReadyAddresses": [{"ip": "10.1.0.2"}],
                    "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                }
            ],
        },
    ),
    typed(
        "EndpointSlice",
        {
            "metadata": {
                "name": "web-x",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.1.0.1"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "hostname": "web-0",
                    "nodeName": "a",
                    "zone": "z",
                }
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "any"}],
        },
    ),
    typed(
        "Pod",
        {
            "metadata": {"name": "web-0", "namespace": "shop"},
            "spec": {"hostNetwork": False},
            "status": {
                "phase": "Running",
                "podIP": "10.1.0.1",
                "podIPs": [{"ip": "10.1.0.1"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
    ),
    typed("Namespace", {"metadata": {"name": "shop"}}),
    typed(
        "Node",
        {
            "metadata": {"name": "node-a.example"},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
        },
    ),
)
"""One valid document of each kind, and nearly every field that is read."""

V1BETA1_SAMPLES: tuple[Document, ...] = (
    {
        "kind": "Service",
        "apiVersion": "v1beta1",
        "id": "apache2-service",
        "namespace": "shop",
        "uid": "u",
        "creationTimestamp": None,
        "labels": {"a": "b"},
        "port": 9090,
        "portName": "http",
        "protocol": "TCP",
        "selector": {"name": "apache2"},
        "containerPort": 80,
        "portalIP": "10.100.62.248",
        "publicIPs": ["192.0.2.1"],
        "createExternalLoadBalancer": True,
        "proxyPort": 40000,
        "sessionAffinity": "None",
        "ports": [{"name": "web", "port": 80, "protocol": "TCP", "containerPort": "http"}],
    },
    {
        "kind": "Endpoints",
        "apiVersion": "v1beta1",
        "id": "google",
        "protocol": "TCP",
        "endpoints": ["173.194.112.206:80", "[2001:db8::1]:80"],
        "targetRefs": [{"endpoint": "173.194.112.206:80", "targetRef": {"kind": "Pod", "name": "p"}}],
        "subsets": [{"addresses": [{"IP": "10.1.0.1"}], "ports": [{"name": "http", "port": 80}]}],
    },
    {
        "kind": "Pod",
        "apiVersion": "v1beta1",
        "id": "p",
        "desiredState": {
            "host": "a",
            "manifest": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
        },
        "currentState": {
            "status": "Running",
            "podIP": "10.1.0.1",
            "Condition": [{"kind": "Ready", "status": "Full"}],
        },
    },
    {"kind": "Namespace", "apiVersion": "v1beta1", "id": "shop"},
    {"kind": "Minion", "apiVersion": "v1beta1", "id": "node-a", "hostIP": "192.0.2.10"},
)
"""One valid v1beta1 document of each kind, and every field that is read."""

_ANY_TEXT = st.text(
    st.characters(exclude_categories=()), max_size=8
)  # half surrogates too: JSON can escape them
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-1, 70000)
    | st.floats()
    | _ANY_TEXT
    | st.sampled_from(
        ["None", "10.0.0.1", "010.0.0.1", "fe80::1%eth0", "::ffff:1.2.3.4", "a" * 64, "TCP", "80"]
    )
)
JSON_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
"""Whatever a JSON parser may return."""

YAML_VALUES = (
    JSON_VALUES | st.dates() | st.binary(max_size=3) | st.dictionaries(st.integers() | st.none(), _SCALARS)
)
"""And what only a YAML parser may: dates, octets, keys that are no text."""


@st.composite
def mutations(draw: st.DrawFn, documents: tuple[Document, ...]) -> Document:
    """One of ``documents`` with one to three of its parts replaced, removed or added."""
    changed: Document = json.loads(json.dumps(draw(st.sampled_from(documents))))
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, changed)
    return changed


def _mutate(draw: st.DrawFn, document: Document) -> None:
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if not deeper or draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    if draw(st.integers(0, 4)) == 0:
        del place[key]
    else:
        place[key] = draw(YAML_VALUES)
