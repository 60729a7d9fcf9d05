"""A decoded object as a v1 document: what is left to print of a value that is stored as protobuf.

Only the fields that this package decodes are there, so such a document is marked, and ``apply``
refuses it: storing it would drop the rest.
"""

import ipaddress
from typing import Any

from skydns_py.cli.documents import PARTIAL
from skydns_py.cluster.objects import (
    Address,
    ClusterObject,
    Endpoint,
    Endpoints,
    EndpointSlice,
    Hints,
    Kind,
    Node,
    Pod,
    Ref,
    Service,
    Subset,
)

Json = dict[str, Any]

ZONE = "topology.kubernetes.io/zone"
NOTE = "partial: stored as protobuf by an API server; these are the fields that names need"


def document(ref: Ref, obj: ClusterObject | None) -> Json:
    """The v1 form of an object, None where its value cannot be decoded: only its name then."""
    metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
    version = "discovery.k8s.io/v1" if ref.kind is Kind.SLICE else "v1"
    body = _body(obj)
    extra = {name: body.pop(name) for name in ("labels", "deletionTimestamp") if name in body}
    return {
        "apiVersion": version,
        "kind": ref.kind.value,
        "metadata": {**metadata, **_set(**extra), "annotations": {PARTIAL: "true"}},
        **body,
    }


def _body(obj: ClusterObject | None) -> Json:
    match obj:
        case Service():
            return {"spec": _service(obj)}
        case Endpoints():
            return {"subsets": [_subset(subset) for subset in obj.subsets]}
        case EndpointSlice():
            return _slice(obj)
        case Pod():
            return _pod(obj)
        case Node():
            return _node(obj)
        case _:
            return {}


def _node(obj: Node) -> Json:
    addresses = [{"address": ip(each)} for each in obj.addresses]
    return {"labels": _set(**{ZONE: obj.zone}), "status": {"addresses": addresses}}


def _service(obj: Service) -> Json:
    addresses = [ip(each) for each in obj.addresses] or (["None"] if obj.headless else [])
    return _set(
        type=service_type(obj) if obj.external_name or obj.exposure.wants_balancer else "",
        clusterIP=addresses[0] if addresses else "",
        clusterIPs=addresses,
        externalName=obj.external_name,
        externalIPs=[ip(each) for each in obj.exposure.addresses],
        publishNotReadyAddresses=obj.publish_not_ready,
        selector=dict(obj.selector or ()),
        ports=[
            _set(
                name=port.name,
                protocol=port.protocol,
                port=port.port,
                targetPort=port.target,
                nodePort=port.node_port,
            )
            for port in obj.ports
        ],
    )


def service_type(obj: Service) -> str:
    """What the Service is called by its type, as far as the decoded fields tell."""
    if obj.external_name:
        return "ExternalName"
    if obj.exposure.wants_balancer:
        return "LoadBalancer"
    return "NodePort" if any(port.node_port for port in obj.ports) else "ClusterIP"


def _subset(subset: Subset) -> Json:
    ready = [each for each in subset.endpoints if each.ready]
    unready = [each for each in subset.endpoints if not each.ready]
    return _set(
        addresses=[_address(each) for each in ready],
        notReadyAddresses=[_address(each) for each in unready],
        ports=_ports(subset),
    )


def _address(endpoint: Endpoint) -> Json:
    return _set(ip=ip(endpoint.address), hostname=endpoint.hostname, nodeName=endpoint.node)


def _ports(subset: Subset) -> list[Json]:
    return [_set(name=port.name, protocol=port.protocol, port=port.port) for port in subset.ports]


def _slice(obj: EndpointSlice) -> Json:
    endpoints = [each for subset in obj.subsets for each in subset.endpoints]
    return {
        "labels": _set(**{"kubernetes.io/service-name": obj.service}),
        "addressType": "IPv6" if any(len(each.address) == 16 for each in endpoints) else "IPv4",
        "endpoints": [_slice_endpoint(each) for each in endpoints],
        "ports": _ports(obj.subsets[0]) if obj.subsets else [],
    }


def _slice_endpoint(endpoint: Endpoint) -> Json:
    conditions = {
        "ready": endpoint.ready,
        "serving": endpoint.serving,
        "terminating": endpoint.terminating,
    }
    return {
        "addresses": [ip(endpoint.address)],
        "conditions": conditions,
        **_set(hostname=endpoint.hostname, nodeName=endpoint.node, zone=endpoint.zone),
        **_set(hints=_hints(endpoint.hints) if endpoint.hints else {}),
    }


def _hints(hints: Hints) -> Json:
    names = {"forZones": hints.zones, "forNodes": hints.nodes}
    return _set(**{key: [{"name": name} for name in found] for key, found in names.items()})


def _pod(obj: Pod) -> Json:
    addresses = [ip(each) for each in obj.addresses]
    status = _set(
        phase="Succeeded" if obj.finished else "",
        podIP=addresses[0] if addresses else "",
        podIPs=[{"ip": each} for each in addresses],
        conditions=[{"type": "Ready", "status": "True"}] if obj.ready else [],
    )
    ports = [{"name": port.name, "protocol": port.protocol, "containerPort": port.port} for port in obj.ports]
    spec = _set(
        hostNetwork=obj.host_network,
        nodeName=obj.node,
        hostname=obj.hostname,
        subdomain=obj.subdomain,
        containers=[{"ports": ports}] if ports else [],
    )
    leaving = "1970-01-01T00:00:00Z" if obj.terminating else ""
    return _set(labels=dict(obj.labels), deletionTimestamp=leaving, spec=spec, status=status)


def _set(**fields: Any) -> Json:
    """Those that say something."""
    return {key: value for key, value in fields.items() if value}


def ip(address: Address) -> str:
    """An address as text."""
    return str(ipaddress.ip_address(address))
