"""The objects of apiVersion v1beta1, the first releases' own, as their v1 equivalents.

1. Metadata is inlined: ``id`` is the name; ``namespace`` is "default" where absent.  What a server
   filled in (``uid``, ``creationTimestamp``, ``selfLink``, ``resourceVersion``) is not carried over.
2. A Service's ``ports``, if not empty, replaces ``port``, ``portName``, ``protocol`` and
   ``containerPort``; Endpoints' ``subsets``, if not empty, replaces ``endpoints``.
3. ``containerPort`` 0, "" or absent meant the first port of the pod's container.  v1 cannot say that;
   ``targetPort`` stays unset, which in v1 is the Service's own port.
4. ``selector`` null or absent: endpoints are written by hand, as in v1.  ``{}``: every pod of the
   namespace, where v1 takes ``{}`` for absent.  The upgraded document has ``{}`` and the annotation
   ``ALL_PODS``, which survives a Kubernetes API server as well.
5. ``protocol`` was compared without regard to case, and so was the ``IP`` of an address.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from skydns_py.cluster.fields import Fields, JsonFields, parse_address, shown
from skydns_py.cluster.service import ALL_PODS

VERSION = "v1beta1"

_PHASES = {"Waiting": "Pending", "Terminated": "Failed"}
_CONDITIONS = {"Full": "True", "None": "False"}

Document = dict[str, object]
Origins = dict[str, str]
"""v1 path to the v1beta1 path that it came from; a path below one that is listed has the same rest."""


class Upgraded(NamedTuple):
    """A v1 document, its ``kind`` there, and where its parts were written."""

    kind: str
    document: Document
    origins: Origins


def upgrade(doc: Mapping[str, object]) -> Document:
    """The v1 document that means what this v1beta1 one means.

    DecodeError names the v1beta1 field with the wrong type, or a kind that is not in ``KINDS``.  Values
    are checked when the result is decoded; ``decode_json.decode_document`` does both.
    """
    return convert(JsonFields(doc)).document


def convert(fields: JsonFields) -> Upgraded:
    """As ``upgrade``, with what ``written`` needs to name the field of a later complaint."""
    given = fields.text("kind")
    if given not in KINDS:
        raise fields.error("kind", f"{shown(given)} is not one of {', '.join(KINDS)}")
    kind, body = KINDS[given]
    origins: Origins = {"metadata": "", "metadata.name": "id"}
    namespaced = kind not in ("Namespace", "Node")
    head: Document = {"apiVersion": "v1", "kind": kind, "metadata": _metadata(fields, namespaced)}
    return Upgraded(kind, head | body(fields, origins), origins)


def written(path: str, origins: Mapping[str, str]) -> str:
    """The v1beta1 path of a v1 path."""
    for end in range(len(path), 0, -1):
        if path[end : end + 1] in ("", ".", "[") and path[:end] in origins:
            return (origins[path[:end]] + path[end:]).lstrip(".")
    return path


def _filled(**values: object) -> Document:
    """The values that say something."""
    return {name: value for name, value in values.items() if value}


def _metadata(fields: Fields, namespaced: bool) -> Document:
    annotations = dict(fields.pairs("annotations"))
    if fields.has("selector") and not fields.pairs("selector"):
        annotations[ALL_PODS] = "true"
    return _filled(
        name=fields.text("id"),
        namespace=(fields.text("namespace") or "default") if namespaced else "",
        labels=dict(fields.pairs("labels")),
        annotations=annotations,
    )


def _service(fields: Fields, origins: Origins) -> Document:
    origins.update({"spec": "", "spec.clusterIP": "portalIP", "spec.externalIPs": "publicIPs"})
    spec = _filled(
        ports=_service_ports(fields, origins),
        clusterIP=fields.text("portalIP"),
        externalIPs=list(fields.texts("publicIPs")),
        type="LoadBalancer" if fields.flag("createExternalLoadBalancer") else "",
        sessionAffinity=fields.text("sessionAffinity"),
    )
    if fields.has("selector"):
        spec["selector"] = dict(fields.pairs("selector"))
    return {"spec": spec}


def _service_ports(fields: Fields, origins: Origins) -> list[Document]:
    ports = [_service_port(each, "name") for each in fields.children("ports")]
    for index in range(len(ports)):
        origins[f"spec.ports[{index}].targetPort"] = f"ports[{index}].containerPort"
    if ports:
        return ports
    flat = "spec.ports[0]"
    origins.update({flat: "", f"{flat}.name": "portName", f"{flat}.targetPort": "containerPort"})
    return [_service_port(fields, "portName")]


def _service_port(fields: Fields, name_field: str) -> Document:
    return {"port": fields.number("port")} | _filled(
        name=fields.text(name_field),
        protocol=fields.text("protocol").upper(),
        targetPort=fields.number_or_text("containerPort"),
    )


def _endpoints(fields: Fields, origins: Origins) -> Document:
    subsets = [_subset(each) for each in fields.children("subsets")]
    if not subsets:
        return {"subsets": _flat_subsets(fields, origins)}
    for at, subset in enumerate(fields.children("subsets")):
        for index, _ in enumerate(subset.children("addresses")):
            place = f"subsets[{at}].addresses[{index}]"
            origins[f"{place}.ip"] = f"{place}.IP"
    return {"subsets": subsets}


def _subset(fields: Fields) -> Document:
    return _filled(
        addresses=[
            _address(each.text("IP") or each.text("ip"), each.child("targetRef"))
            for each in fields.children("addresses")
        ],
        ports=[_service_port(each, "name") for each in fields.children("ports")],
    )


def _address(text: str, target: Fields | None) -> Document:
    reference = {name: target.text(name) for name in ("kind", "namespace", "name", "uid")} if target else {}
    return {"ip": text} | _filled(targetRef=_filled(**reference))


def _flat_subsets(fields: Fields, origins: Origins) -> list[Document]:
    """``endpoints`` as one subset for each port, in the order of their first appearance."""
    targets = {each.text("endpoint"): each.child("targetRef") for each in fields.children("targetRefs")}
    by_port: dict[int, list[Document]] = {}
    for index, text in enumerate(fields.texts("endpoints")):
        ip, port = _split(fields, f"endpoints[{index}]", text)
        by_port.setdefault(port, []).append(_address(ip, targets.get(text)))
    protocol = _filled(protocol=fields.text("protocol").upper())
    for at in range(len(by_port)):
        origins[f"subsets[{at}].ports[0].protocol"] = "protocol"
    return [{"addresses": found, "ports": [{"port": port} | protocol]} for port, found in by_port.items()]


def _split(fields: Fields, name: str, text: str) -> tuple[str, int]:
    """Address and port of ``192.0.2.1:80`` or ``[2001:db8::1]:80``, at the last colon."""
    host, _, digits = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    ip = host[1:-1] if bracketed else host
    try:
        if bracketed is not (":" in ip):
            raise ValueError
        parse_address(ip)
    except ValueError:
        raise fields.error(name, f"{shown(text)} is not ADDRESS:PORT (IPv6 in brackets)") from None
    port = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else 0
    if not 1 <= port <= 65535:
        raise fields.error(name, f"{shown(text)} does not end in a port from 1 to 65535")
    return ip, port


def _pod(fields: Fields, origins: Origins) -> Document:
    wanted, current = fields.child("desiredState"), fields.child("currentState")
    manifest = wanted.child("manifest")
    origins.update({"spec": "desiredState.manifest", "status": "currentState"})
    origins["status.conditions"] = "currentState.Condition"
    phase = current.text("status")
    conditions = [
        {"type": each.text("kind"), "status": _CONDITIONS.get(each.text("status"), "Unknown")}
        for each in current.children("Condition")
    ]
    spec = _filled(
        hostNetwork=manifest.flag("hostNetwork"),
        nodeName=wanted.text("host") or current.text("host"),
        containers=[_container(each) for each in manifest.children("containers")],
    )
    status = _filled(phase=_PHASES.get(phase, phase), podIP=current.text("podIP"), conditions=conditions)
    return {"spec": spec, "status": status}


def _container(fields: Fields) -> Document:
    ports = [
        _filled(
            name=each.text("name"),
            containerPort=each.number("containerPort"),
            protocol=each.text("protocol").upper(),
        )
        for each in fields.children("ports")
    ]
    return _filled(name=fields.text("name"), image=fields.text("image"), ports=ports)


def _namespace(_fields: Fields, _origins: Origins) -> Document:
    return {}


def _minion(fields: Fields, origins: Origins) -> Document:
    listed = [
        {"type": each.text("type"), "address": each.text("address")}
        for each in fields.child("status").children("addresses")
    ]
    if not listed and fields.has("hostIP"):
        listed = [{"type": "InternalIP", "address": fields.text("hostIP")}]
        origins["status.addresses[0].address"] = "hostIP"
    return {"status": _filled(addresses=listed)}


KINDS: Mapping[str, tuple[str, Callable[[Fields, Origins], Document]]] = {
    "Service": ("Service", _service),
    "Endpoints": ("Endpoints", _endpoints),
    "Pod": ("Pod", _pod),
    "Namespace": ("Namespace", _namespace),
    "Minion": ("Node", _minion),
    "Node": ("Node", _minion),
}
"""v1beta1 kind to v1 kind and what makes its document; all others are passed over."""
