"""What stands in a table before the first Service: its maps, sets and base chains.

1. One table a family, ``ip skydns`` and ``ip6 skydns``; nothing outside them is ever named.
2. A front (address, protocol, port) is found by one hash lookup in ``services``; ``source_ranges`` comes
   before it and returns for those it admits; ``node_ports`` comes after it, at the node's own addresses.
3. A target is found in the endpoint map of its protocol, by front and index.  There is a map for each
   protocol because nft 1.0.6 cannot use a map that it reads back from the kernel in a later rule where the
   typeof says ``th dport`` ("conflicting protocols specified: ip vs. th").
4. Refusals come after the translation (dstnat + 10) and judge only what was not translated; a target may
   well be an address and port that is itself refused.
5. INVALID packets: one that comes from a target is not translated back and would reach the client from an
   address it never spoke to, which the client answers by a reset; so those, and INVALID ones to a portal
   IP, are dropped (``DROP_INVALID``).  Only TCP, and only from targets: other traffic is not ours to judge.
   Targets inside ``cluster_cidr``, which is most of them, are told by that, and all pods with them; the
   others stand in ``targets_elsewhere``.
6. ``LAYOUT`` names an empty chain.  A table without it was laid out by another version and is replaced
   as a whole, in the same transaction.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, collapse_addresses
from socket import inet_ntoa

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Host, Network

TABLE = "skydns"
LAYOUT = "layout-1"
DROP_INVALID = True
PROTOCOLS = ("tcp", "udp", "sctp")
FAMILIES = {4: "ip", 6: "ip6"}
LOOPBACK = {4: "127.0.0.0/8", 6: "::1"}


def address_text(address: Address) -> str:
    """``10.0.0.1`` or ``fd00::1``."""
    return inet_ntoa(address) if len(address) == 4 else _ipv6_text(address)


@lru_cache(maxsize=4096)
def _ipv6_text(address: Address) -> str:
    return str(IPv6Address(address))


def networks_text(family: int, networks: Sequence[Network]) -> tuple[str, ...]:
    """The networks of ``family`` as text, joined where they touch or overlap (nft refuses overlaps)."""
    if family == 4:
        return tuple(map(str, collapse_addresses(each for each in networks if each.version == 4)))
    return tuple(map(str, collapse_addresses(each for each in networks if each.version == 6)))


def untracked(host: Host, family: int) -> tuple[str, ...]:
    """The addresses of ``family`` whose DNS is not tracked."""
    size = 4 if family == 4 else 16
    return tuple(sorted(address_text(each) for each in host.untracked if len(each) == size))


class Layout:
    """The skeleton of one family's table.

    ``sets`` maps a set's or map's name to its declaration, ``chains`` a chain's name to its own and
    ``rules`` a chain's name to its rules; ``elements`` are the sets that the host's settings fill.
    """

    def __init__(self, host: Host, family: int) -> None:
        self.host, self.family, self.ip = host, family, FAMILIES[family]
        self.elements = dict(self._settings())
        self.sets = {**dict(self._maps()), **self._setting_sets()}
        self.rules = dict(self._rules())
        hooks = dict(self._hooks())
        self.chains = {LAYOUT: "", **{name: hooks.get(name, "") for name in self.rules}}

    def _settings(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        if self.host.cluster_cidr:
            yield "cluster_cidr", networks_text(self.family, self.host.cluster_cidr)
        if self.host.node_addresses:
            yield "node_addresses", networks_text(self.family, self.host.node_addresses)

    def _setting_sets(self) -> dict[str, str]:
        kind = f"set {{ type ipv{self.family}_addr; flags interval; }}"
        return dict.fromkeys(self.elements, kind)

    def _maps(self) -> Iterator[tuple[str, str]]:
        ip, address = self.ip, f"ipv{self.family}_addr"
        front = f"{address} . inet_proto . inet_service"
        for protocol in PROTOCOLS:
            where = f"{protocol} dport . numgen random mod 65536 : {ip} daddr . {protocol} dport"
            yield f"{protocol}_endpoints", f"map {{ typeof {ip} daddr . {where}; }}"
            yield f"{protocol}_node_port_endpoints", f"map {{ typeof {where}; }}"
        yield "services", f"map {{ type {front} : verdict; }}"
        yield "source_ranges", f"map {{ type {front} : verdict; }}"
        yield "node_ports", "map { type inet_proto . inet_service : verdict; }"
        yield "portals", f"set {{ type {address}; }}"
        yield "refused", f"set {{ type {front}; }}"
        yield "refused_node_ports", "set { type inet_proto . inet_service; }"
        yield "hairpin", f"set {{ type {address} . {address}; }}"
        yield "targets_elsewhere", f"set {{ type {address}; }}"

    def _hooks(self) -> Iterator[tuple[str, str]]:
        yield "prerouting", "type nat hook prerouting priority -100;"
        yield "output", "type nat hook output priority -100;"
        yield "postrouting", "type nat hook postrouting priority 100;"
        yield "refuse-prerouting", "type filter hook prerouting priority -90;"
        yield "refuse-output", "type filter hook output priority -90;"
        yield "forward", "type filter hook forward priority 0;"
        yield "raw-prerouting", "type filter hook prerouting priority -300;"
        yield "raw-output", "type filter hook output priority -300;"

    def _rules(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        front, port = f"{self.ip} daddr . meta l4proto . th dport", f"{self._own} meta l4proto . th dport"
        ranges = f"{front} vmap @source_ranges"
        yield "fronts", (ranges, f"{front} vmap @services", f"{port} vmap @node_ports")
        yield "prerouting", ("jump fronts",)
        yield "output", ("jump fronts",)
        yield "postrouting", tuple(self._masquerade())
        yield "refuse", ("meta l4proto tcp reject with tcp reset", "reject")
        yield "refusals", tuple(self._refusals(front, port))
        yield "refuse-prerouting", ("jump refusals",)
        yield "refuse-output", ("jump refusals",)
        if DROP_INVALID:
            yield "forward", tuple(self._forward())
        yield from self._raw()

    @property
    def _own(self) -> str:
        """What a packet to one of the node's own addresses matches; rule 8 of the model."""
        loopback = f" {self.ip} daddr != {LOOPBACK[self.family]}"
        if self.host.node_addresses:
            within = f" {self.ip} daddr @node_addresses"
            return f"fib daddr type local{loopback if self.family == 4 else ''}{within}"
        return f"fib daddr type local{loopback}"

    def _masquerade(self) -> Iterator[str]:
        mark = self.host.mark
        clear = f"meta mark set meta mark & 0x{0xFFFFFFFF ^ mark:08x}"
        yield f"meta mark & 0x{mark:08x} != 0 {clear} masquerade fully-random"
        yield f"ct status dnat {self.ip} saddr . {self.ip} daddr @hairpin masquerade fully-random"

    def _forward(self) -> Iterator[str]:
        """Rule 5."""
        for name in ("cluster_cidr", "targets_elsewhere"):
            if name in self.sets:
                yield f"ct state invalid meta l4proto tcp {self.ip} saddr @{name} drop"

    def _refusals(self, front: str, port: str) -> Iterator[str]:
        if DROP_INVALID:
            yield f"ct state invalid meta l4proto tcp {self.ip} daddr @portals drop"
        yield "ct state != new return"
        yield "ct status dnat return"
        yield f"{self.ip} daddr @portals goto refuse"
        yield f"{front} @refused goto refuse"
        yield f"{port} @refused_node_ports goto refuse"

    def _raw(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        here = ", ".join(untracked(self.host, self.family))
        if here:
            dns = "meta l4proto { tcp, udp } th"
            asked = f"{self.ip} daddr {{ {here} }} {dns} dport 53 notrack"
            yield "raw-prerouting", (asked,)
            yield "raw-output", (asked, f"{self.ip} saddr {{ {here} }} {dns} sport 53 notrack")
