"""Addresses that no Service, pool or endpoint can have: where the settings and ``apply`` refuse them."""

import pytest

from skydns_py import config
from skydns_py.cli import addresses
from skydns_py.config_flags import Flags
from skydns_py.errors import ConfigError, DecodeError
from skydns_py.settings_text import parse_portal_net

SOURCE = "source: {etcd: {portal_net: 10.0.0.0/16}}\n"
BAD_NETS = [
    *("127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "169.254.0.0/16", "0.0.0.0/0", "0.1.0.0/16"),
    *("126.0.0.0/7", "255.255.255.0/24", "::/64", "ff00::/8", "fe80::/10", "fe00::/7", "::ffff:10.0.0.0/120"),
]


@pytest.mark.parametrize("net", BAD_NETS)
def test_a_portal_net_with_addresses_of_no_host_is_refused(net: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^--portal-net: \S+ (is|holds) .*no Service can be reached there$"
    ):
        config.load(None, Flags(portal_net=net), need_source=False)
    text = f"source:\n  etcd:\n    portal_net: '{net}'\n"
    with pytest.raises(ConfigError, match=r"^s\.yaml:3: source\.etcd\.portal_net: \S+ (is|holds) "):
        config.parse(text, "s.yaml")


@pytest.mark.parametrize(
    "net", ["10.96.0.0/12", "100.64.0.0/10", "240.0.0.0/16", "192.0.2.0/24", "fd00::/108"]
)
def test_a_portal_net_that_hosts_can_have_is_taken(net: str) -> None:
    assert len(parse_portal_net(net)) == 1


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ("[{name: a, addresses: [127.0.0.9]}]", "[0].addresses[0]: 127.0.0.9 is loopback"),
        (
            "[{name: a, addresses: [10.9.0.1, 223.255.255.0-224.0.0.1]}]",
            "[0].addresses[1]: 223.255.255.0-224",
        ),
        ("[{name: a, addresses: ['fe80::/64']}]", "[0].addresses[0]: fe80::/64 is link-local"),
        (
            "[{name: a, addresses: [192.0.2.0/24]}, {name: b, addresses: [192.0.3.1, 192.0.2.9-192.0.2.12]}]",
            "[1].addresses[1]: 192.0.2.9-192.0.2.12 and 192.0.2.0/24 of pool a overlap",
        ),
        (
            "[{name: a, addresses: ['2001:db8::1', 10.0.255.255-10.1.0.9]}]",
            "[0].addresses[1]: 10.0.255.255-10.1.0.9 and portal_net 10.0.0.0/16 overlap",
        ),
    ],
)
def test_a_pool_that_cannot_work_is_refused_with_its_place(pools: str, expected: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.parse(f"{SOURCE}balancer:\n  pools: {pools}\n", "s.yaml")
    assert str(refused.value).startswith(f"s.yaml:3: balancer.pools{expected}")


def test_pools_of_two_families_or_side_by_side_do_not_overlap() -> None:
    pools = (
        "[{name: a, addresses: [192.0.2.0-192.0.2.9]}, {name: b, addresses: [192.0.2.10, '::c000:0:0/112']}]"
    )
    assert len(config.parse(f"{SOURCE}balancer: {{pools: {pools}}}", "s.yaml").balancer.pools) == 2


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"kind": "Service", "spec": {"clusterIP": "127.0.0.1"}}, "spec.clusterIP"),
        ({"kind": "Service", "spec": {"clusterIPs": ["10.0.0.1", "::1"]}}, "spec.clusterIPs[1]"),
        ({"kind": "Service", "spec": {"externalIPs": ["255.255.255.255"]}}, "spec.externalIPs[0]"),
        ({"kind": "Service", "spec": {"loadBalancerIP": "224.0.0.1"}}, "spec.loadBalancerIP"),
        (
            {
                "kind": "Service",
                "status": {"loadBalancer": {"ingress": [{"hostname": "a"}, {"ip": "0.0.0.0"}]}},
            },
            "status.loadBalancer.ingress[1].ip",
        ),
        ({"kind": "Service", "portalIP": "169.254.1.1"}, "portalIP"),
        ({"kind": "Service", "publicIPs": ["192.0.2.1", "fe80::1"]}, "publicIPs[1]"),
        (
            {"kind": "Endpoints", "subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
            "subsets[0].addresses[0].ip",
        ),
        ({"kind": "Endpoints", "endpoints": ["10.0.0.1:80", "127.0.0.1:80"]}, "endpoints[1]"),
        ({"kind": "Endpoints", "endpoints": ["[::1]:80"]}, "endpoints[0]"),
        ({"kind": "EndpointSlice", "endpoints": [{"addresses": ["ff02::1"]}]}, "endpoints[0].addresses[0]"),
        (
            {"kind": "Node", "status": {"addresses": [{"address": "127.0.0.1"}]}},
            "status.addresses[0].address",
        ),
    ],
)
def test_a_document_with_such_an_address_is_refused_by_its_field(
    document: dict[str, object], path: str
) -> None:
    with pytest.raises(DecodeError) as refused:
        addresses.check(document)
    assert refused.value.path == path
    assert refused.value.reason.endswith("nobody can be reached there")


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "Service", "spec": {"clusterIP": "None"}},
        {"kind": "Service", "spec": {"clusterIP": "", "externalIPs": ["192.0.2.1"]}},
        {"kind": "Endpoints", "endpoints": ["173.194.112.206:80", "[2001:db8::1]:80"]},
        {"kind": "Node", "status": {"addresses": [{"address": "node-1.example"}]}},
        {"kind": "Pod", "status": {"podIP": "127.0.0.2"}},
    ],
)
def test_any_other_document_is_taken(document: dict[str, object]) -> None:
    addresses.check(document)
