"""Addresses that are no host's: no Service, pool or endpoint can have one.

They mean this host, its link, many hosts or none (RFC 6890, RFC 4291 section 2.4).  240.0.0.0/4 is not among
them, but for its last address: Linux routes it, and clouds give it to pods and Services.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

SPECIAL: dict[Network, str] = {
    ip_network("0.0.0.0/8"): "unspecified",
    ip_network("127.0.0.0/8"): "loopback",
    ip_network("169.254.0.0/16"): "link-local",
    ip_network("224.0.0.0/4"): "multicast",
    ip_network("255.255.255.255/32"): "broadcast",
    ip_network("::/128"): "unspecified",
    ip_network("::1/128"): "loopback",
    ip_network("::/96"): "IPv4-compatible",
    ip_network("::ffff:0:0/96"): "IPv4-mapped",
    ip_network("fe80::/10"): "link-local",
    ip_network("ff00::/8"): "multicast",
}


def kind_of(address: IPv4Address | IPv6Address) -> str:
    """``loopback`` and so on; "" for an address that a host can have."""
    return next((kind for network, kind in SPECIAL.items() if address in network), "")


def check_range(
    first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address, shown: object = ""
) -> None:
    """ValueError where one of these addresses, of one family, is special; ``shown``: how they were given."""
    for network, kind in SPECIAL.items():
        if network.version != first.version:
            continue
        if int(network.network_address) <= int(last) and int(first) <= int(network.broadcast_address):
            inside = first in network and last in network
            what = f"is {kind}" if inside else f"holds {network}, {kind}"
            raise ValueError(f"{shown or first} {what}: no Service can be reached there")
