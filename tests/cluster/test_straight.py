"""The straight way decodes what the general one does, or leaves it to that one."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cluster import decode_protobuf, straight
from skydns_py.cluster.objects import EndpointSlice, Service
from tests.cluster.kubernetes_values import encode, outcome, registry_values, service, typed
from tests.cluster.test_decode_protobuf import BODIES, enveloped

KINDS = {"Service": "v1", "EndpointSlice": "discovery.k8s.io/v1"}
VALUES = sorted(
    value for key, value in registry_values().items() if "/services/specs/" in key or "slices" in key
)


def agrees(value: bytes) -> bool:
    """Whether the straight way knows ``value``; AssertionError where the general one has it otherwise."""
    found = straight.decode(value)
    assert found is None or outcome(decode_protobuf.decode, value) == [found]
    return found is not None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_what_is_decoded_straight_is_what_the_general_rules_make(kind: str, data: st.DataObject) -> None:
    agrees(encode(typed(kind, data.draw(BODIES[kind]))))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_messages_that_merge_are_decoded_as_merged(kind: str, data: st.DataObject) -> None:
    halves = [encode(typed(kind, data.draw(BODIES[kind]))) for _ in range(2)]
    inner = [straight._UNKNOWN.FromString(half[4:]).raw for half in halves]
    agrees(enveloped(KINDS[kind], kind, b"".join(inner)))


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(VALUES),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_value_is_decoded_as_the_general_rules_have_it(
    value: bytes, damage: list[tuple[int, int]]
) -> None:
    damaged = bytearray(value)
    for place, octet in damage:
        damaged[place % (len(damaged) - 4) + 4] = octet
    agrees(bytes(damaged))


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "name": "http"}], "selector": {"app": "web"}},
        {"clusterIPs": ["10.0.0.1", "fd00::1"], "internalTrafficPolicy": "Cluster", "type": "ClusterIP"},
        {"clusterIPs": ["None"], "publishNotReadyAddresses": True, "sessionAffinity": "None"},
    ],
)
def test_usual_services_are_decoded_straight(spec: dict[str, Any]) -> None:
    assert agrees(encode(service(spec)))


def test_most_recorded_values_are_decoded_straight() -> None:
    known = [value for value in VALUES if agrees(value)]
    assert {type(straight.decode(value)) for value in known} == {Service, EndpointSlice}
    assert len(known) > len(VALUES) / 2


def test_conditions_that_come_twice_are_left_to_the_general_rules() -> None:
    endpoint = b"\x0a\x0810.0.0.1\x12\x02\x08\x00\x12\x02\x10\x01"
    raw = b"\x0a\x05\x0a\x03web\x12" + bytes((len(endpoint),)) + endpoint + b"\x22\x04IPv4"
    assert not agrees(enveloped("discovery.k8s.io/v1", "EndpointSlice", raw))


def test_an_endpoint_slice_of_a_thousand_decodes_each_port_tuple_once() -> None:
    straight._slice_ports.cache_clear()
    for number in range(1000):
        body = {"metadata": {"name": f"s{number}"}, "addressType": "IPv4", "ports": [{"port": 80}]}
        assert agrees(encode(typed("EndpointSlice", body)))
    assert straight._slice_ports.cache_info().misses == 1
