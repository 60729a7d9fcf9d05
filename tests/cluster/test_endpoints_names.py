"""Endpoints that are derived from Pods, as a client sees them."""

from pathlib import Path

import yaml

from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import ClusterObject, EndpointPort, Service, ServicePort
from tests.builders import Served, endpoints, headless, lines, packed, pod

DEMO = Path(__file__).parents[2] / "manifests" / "demo"
WEB = (("app", "web"),)


def answer(served: Served, name: str, rdtype: str = "A") -> list[str]:
    return lines(served.ask(name, rdtype).answer)


def test_a_headless_name_follows_the_readiness_of_pods() -> None:
    name = "my-service.my-ns.svc"
    served = Served(headless(selector=WEB), pod("a", "10.1.0.1", ready=True, labels=WEB))
    assert answer(served, name) == [f"{name} A 10.1.0.1"]
    served.change(pod("b", "10.1.0.2", labels=WEB))
    assert answer(served, name) == [f"{name} A 10.1.0.1"]
    served.change(pod("b", "10.1.0.2", ready=True, labels=WEB), pod("a", "10.1.0.1").ref)
    assert answer(served, name) == [f"{name} A 10.1.0.2"]
    assert answer(served, f"10-1-0-2.{name}") == [f"10-1-0-2.{name} A 10.1.0.2"]
    assert answer(served, "2.0.1.10.in-addr.arpa.", "PTR")[0].endswith(f"10-1-0-2.{name}")


def test_names_leave_the_pods_for_endpoints_that_somebody_writes_and_return() -> None:
    name = "my-service.my-ns.svc"
    served = Served(headless(selector=WEB), pod("a", "10.1.0.1", ready=True, labels=WEB))
    served.change(endpoints(hosts="10.1.0.9"))
    assert answer(served, name) == [f"{name} A 10.1.0.9"]
    served.change(endpoints().ref)
    assert answer(served, name) == [f"{name} A 10.1.0.1"]


def test_a_pod_that_is_not_ready_has_a_name_where_the_service_publishes_it() -> None:
    served = Served(headless(selector=WEB, publish_not_ready=True), pod("a", "10.1.0.1", labels=WEB))
    assert answer(served, "my-service.my-ns.svc") == ["my-service.my-ns.svc A 10.1.0.1"]


def test_an_endpoint_of_a_portal_has_the_pods_own_port() -> None:
    port = ServicePort("http", "TCP", 80, "www")
    web = pod("a", "10.1.0.1", ready=True, labels=WEB, ports=(EndpointPort("www", "TCP", 8080),))
    served = Served(Service("my-ns", "s", (port,), (packed("10.0.0.1"),), selector=WEB), web)
    name = "10-1-0-1.s.my-ns.svc"
    assert answer(served, name, "SRV") == [f"{name} SRV 0 100 8080 {name}"]


def demo() -> list[ClusterObject]:
    documents = [
        each for path in sorted(DEMO.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())
    ]
    return [found for each in documents for found in decode_document(each)]


def test_the_demos_queue_has_the_addresses_of_its_pods() -> None:
    served, name = Served(*demo()), "queue.default.svc"
    assert answer(served, name) == [f"{name} A 10.1.0.60", f"{name} A 10.1.0.61"]
    assert answer(served, f"queue-0.{name}") == [f"queue-0.{name} A 10.1.0.60"]
    ports = [line.split()[-2] for line in answer(served, f"_amqp._tcp.{name}", "SRV")]
    assert sorted(ports) == ["5672", "5673"]
