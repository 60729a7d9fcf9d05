"""What a Service was given, written into its document: v1, or v1beta1 as the first releases had it."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from skydns_py.balancer.allocation.service import PLAIN, Grant, Wish, wish
from skydns_py.cluster import decode_v1beta1

Json = dict[str, Any]


def wish_of(document: Mapping[str, Any]) -> Wish:
    """``wish`` of a Service's document that has been validated; DecodeError as there."""
    if document.get("apiVersion") != decode_v1beta1.VERSION:
        return wish(document.get("spec") or {})
    return wish({"type": "LoadBalancer"}) if document.get("createExternalLoadBalancer") else PLAIN


def with_grant(document: Json, has: Grant) -> Json:
    """A copy that says so; parts that say it already stay as they were written.

    v1beta1 has one ``portalIP`` and no node ports, so of more than that the rest is left out there.
    """
    if document.get("apiVersion") == decode_v1beta1.VERSION:
        return {**document, "portalIP": _text(has.addresses[0])} if has.addresses else document
    spec = dict(document.get("spec") or {})
    spec.update(_addresses(spec, [_text(each) for each in has.addresses]))
    if any(has.node_ports):
        numbers = zip(spec["ports"], has.node_ports, strict=True)
        spec["ports"] = [{**port, "nodePort": number} if number else port for port, number in numbers]
    if has.health_port:
        spec["healthCheckNodePort"] = has.health_port
    return {**document, "spec": spec}


def _addresses(spec: Json, texts: list[str]) -> Json:
    if not texts or _said(spec) == texts:
        return {}
    several = {"clusterIPs": texts} if len(texts) > 1 or "clusterIPs" in spec else {}
    return {"clusterIP": texts[0], **several}


def _said(spec: Json) -> list[str]:
    said = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [_text(ip_address(each).packed) for each in said if each]


def _text(address: bytes) -> str:
    return str(ip_address(address))
