"""Rules 1 to 3 of the model as chains; the chain of a shape is made from its name.

``inside-tcp-2`` spreads over two cluster targets, ``inside-local-tcp-2`` over two local ones;
``outside-tcp-2`` is for public and balancer fronts, ``outside-local-tcp-2-1`` for those under the Local
policy with two cluster targets and one local; ``node-port-...`` likewise.  Masquerading is asked for by a
mark, set before the translation and acted on after it.
"""

from functools import lru_cache

from skydns_py.portal.nftables.layout import FAMILIES
from skydns_py.portal.plan.model import Host, Portal

FIRST_LOCAL = 1_000_000


class Policies:
    """The policies of one host and family."""

    def __init__(self, host: Host, family: int) -> None:
        self._host, self._ip = host, FAMILIES[family]
        self._mark = f"meta mark set meta mark | 0x{host.mark:08x}"
        self._cached = lru_cache(maxsize=1024)(self._make)

    def inside(self, portal: Portal) -> str:
        """The chain for the portal IPs; "drop" where the Local policy leaves no target."""
        if not portal.internal_local:
            return f"inside-{portal.protocol.lower()}-{len(portal.cluster)}"
        return f"inside-local-{portal.protocol.lower()}-{len(portal.local)}" if portal.local else "drop"

    def outside(self, portal: Portal) -> str:
        """The chain for public and balancer fronts."""
        protocol, count = portal.protocol.lower(), len(portal.cluster)
        if portal.external_local:
            return f"outside-local-{protocol}-{count}-{len(portal.local)}"
        return f"outside-{protocol}-{count}"

    def rules(self, name: str) -> str:
        """The rules of a shape's chain, joined by ``;``; "" where the name is not of a shape."""
        return self._cached(name)

    def inside_rules(self, send: str) -> list[str]:
        """Rule 1; ``send`` is the statement that sends to the targets."""
        if self._host.masquerade_all:
            return [self._mark, send]
        if self._host.cluster_cidr:
            return [f"{self._ip} saddr != @cluster_cidr {self._mark}", send]
        return [send]

    def outside_rules(self, send: str) -> list[str]:
        """Rule 2."""
        return [self._mark, send]

    def outside_local_rules(self, send: str, send_local: str) -> list[str]:
        """Rule 3; ``send_local`` is "drop" where there are no local targets."""
        pods = [f"{self._ip} saddr @cluster_cidr {send}"] if self._host.cluster_cidr else []
        return [*pods, f"fib saddr type local {self._mark} {send}", send_local]

    def _make(self, name: str) -> str:
        kind, protocol, counts = _parsed(name)
        if kind == "inside":
            return ";".join(self.inside_rules(self._dnat(protocol, counts[0])))
        if kind == "inside-local":
            return ";".join(self.inside_rules(self._dnat(protocol, counts[0], local=True)))
        if not kind:
            return ""
        node = kind.startswith("node-port")
        send = self._dnat(protocol, counts[0], node=node)
        if not kind.endswith("local"):
            return ";".join(self.outside_rules(send))
        here = self._dnat(protocol, counts[1], local=True, node=node) if counts[1] else "drop"
        return ";".join(self.outside_local_rules(send, here))

    def _dnat(self, protocol: str, count: int, *, local: bool = False, node: bool = False) -> str:
        index = f"numgen random mod {count}" + (f" offset {FIRST_LOCAL}" if local else "")
        if node:
            return f"dnat to {protocol} dport . {index} map @{protocol}_node_port_endpoints"
        return f"dnat to {self._ip} daddr . {protocol} dport . {index} map @{protocol}_endpoints"


def _parsed(name: str) -> tuple[str, str, list[int]]:
    """``outside-local-tcp-2-1`` → ("outside-local", "tcp", [2, 1]); kind "" if it is no shape's name."""
    for protocol in ("tcp", "udp", "sctp"):
        kind, found, counts = name.partition(f"-{protocol}-")
        if found:
            return kind, protocol, [int(count) for count in counts.split("-")]
    return "", "", []
