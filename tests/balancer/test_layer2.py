"""Addresses in a real kernel: put on for a time, prolonged, taken off, and gone by themselves."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address

import pytest

from bench.segment import inside, wait_for
from skydns_py.balancer.layer2 import Layer2, Taken
from skydns_py.balancer.packets import ETH_ARP, REPLY, arp, parse_arp
from skydns_py.errors import SkydnsError
from tests import needs
from tests.portal import spaces

pytestmark = needs.netns()

V4, V6 = ip_address("192.0.2.50").packed, ip_address("2001:db8::50").packed


@pytest.fixture
def space() -> Iterator[str]:
    name = spaces.make("layer2")
    spaces.run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "peer0")
    for device in ("eth0", "peer0"):
        spaces.run("ip", "-n", name, "link", "set", device, "up")
    for address in ("192.0.2.1/24", "2001:db8::1/64"):
        spaces.run("ip", "-n", name, "address", "add", address, "dev", "eth0")
    yield name
    spaces.drop(name)


@pytest.fixture
def layer2(space: str) -> Iterator[Layer2]:
    with inside(space):
        made = Layer2("")
        try:
            yield made
        finally:
            made.close()


def there(space: str) -> dict[str, dict[str, object]]:
    shown = json.loads(spaces.run("ip", "-n", space, "-j", "address", "show", "dev", "eth0"))
    return {each["local"]: each for each in shown[0]["addr_info"] if each["scope"] == "global"}


def test_an_address_is_put_on_the_interface_of_its_network_alone_and_for_a_time(
    space: str, layer2: Layer2
) -> None:
    layer2.hold(V4, 40)
    layer2.hold(V6, 40)
    found = there(space)
    for address, bits in (("192.0.2.50", 32), ("2001:db8::50", 128)):
        assert found[address]["prefixlen"] == bits
        assert 30 < int(str(found[address]["valid_life_time"])) <= 40
        assert found[address].get("deprecated"), "no source for what the node itself sends"
    layer2.drop([V4, V6])
    assert set(there(space)) == {"192.0.2.1", "2001:db8::1"}
    layer2.drop([V4, V6])


def test_an_address_that_is_not_prolonged_goes_by_itself(space: str, layer2: Layer2) -> None:
    begun = time.monotonic()
    layer2.hold(V4, 1)
    layer2.hold(V6, 1)
    while time.monotonic() < begun + 2.0:
        assert layer2.prolong([V4, V6], 1) == []
        assert {"192.0.2.50", "2001:db8::50"} <= set(there(space))
        time.sleep(0.2)  # the kernel's clock is what is tested
    wait_for("they stay", lambda: set(there(space)) == {"192.0.2.1", "2001:db8::1"}, 3.0)


def test_the_nodes_own_address_is_never_touched(space: str, layer2: Layer2) -> None:
    before = there(space)
    with pytest.raises(Taken, match=r"192\.0\.2\.1 is this node's own address; take it out"):
        layer2.hold(ip_address("192.0.2.1").packed, 1)
    assert there(space) == before


def test_an_address_of_no_network_wants_an_interface(layer2: Layer2) -> None:
    with pytest.raises(SkydnsError, match=r"no interface has a network with 203\.0\.113\.1"):
        layer2.hold(ip_address("203.0.113.1").packed, 1)


def test_an_interface_that_is_gone_is_one_line(space: str, layer2: Layer2) -> None:
    layer2.hold(V4, 40)
    spaces.run("ip", "-n", space, "link", "delete", "eth0")
    assert layer2.prolong([V4], 40) == [V4]
    layer2.drop([V4])
    with pytest.raises(SkydnsError, match=r"no interface has a network with 192\.0\.2\.50"):
        layer2.hold(V4, 40)


def test_an_announcement_is_on_the_wire_and_another_machines_claim_is_overheard(
    space: str, layer2: Layer2
) -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ARP))
    with closing(wire):
        wire.bind(("peer0", ETH_ARP))
        wire.settimeout(5)
        layer2.hold(V4, 40)
        layer2.announce(V4)
        said = [parse_arp(wire.recv(128)) for _ in range(2)]
        assert [(each.sender, each.target) for each in said if each] == [(V4, V4)] * 2
        assert layer2.overheard() == set()
        wire.send(arp(REPLY, wire.getsockname()[4], V4, V4))
        wait_for("nothing was overheard", lambda: layer2.overheard() == {V4}, 5.0)


def test_a_nodes_own_addresses_are_told_from_those_it_holds(space: str, layer2: Layer2) -> None:
    spaces.run("ip", "-n", space, "address", "add", "192.0.2.9/24", "dev", "eth0", "valid_lft", "600",
               "preferred_lft", "600")  # fmt: skip  # as from DHCP
    layer2.hold(V4, 40)
    layer2.hold(V6, 40)
    own = {str(ip_address(each)) for each in layer2.own()}
    assert {"192.0.2.1", "192.0.2.9", "2001:db8::1"} <= own
    assert not {"192.0.2.50", "2001:db8::50"} & own
