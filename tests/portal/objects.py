"""Kubernetes objects as the tests write them into the store: plain documents, the usual filled in."""

from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]

NAMESPACE = "my-ns"
PORT = 8080
"""What every backend listens on, TCP and UDP."""


def service(
    name: str,
    address: str | Sequence[str] = "",
    *,
    port: int = 80,
    protocol: str = "TCP",
    port_name: str = "",
    node_port: int = 0,
    ingress: Sequence[str] = (),
    **spec: Any,
) -> Document:
    """A v1 Service; ``address`` are its portal IPs, ``spec`` goes to its spec as it is."""
    addresses = [address] if isinstance(address, str) else list(address)
    row = {"port": port, "protocol": protocol, "targetPort": PORT, "name": port_name, "nodePort": node_port}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"clusterIP": addresses[0], "clusterIPs": addresses, "ports": [row], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in ingress]}},
    }


def endpoint(address: str, node: str = "", *, ready: bool = True, **conditions: bool) -> Document:
    """One endpoint of a slice."""
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": ready, **conditions}}


def endpoint_slice(
    service: str, *endpoints: Document, family: int = 4, port_name: str = "", protocol: str = "TCP"
) -> Document:
    """The Service's slice of this family."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE,
            "name": f"{service}-{family}",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": f"IPv{family}",
        "ports": [{"name": port_name, "port": PORT, "protocol": protocol}],
        "endpoints": list(endpoints),
    }


def endpoints(name: str, *addresses: str, port_name: str = "", protocol: str = "TCP") -> Document:
    """An Endpoints object, as one writes it by hand."""
    port = {"name": port_name, "port": PORT, "protocol": protocol}
    subset = {"addresses": [{"ip": each} for each in addresses], "ports": [port]}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "subsets": [subset] if addresses else [],
    }
