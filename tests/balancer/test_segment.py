"""Balancers on a segment, with a real etcd: what is given, written, announced and moved."""

import base64
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.failover import fail
from bench.segment import Node, Segment, inside, segment, wait_for
from skydns_py.balancer.packets import ETH_IPV6, announcement
from skydns_py.cluster.decode_protobuf import MAGIC
from tests import needs

pytestmark = [needs.netns(), needs.program("etcd", "nft")]

POOLS: list[dict[str, Any]] = [
    {"name": "segment", "addresses": ["192.0.2.100-192.0.2.109", "2001:db8::100-2001:db8::109"]},
    {"name": "small", "addresses": ["192.0.2.110"], "classes": ["small"]},
    {"name": "foreign", "addresses": ["203.0.113.1"], "classes": ["foreign"]},
    {"name": "own", "addresses": ["192.0.2.11"], "classes": ["own"]},
]
MOVED_SECONDS = 3.0
SLACK_SECONDS = 1.0
"""For a machine that does other things beside; the figures of a quiet one are in bench/results."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    with segment(tmp_path_factory.mktemp("segment"), 3, pools=POOLS) as found:
        found.start()
        yield found


@pytest.fixture(autouse=True)
def _clean(lab: Segment) -> Iterator[None]:
    yield
    for key in lab.etcd.below("/registry/"):
        lab.etcd.delete(f"/registry/{key}")
    wait_for("addresses are not given back", lambda: not lab.etcd.below("/skydns.balancer/ip/"))
    lab.start()


def reserved(lab: Segment) -> dict[str, list[str]]:
    found = lab.etcd.below("/skydns.balancer/ip/")
    return {address: json.loads(value)["services"] for address, value in found.items()}


def said(lab: Segment, text: str) -> int:
    """How often the nodes together have logged a line with this text."""
    return sum(node.said().count(text) for node in lab.nodes)


def says(lab: Segment, text: str) -> None:
    wait_for(f"nobody says {text!r}", lambda: said(lab, text))


def test_a_service_that_asks_gets_the_lowest_address_written_and_one_node_announces_it(lab: Segment) -> None:
    key = lab.service("web")
    assert lab.given(key) == ["192.0.2.100"]
    assert reserved(lab) == {"192.0.2.100": ["my-ns/web"]}
    holder = lab.holder("192.0.2.100")
    with lab.watched("192.0.2.100") as seen:
        time.sleep(0.5)  # what is watched is that nothing else happens
        found = seen()
    assert {who for _, _, who in found.answers} == {holder.name}
    assert {mac for _, mac in found.claims("192.0.2.100")} == {holder.mac}


def test_a_service_that_goes_or_asks_no_more_gives_its_address_back(lab: Segment) -> None:
    first, second = lab.service("first"), lab.service("second")
    (one,), (two,) = lab.given(first), lab.given(second)
    holder = lab.holder(one)
    lab.etcd.delete(first)
    lab.service("second", type="ClusterIP")
    wait_for("they are still reserved", lambda: not reserved(lab))
    wait_for("it is still announced", lambda: one not in holder.addresses())
    wait_for("they have an owner still", lambda: lab.owner(one) == lab.owner(two) == "")


def test_what_stops_to_ask_loses_its_status(lab: Segment) -> None:
    key = lab.service("web")
    lab.given(key)
    document = json.loads(lab.etcd.get(key) or b"")
    document["spec"]["type"] = "ClusterIP"
    lab.etcd.put(key, document)
    wait_for("its status stays", lambda: lab.ingress(key) == [])


def test_v1beta1_gets_its_address_as_a_public_ip_beside_those_set_by_hand(lab: Segment) -> None:
    document = {
        "kind": "Service",
        "apiVersion": "v1beta1",
        "id": "old",
        "port": 80,
        "selector": {},
        "createExternalLoadBalancer": True,
        "publicIPs": ["203.0.113.9"],
    }
    key = "/registry/services/specs/default/old"
    lab.etcd.put(key, document)

    def public() -> list[str]:
        found: list[str] = json.loads(lab.etcd.get(key) or b"{}").get("publicIPs", [])
        return found

    wait_for("it got no public IP", lambda: public() == ["203.0.113.9", "192.0.2.100"])
    lab.holder("192.0.2.100")
    lab.etcd.put(key, {**json.loads(lab.etcd.get(key) or b""), "createExternalLoadBalancer": False})
    wait_for("it keeps its public IP", lambda: public() == ["203.0.113.9"])


def test_an_address_that_is_asked_for_is_given_and_one_that_is_taken_is_refused_in_one_line(
    lab: Segment,
) -> None:
    wanted = {"loadBalancerIP": "192.0.2.105"}
    assert lab.given(lab.service("web", **wanted)) == ["192.0.2.105"]
    late = lab.service("late", **wanted)
    line = "service/my-ns/late: 192.0.2.105 is asked for and belongs to service/my-ns/web"
    says(lab, line)
    lab.etcd.delete("/registry/services/specs/my-ns/web")
    assert lab.given(late) == ["192.0.2.105"]
    assert said(lab, line) == 1


def test_a_pool_that_is_exhausted_refuses_in_one_line_and_gives_what_comes_back(lab: Segment) -> None:
    first = lab.service("small-1", loadBalancerClass="small")
    assert lab.given(first) == ["192.0.2.110"]
    second = lab.service("small-2", loadBalancerClass="small")
    line = "service/my-ns/small-2: none of the 1 IPv4 addresses of its pools is free"
    says(lab, line)
    lab.etcd.delete(first)
    assert lab.given(second) == ["192.0.2.110"]
    assert said(lab, line) == 1


def test_services_with_one_key_and_different_ports_share_an_address(lab: Segment) -> None:
    share = {"skydns/allow-shared-address": "dns"}
    udp = lab.service("udp", annotations=share, ports=[{"port": 53, "protocol": "UDP"}])
    (address,) = lab.given(udp)
    assert lab.given(lab.service("tcp", annotations=share, ports=[{"port": 53}])) == [address]
    other = lab.given(lab.service("same-port", annotations=share, ports=[{"port": 53}]))
    assert other != [address]
    assert lab.given(lab.service("no-key", ports=[{"port": 99}])) not in ([address], other)
    assert reserved(lab)[address] == ["my-ns/tcp", "my-ns/udp"]
    lab.etcd.delete(udp)
    wait_for("it is still there", lambda: reserved(lab)[address] == ["my-ns/tcp"])


def test_a_service_of_a_class_that_no_pool_has_is_left_to_others(lab: Segment) -> None:
    theirs = lab.service("theirs", loadBalancerClass="example.com/other")
    assert lab.given(lab.service("web")) == ["192.0.2.100"]
    assert lab.ingress(theirs) == []
    assert said(lab, "service/my-ns/theirs") == 0


def test_a_document_in_an_api_servers_encoding_is_refused_in_one_line_and_left_alone(lab: Segment) -> None:
    rows = (Path(__file__).parent.parent / "data/kubernetes-1.36/registry.jsonl").read_text().splitlines()
    stored = next(value for value in map(_protobuf, rows) if value and b"LoadBalancer" in value[1])
    key = f"/registry/{stored[0].removeprefix('/registry/')}"
    lab.etcd.put(key, stored[1])
    says(lab, "is stored in a Kubernetes API server's encoding, and only that server may write to it")
    assert lab.etcd.get(key) == stored[1]
    assert reserved(lab) == {}


def _protobuf(row: str) -> tuple[str, bytes] | None:
    found = json.loads(row)
    value = base64.b64decode(found["value"])
    return (found["key"], value) if value.startswith(MAGIC) and "/services/specs/" in found["key"] else None


def test_an_address_of_the_node_itself_is_left_alone(lab: Segment) -> None:
    own = lab.nodes[0]
    lab.given(lab.service("own", loadBalancerClass="own"))
    lab.holder("192.0.2.11")  # another node, which is as it must be: the first one says no
    shown = json.loads(
        subprocess.run(
            ["ip", "-n", own.space, "-j", "address", "show", "dev", "eth0"],
            capture_output=True,
            check=True,
            timeout=10,
        ).stdout
    )
    mine = [each for each in shown[0]["addr_info"] if each["local"] == "192.0.2.11"]
    assert [each["valid_life_time"] for each in mine] == [2**32 - 1]


def test_an_address_without_an_interface_is_refused_in_one_line(lab: Segment) -> None:
    lab.given(lab.service("foreign", loadBalancerClass="foreign"))
    says(lab, "no interface has a network with 203.0.113.1; set balancer.interface")


def _ready_on(lab: Segment, name: str, *nodes: str) -> None:
    addresses = [{"ip": f"10.1.0.{at}", "nodeName": node} for at, node in enumerate(nodes, 1)]
    subsets = [{"addresses": addresses, "ports": [{"port": 80}]}] if nodes else []
    meta = {"name": name, "namespace": "my-ns"}
    document = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets}
    lab.etcd.put(f"/registry/services/endpoints/my-ns/{name}", document)


def test_the_local_policy_announces_only_where_a_backend_is_ready(lab: Segment) -> None:
    _ready_on(lab, "web", "n2")
    (address,) = lab.given(lab.service("web", externalTrafficPolicy="Local"))
    assert lab.holder(address).name == "n2"
    with lab.watched(address) as seen:
        _ready_on(lab, "web", "n3")
        wait_for("n3 does not take over", lambda: address in lab.nodes[2].addresses())
        time.sleep(0.3)  # what is watched is that the old one is silent
        found = seen()
    assert [new for _, _, new in found.handovers(address)] == [lab.nodes[2].mac]
    _ready_on(lab, "web")
    wait_for("it is still announced", lambda: not lab.owner(address) and not lab.nodes[2].addresses())


@pytest.mark.parametrize("mode", ["kill", "cut", "freeze", "exit"])
def test_an_address_moves_in_time_and_is_never_at_two_nodes(lab: Segment, mode: str) -> None:
    (address,) = lab.given(lab.service("web"))
    found = fail(lab, address, mode)
    assert found.doubles == 0
    assert found.moved < (0.5 if mode == "exit" else MOVED_SECONDS) + SLACK_SECONDS
    assert found.away < MOVED_SECONDS + SLACK_SECONDS
    if mode != "exit":
        assert found.margin > 0.2, "the old one is silent before the new one begins"


def test_a_balancer_outlives_a_restart_of_etcd(lab: Segment) -> None:
    (address,) = lab.given(lab.service("web"))
    lab.etcd.restart()
    assert lab.given(lab.service("after")) == ["192.0.2.101"]
    lab.holder(address)
    lab.holder("192.0.2.101")


def test_the_controllers_death_stops_no_allocation(lab: Segment) -> None:
    seat = wait_for("nobody gives addresses", lambda: lab.owner("controller"))
    leader = next(node for node in lab.nodes if node.name == seat)
    leader.end(signal.SIGKILL)
    key = lab.service("web")
    assert lab.given(key) == ["192.0.2.100"]
    lab.holder("192.0.2.100")
    lab.etcd.delete(key)
    wait_for("it is not given back", lambda: not reserved(lab))


def test_ipv6_is_announced_by_an_unsolicited_advertisement(lab: Segment) -> None:
    with inside(lab.client):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_IPV6))
    with closing(wire):
        wire.bind(("eth0", ETH_IPV6))
        wire.settimeout(10)
        (address,) = lab.given(lab.service("six", clusterIP="fd00:10::1"))
        holder = lab.holder(address)
        target = socket.inet_pton(socket.AF_INET6, address)
        mac = bytes.fromhex(holder.mac.replace(":", ""))
        (wanted,) = announcement(mac, target)
        frame = b""
        while frame[54:55] != bytes([136]) or frame[62:78] != target:
            frame = wire.recv(256)
    assert address == "2001:db8::100"
    assert frame == wanted


def test_addresses_spread_over_the_nodes(lab: Segment) -> None:
    keys = [lab.service(f"web-{number}") for number in range(10)]
    addresses = [lab.given(key)[0] for key in keys]
    assert len(set(addresses)) == 10
    assert len({lab.holder(address).name for address in addresses}) >= 2


def test_a_second_balancer_of_a_name_waits_for_the_first(lab: Segment, tmp_path: Path) -> None:
    twin = Node("n1", lab.nodes[2].space, lab.nodes[2].mac, lab.nodes[0].config, tmp_path)
    twin.start()
    try:
        wait_for("it does not say so", lambda: "another skydns balancer runs as n1" in twin.said())
        (address,) = lab.given(lab.service("web"))
        lab.holder(address)
        assert "this node has" not in twin.said()
    finally:
        twin.kill()


def _page(lab: Segment, path: str) -> tuple[int, str]:
    asker = http.client.HTTPConnection("127.0.0.1", 10266, timeout=5)
    with inside(lab.nodes[0].space), closing(asker):
        asker.connect()
        asker.request("GET", path)
        answer = asker.getresponse()
        return answer.status, answer.read().decode()


def test_the_pages_say_whether_a_node_takes_part_and_what_it_has(lab: Segment) -> None:
    wait_for("it is not ready", lambda: _page(lab, "/ready")[0] == 200)
    assert _page(lab, "/health") == (200, "OK\n")
    (address,) = lab.given(lab.service("web"))
    lab.holder(address)
    taken = 'skydns_balancer_pool_taken{pool="segment"} 1'
    wait_for("it is not counted", lambda: taken in _page(lab, "/metrics")[1])
    lab.nodes[0].cut()
    try:
        wait_for("it is ready still", lambda: _page(lab, "/ready")[0] == 503)
        assert "etcd at http://10.99.0.1:2379" in _page(lab, "/ready")[1]
    finally:
        lab.nodes[0].mend()
