"""Kubernetes' protobuf messages, as far as this package reads them.

The numbers are those of Kubernetes' published ``generated.proto`` files (core/v1, discovery/v1,
meta/v1, runtime, intstr), which never change.  Fields that are not in the table are skipped by the
parser.  The messages live in a descriptor pool of their own, so that they cannot collide with those
of a Kubernetes client in the same process.

Types: ``?`` before a number or boolean means its absence can be told, ``[]`` a list, ``map`` a map
of strings; a capital letter begins another message's name.
"""

from collections.abc import Mapping

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_PACKAGE = "skydns.kubernetes"

_SERVICE_SPEC: Mapping[str, tuple[int, str]] = {
    "ports": (1, "[]ServicePort"),
    "selector": (2, "map"),
    "clusterIP": (3, "string"),
    "type": (4, "string"),
    "externalIPs": (5, "[]string"),
    "sessionAffinity": (7, "string"),
    "loadBalancerIP": (8, "string"),
    "loadBalancerSourceRanges": (9, "[]string"),
    "externalName": (10, "string"),
    "externalTrafficPolicy": (11, "string"),
    "healthCheckNodePort": (12, "?int32"),
    "publishNotReadyAddresses": (13, "?bool"),
    "sessionAffinityConfig": (14, "SessionAffinityConfig"),
    "clusterIPs": (18, "[]string"),
    "loadBalancerClass": (21, "string"),
    "internalTrafficPolicy": (22, "string"),
}

_SLICE_ENDPOINT: Mapping[str, tuple[int, str]] = {
    "addresses": (1, "[]string"),
    "conditions": (2, "SliceConditions"),
    "hostname": (3, "string"),
    "nodeName": (6, "string"),
    "zone": (7, "string"),
    "hints": (8, "SliceHints"),
}

MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Unknown": {
        "typeMeta": (1, "TypeMeta"),
        "raw": (2, "bytes"),
        "contentEncoding": (3, "string"),
        "contentType": (4, "string"),
    },
    "TypeMeta": {"apiVersion": (1, "string"), "kind": (2, "string")},
    "ObjectMeta": {
        "name": (1, "string"),
        "namespace": (3, "string"),
        "deletionTimestamp": (9, "Time"),
        "labels": (11, "map"),
        "annotations": (12, "map"),
    },
    "Time": {"seconds": (1, "int64")},
    "IntOrString": {"type": (1, "?int64"), "intVal": (2, "?int32"), "strVal": (3, "string")},
    "Service": {"metadata": (1, "ObjectMeta"), "spec": (2, "ServiceSpec"), "status": (3, "ServiceStatus")},
    "ServiceSpec": _SERVICE_SPEC,
    "ServicePort": {
        "name": (1, "string"),
        "protocol": (2, "string"),
        "port": (3, "?int32"),
        "targetPort": (4, "IntOrString"),
        "nodePort": (5, "?int32"),
    },
    "SessionAffinityConfig": {"clientIP": (1, "ClientIPConfig")},
    "ClientIPConfig": {"timeoutSeconds": (1, "?int32")},
    "ServiceStatus": {"loadBalancer": (1, "LoadBalancerStatus")},
    "LoadBalancerStatus": {"ingress": (1, "[]LoadBalancerIngress")},
    "LoadBalancerIngress": {"ip": (1, "string"), "ipMode": (3, "string")},
    "Endpoints": {"metadata": (1, "ObjectMeta"), "subsets": (2, "[]EndpointSubset")},
    "EndpointSubset": {
        "addresses": (1, "[]EndpointAddress"),
        "notReadyAddresses": (2, "[]EndpointAddress"),
        "ports": (3, "[]EndpointPort"),
    },
    "EndpointAddress": {"ip": (1, "string"), "hostname": (3, "string"), "nodeName": (4, "string")},
    "EndpointPort": {"name": (1, "string"), "port": (2, "?int32"), "protocol": (3, "string")},
    "EndpointSlice": {
        "metadata": (1, "ObjectMeta"),
        "endpoints": (2, "[]SliceEndpoint"),
        "ports": (3, "[]SlicePort"),
        "addressType": (4, "string"),
    },
    "SliceEndpoint": _SLICE_ENDPOINT,
    "SliceHints": {"forZones": (1, "[]SliceHint"), "forNodes": (2, "[]SliceHint")},
    "SliceHint": {"name": (1, "string")},
    "SliceConditions": {"ready": (1, "?bool"), "serving": (2, "?bool"), "terminating": (3, "?bool")},
    "SlicePort": {"name": (1, "string"), "protocol": (2, "string"), "port": (3, "?int32")},
    "Pod": {"metadata": (1, "ObjectMeta"), "spec": (2, "PodSpec"), "status": (3, "PodStatus")},
    "PodSpec": {
        "containers": (2, "[]Container"),
        "nodeName": (10, "string"),
        "hostNetwork": (11, "?bool"),
        "hostname": (16, "string"),
        "subdomain": (17, "string"),
    },
    "Container": {"ports": (6, "[]ContainerPort")},
    "ContainerPort": {"name": (1, "string"), "containerPort": (3, "?int32"), "protocol": (4, "string")},
    "PodStatus": {
        "phase": (1, "string"),
        "conditions": (2, "[]PodCondition"),
        "podIP": (6, "string"),
        "podIPs": (12, "[]PodIP"),
    },
    "PodCondition": {"type": (1, "string"), "status": (2, "string")},
    "PodIP": {"ip": (1, "string")},
    "Namespace": {"metadata": (1, "ObjectMeta")},
    "Node": {"metadata": (1, "ObjectMeta"), "status": (3, "NodeStatus")},
    "NodeStatus": {"addresses": (5, "[]NodeAddress")},
    "NodeAddress": {"type": (1, "string"), "address": (2, "string")},
    # For ``straight``: parts that repeat are octets, in lists, so that none merges with another unseen.
    "StraightUnknown": {
        "typeMeta": (1, "[]bytes"),
        "raw": (2, "bytes"),
        "contentEncoding": (3, "string"),
        "contentType": (4, "string"),
    },
    "StraightService": {
        "metadata": (1, "ObjectMeta"),
        "spec": (2, "StraightServiceSpec"),
        "status": (3, "[]bytes"),
    },
    "StraightServiceSpec": {**_SERVICE_SPEC, "ports": (1, "[]bytes")},
    "StraightEndpointSlice": {
        "metadata": (1, "ObjectMeta"),
        "endpoints": (2, "[]StraightSliceEndpoint"),
        "ports": (3, "[]bytes"),
        "addressType": (4, "string"),
    },
    "StraightSliceEndpoint": {**_SLICE_ENDPOINT, "conditions": (2, "[]bytes"), "hints": (8, "[]bytes")},
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    """Declare one field of a table row."""
    field = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    if kind.startswith("[]") or kind == "map":
        field.label = _Field.LABEL_REPEATED
    if kind.startswith("?"):  # proto3 tells absence with a oneof around the one field
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
    kind = kind.lstrip("[]?")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
        return
    field.type = _Field.TYPE_MESSAGE
    entry = _add_map_entry(message, name) if kind == "map" else kind
    field.type_name = f".{_PACKAGE}.{entry}"


def _add_map_entry(message: descriptor_pb2.DescriptorProto, name: str) -> str:
    """Declare the nested message of key and value that a map of strings is on the wire."""
    entry = message.nested_type.add(name=f"{name[0].upper()}{name[1:]}Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, "string")
    _add_field(entry, "value", 2, "string")
    return f"{message.name}.{entry.name}"


def _build() -> Mapping[str, type[Message]]:
    """Message classes by name, in a pool of their own; proto3, so that text is checked to be UTF-8."""
    file = descriptor_pb2.FileDescriptorProto(
        name="skydns/kubernetes.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in MESSAGES
    }


CLASSES: Mapping[str, type[Message]] = _build()
"""The message classes, by the names in ``MESSAGES``."""
