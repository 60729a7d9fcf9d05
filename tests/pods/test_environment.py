"""A pod's variables: a table of shapes, and what holds for every set of Services."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import ClusterObject, Service
from skydns_py.pods.environment import candidates, environment, visible
from tests.builders import service
from tests.pods.strategies import NAMESPACES, services

SHAPES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "shapes.yaml").read_text())


def decoded(given: dict[str, Any]) -> list[ClusterObject]:
    if "document" in given:
        return decode_document(given["document"])
    metadata = {"name": given["name"], "namespace": given.get("namespace", "my-ns")}
    body = {key: value for key, value in given.items() if key in ("spec", "status")}
    return decode_document({"apiVersion": "v1", "kind": "Service", "metadata": metadata, **body})


@pytest.mark.parametrize("case", SHAPES, ids=[case["shape"] for case in SHAPES])
def test_each_shape_gives_exactly_these_variables_in_this_order(case: dict[str, Any]) -> None:
    known = [obj for each in case["services"] for obj in decoded(each) if isinstance(obj, Service)]
    assert len(known) == len(case["services"])
    found = environment(known, case.get("namespace", "my-ns"), links=case.get("links", True))
    assert [f"{name}={value}" for name, value in found.items()] == case["gives"].splitlines()


def test_the_table_has_at_least_thirty_shapes_each_once() -> None:
    assert len(SHAPES) >= 30
    assert len({case["shape"] for case in SHAPES}) == len(SHAPES)


def test_the_classic_example_byte_for_byte() -> None:
    found = environment([service("redis-master", "10.0.0.11", ":6379")], "my-ns")
    assert "".join(f"{name}={value}\n" for name, value in found.items()).encode() == (
        b"REDIS_MASTER_SERVICE_HOST=10.0.0.11\n"
        b"REDIS_MASTER_SERVICE_PORT=6379\n"
        b"REDIS_MASTER_PORT=tcp://10.0.0.11:6379\n"
        b"REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379\n"
        b"REDIS_MASTER_PORT_6379_TCP_PROTO=tcp\n"
        b"REDIS_MASTER_PORT_6379_TCP_PORT=6379\n"
        b"REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11\n"
    )


def test_every_value_of_a_variable_that_services_contend_for_is_a_candidate() -> None:
    known = [service("a", "10.0.0.2", ":2"), service("a-service", "10.0.0.3", ":3")]
    found = candidates(known, "my-ns")
    assert found["A_SERVICE_PORT"] == ("2", "tcp://10.0.0.3:3")
    assert {len(values) for name, values in found.items() if name != "A_SERVICE_PORT"} == {1}


URL = re.compile(r"(tcp|udp|sctp)://")


@given(services(), NAMESPACES, st.booleans())
def test_every_url_says_address_protocol_and_port_of_a_port_that_is_there(
    known: list[Service], namespace: str, links: bool
) -> None:
    seen = visible(known, namespace, links=links)
    there = {(p.protocol.lower(), s.addresses[0], p.port) for s in seen for p in s.ports}
    values = [value for each in candidates(known, namespace, links=links).values() for value in each]
    found = set()
    for url in (urlsplit(value) for value in values if URL.match(value)):
        assert url.hostname is not None
        assert (url.path, url.query, url.fragment, url.username) == ("", "", "", None)
        found.add((url.scheme, ip_address(url.hostname).packed, url.port))
    assert found == there


@given(services(), NAMESPACES)
def test_names_are_upper_case_letters_digits_and_underscores(known: list[Service], namespace: str) -> None:
    for name, value in environment(known, namespace).items():
        assert re.fullmatch(r"[A-Z0-9_]+", name)
        assert re.fullmatch(r"[a-z0-9.:/\[\]]+", value)


@given(st.data(), services(), NAMESPACES, st.booleans())
def test_the_order_in_which_services_are_listed_changes_nothing(
    data: st.DataObject, known: list[Service], namespace: str, links: bool
) -> None:
    shuffled = data.draw(st.permutations(known))
    found = environment(known, namespace, links=links)
    assert list(environment(shuffled, namespace, links=links).items()) == list(found.items())


@given(services(), NAMESPACES)
def test_a_pod_without_links_gets_part_of_what_one_with_links_may_get(
    known: list[Service], namespace: str
) -> None:
    own_masters = {s.name for s in known if s.namespace == namespace and s.addresses}
    few, many = visible(known, namespace, links=False), visible(known, namespace)
    assert all(s in many or s.name in own_masters for s in few)
    assert all(s.namespace == "default" for s in few)


@given(services(), NAMESPACES)
def test_what_is_of_other_namespaces_changes_nothing_but_the_master_services(
    known: list[Service], namespace: str
) -> None:
    own = [s for s in known if s.namespace in (namespace, "default")]
    assert environment(own, namespace) == environment(known, namespace)
    assert all(s.namespace == namespace or s.name.startswith("kubernetes") for s in visible(known, namespace))
