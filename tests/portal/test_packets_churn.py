"""A thousand Services of which one changes all the time: nobody else's connections notice."""

import time

from tests import needs
from tests.portal.cases import IPV4, Family, balanced, ready
from tests.portal.objects import Document
from tests.portal.programming import Lab

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

SERVICES = 1000
FLIPS = 20
RATE = 50
"""Connections a second."""


def address(number: int) -> str:
    return f"10.97.{number // 250}.{number % 250 + 1}"


def cluster() -> list[Document]:
    found = list[Document]()
    for number in range(SERVICES):
        found += balanced(IPV4, "b1", "b2", name=f"s{number}", address=address(number))
    return found


def flip(lab: Lab, family: Family, number: int) -> None:
    """Service 0 has one endpoint, another each time, and connections follow."""
    name = f"b{number % 3 + 1}"
    lab.store.put(ready(family, name, name="s0"))
    assert lab.net.pod.connect(address(0)).names == {name: 1}


def test_one_endpoint_of_a_thousand_services_flips_and_no_other_connection_fails(lab: Lab) -> None:
    lab.store.put(*cluster())
    places = [[address(number), 80] for number in range(1, SERVICES)]
    lab.net.client.ask("load", places=places, rate=RATE, timeout=1.0)
    began = time.monotonic()
    try:
        for number in range(FLIPS):
            flip(lab, IPV4, number)
    finally:
        seconds = time.monotonic() - began
        result = lab.net.client.ask("unload")
    assert result["errors"] == {}
    assert sum(result["names"].values()) > 0.8 * RATE * seconds
    assert set(result["names"]) == {"b1", "b2"}
