"""A portal's items: the lines of text that stand for its share of a table.

1. An item is ``place TAB name TAB rest``.  Where the place is a map or a set of the layout, the name is the
   element's key and the rest its comment and data.  ``chain`` has the chain's rules, joined by ``;``; ``set``
   is the memory of an affinity target and has no rest.
2. Items of ``SHARED`` places may be wanted by many Services and are counted; any other belongs to one.
3. Equal items mean equal kernel objects, so that the difference of two lists of items is what is to be done.
4. The chain of a shape is made from its name alone (given the host): every Service with two endpoints
   behind TCP portal IPs goes to ``inside-tcp-2``, and a new Service is nothing but new elements.
5. The cluster's targets have the indices 0, 1, ...; the local ones start at ``FIRST_LOCAL``.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

from skydns_py.cluster.objects import Address
from skydns_py.portal.nftables.layout import FAMILIES, address_text, networks_text, untracked
from skydns_py.portal.nftables.policies import FIRST_LOCAL, Policies
from skydns_py.portal.nftables.sticky import Sticky
from skydns_py.portal.plan.model import Host, Portal, Target

SHARED = frozenset(("portals", "hairpin", "chain", "set"))
COMMENT_BYTES = 127
_UNFIT = re.compile(r"[^ !#-\[\]-~\u00a0-\U0010ffff]")


class Items:
    """Prints portals of one family on one host."""

    def __init__(self, host: Host, family: int) -> None:
        self.host, self.family = host, family
        self.policies = Policies(host, family)
        self._untracked = frozenset(untracked(host, family))

    def of(self, portals: Sequence[Portal]) -> str:
        """The items of a Service's portals of this family, one a line, each once."""
        lines = (line for portal in portals if portal.family == self.family for line in self._portal(portal))
        return "\n".join(dict.fromkeys(lines))

    def _portal(self, portal: Portal) -> Iterator[str]:
        for address in portal.inside:
            yield f"portals\t{address_text(address)}\t"
        yield from self._ranges(portal)
        if not portal.cluster:
            yield from self._refused(portal)
            return
        for address in sorted({target.address for target in (*portal.cluster, *portal.local)}):
            text = address_text(address)
            yield f"hairpin\t{text} . {text}\t"
        yield from (self._sticky(portal) if portal.affinity_seconds else self._spread(portal))

    def _refused(self, portal: Portal) -> Iterator[str]:
        protocol = portal.protocol.lower()
        for address in self._fronts(portal, (*portal.public, *portal.balancer)):
            yield f"refused\t{address} . {protocol} . {portal.port}\t"
        if portal.node_port:
            yield f"refused_node_ports\t{protocol} . {portal.node_port}\t"

    def _fronts(self, portal: Portal, addresses: Sequence[Address]) -> list[str]:
        """The addresses as text, without those whose DNS is not ours to translate or refuse."""
        texts = [address_text(address) for address in addresses]
        if portal.port != 53 or portal.protocol == "SCTP":
            return texts
        return [text for text in texts if text not in self._untracked]

    def _ranges(self, portal: Portal) -> Iterator[str]:
        """Rule 4 of the model; a chain is named after what it admits, and many fronts may share it."""
        if not portal.source_ranges:
            return
        for front in self._fronts(portal, portal.balancer):
            name, rules = self._admitting(portal, front)
            yield f"chain\t{name}\t{rules}"
            yield f"source_ranges\t{front} . {portal.protocol.lower()} . {portal.port}\t : jump {name}"

    def _admitting(self, portal: Portal, front: str) -> tuple[str, str]:
        texts = networks_text(self.family, portal.source_ranges)
        saddr = f"{FAMILIES[self.family]} saddr"
        rules = [f"{saddr} {{ {', '.join(texts)} }} return"] if texts else []
        if self._holds_the_node(portal):
            rules.append(f"{saddr} {front} return")
        rules.append("drop")
        return f"ranges-{digest(';'.join(rules))}", ";".join(rules)

    def _holds_the_node(self, portal: Portal) -> bool:
        return any(
            int.from_bytes(own) & int(network.netmask) == int(network.network_address)
            for network in portal.source_ranges
            for own in self.host.own
            if len(own) * 8 == network.max_prefixlen
        )

    def _spread(self, portal: Portal) -> Iterator[str]:
        """A portal without affinity: elements, and the chains of its shapes."""
        inside, outside = self.policies.inside(portal), self.policies.outside(portal)
        yield from self._verdicts(portal, inside, outside)
        inside_targets = () if inside == "drop" else _indexed(portal, inside=True)
        outside_targets = _indexed(portal, inside=False)
        for address in self._fronts(portal, portal.inside):
            yield from self._endpoints(portal, address, inside_targets)
        for address in self._fronts(portal, (*portal.public, *portal.balancer)):
            yield from self._endpoints(portal, address, outside_targets)
        if portal.node_port:
            place = f"{portal.protocol.lower()}_node_port_endpoints\t{portal.node_port}"
            yield from (f"{place} . {index}\t : {target}" for index, target in outside_targets)

    def _verdicts(self, portal: Portal, inside: str, outside: str) -> Iterator[str]:
        yield from self._services(portal, portal.inside, inside)
        yield from self._services(portal, (*portal.public, *portal.balancer), outside)
        if portal.node_port:
            name = outside if portal.affinity_seconds else outside.replace("outside", "node-port", 1)
            yield from self._chain(name)
            key = f"{portal.protocol.lower()} . {portal.node_port}"
            yield f"node_ports\t{key}\t{_comment(portal)} : goto {name}"

    def _services(self, portal: Portal, addresses: Sequence[Address], name: str) -> Iterator[str]:
        verdict = "drop" if name == "drop" else f"goto {name}"
        texts = self._fronts(portal, addresses)
        if texts:
            yield from self._chain(name)
            rest = f"{portal.protocol.lower()} . {portal.port}\t{_comment(portal)} : {verdict}"
            yield from (f"services\t{text} . {rest}" for text in texts)

    def _chain(self, name: str) -> Iterator[str]:
        rules = self.policies.rules(name)
        if rules:
            yield f"chain\t{name}\t{rules}"

    def _endpoints(self, portal: Portal, front: str, targets: Sequence[tuple[int, str]]) -> Iterator[str]:
        place = f"{portal.protocol.lower()}_endpoints\t{front} . {portal.port}"
        return (f"{place} . {index}\t : {target}" for index, target in targets)

    def _sticky(self, portal: Portal) -> Iterator[str]:
        sticky = Sticky(self.policies, portal, digest(f"{portal}/{portal.protocol}"))
        yield from self._verdicts(portal, sticky.inside, sticky.outside)
        yield from sticky.items(_comment(portal))


def digest(text: str) -> str:
    """Twelve hexadecimal digits that tell texts apart."""
    return sha256(text.encode()).hexdigest()[:12]


def _indexed(portal: Portal, *, inside: bool) -> list[tuple[int, str]]:
    """The targets that fronts of a kind need, with their indices."""
    only_local, also_local = inside and portal.internal_local, not inside and portal.external_local
    cluster = [] if only_local else [(i, _text(each)) for i, each in enumerate(portal.cluster)]
    if not (only_local or also_local):
        return cluster
    return cluster + [(FIRST_LOCAL + i, _text(each)) for i, each in enumerate(portal.local)]


def _text(target: Target) -> str:
    return f"{address_text(target.address)} . {target.port}"


def _comment(portal: Portal) -> str:
    """`` comment "namespace/service:port"``; at most 127 bytes, for one more fails the transaction."""
    text = _UNFIT.sub("?", str(portal))
    if len(text) > COMMENT_BYTES // 4:
        text = text.encode()[:COMMENT_BYTES].decode(errors="ignore")
    return f' comment "{text}"'
