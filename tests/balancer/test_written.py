"""What is written into a Service's document, and what is left as it was."""

import json
from typing import Any

import pytest

from skydns_py.balancer.written import NotJson, rewritten
from skydns_py.cluster.decode_protobuf import MAGIC

OURS = {"ip": "192.0.2.10"}


def after(document: Any, given: list[dict[str, str]], withdrawn: str = "") -> Any:
    found = rewritten(json.dumps(document).encode(), given, withdrawn.split())
    return found if found is None else json.loads(found)


def v1(*ingress: dict[str, Any], **more: Any) -> dict[str, Any]:
    status = {"status": {"loadBalancer": {"ingress": list(ingress)}, "conditions": [1]}} if ingress else {}
    return {"apiVersion": "v1", "kind": "Service", "spec": {"unknown": {"kept": True}}, **status, **more}


def v1beta1(*public: str) -> dict[str, Any]:
    return {"apiVersion": "v1beta1", "kind": "Service", "id": "a", "publicIPs": list(public)}


def test_v1_gets_a_status_and_keeps_all_else() -> None:
    assert after(v1(), [OURS]) == {**v1(), "status": {"loadBalancer": {"ingress": [OURS]}}}
    assert after(v1({"ip": "192.0.2.99"}), [OURS]) == v1(OURS)
    assert after(v1(), [{"hostname": "lb.example"}])["status"]["loadBalancer"]["ingress"] == [
        {"hostname": "lb.example"}
    ]


def test_what_is_there_already_is_not_written_again() -> None:
    assert after(v1({"ip": "192.0.2.10", "ipMode": "VIP"}), [OURS]) is None
    assert after(v1beta1("192.0.2.10"), [OURS]) is None
    assert after(v1(), []) is None


def test_what_is_withdrawn_goes_and_what_others_wrote_stays() -> None:
    other = {"ip": "203.0.113.1"}
    assert after(v1(OURS, other), [], "192.0.2.10") == v1(other)
    gone = after(v1(OURS), [], "192.0.2.10")
    assert gone["status"] == {"loadBalancer": {}, "conditions": [1]}
    assert after(v1(other), [], "192.0.2.10") is None


def test_v1beta1_keeps_public_ips_set_by_hand_before_ours() -> None:
    assert after(v1beta1("203.0.113.1"), [OURS]) == v1beta1("203.0.113.1", "192.0.2.10")
    moved = after(v1beta1("203.0.113.1", "192.0.2.9"), [OURS], "192.0.2.9")
    assert moved == v1beta1("203.0.113.1", "192.0.2.10")
    assert after(v1beta1("203.0.113.1", "192.0.2.10"), [], "192.0.2.10") == v1beta1("203.0.113.1")


@pytest.mark.parametrize("value", [MAGIC + b"\x0a\x00", b"k8s:enc:aescbc:v1:key1:x", b"[]", b""])
def test_what_is_not_json_is_refused(value: bytes) -> None:
    with pytest.raises(NotJson, match="only that server may write to it"):
        rewritten(value, [OURS], ())
