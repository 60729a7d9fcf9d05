"""A portal's items: the lines of text that stand for its share of a table.

1. An item is ``place TAB name TAB rest``.  Where the place is a map or a set of the layout, the name is the
   element's key and the rest its comment and data.  ``chain`` has the chain's rules, joined by ``;``, or no
   rest where it is a shape's; ``set`` is the memory of an affinity target and has no rest.
2. Items of ``SHARED`` places may be wanted by many Services and are counted; any other belongs to one.
3. Equal items mean equal kernel objects, so that the difference of two lists of items is what is to be done.
4. The chain of a shape is made from its name alone (given the host): every Service with two endpoints
   behind TCP portal IPs goes to ``inside-tcp-2``, and a new Service is nothing but new elements.
5. The cluster's targets have the indices 0, 1, ...; the local ones start at ``FIRST_LOCAL``.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from skydns_py.cluster.objects import Address
from skydns_py.portal.nftables.layout import FAMILIES, address_text, networks_text, untracked
from skydns_py.portal.nftables.policies import FIRST_LOCAL, Policies
from skydns_py.portal.nftables.sticky import Sticky
from skydns_py.portal.plan.model import Host, Network, Portal, Target

SHARED = frozenset(("portals", "hairpin", "targets_elsewhere", "chain", "set"))
COMMENT_BYTES = 127
_UNFIT = re.compile(r"[^ !#-\[\]-~\u00a0-\U0010ffff]")


class Items:
    """Prints portals of one family on one host."""

    def __init__(self, host: Host, family: int) -> None:
        self.host, self.family = host, family
        self.policies = Policies(host, family)
        self._untracked = frozenset(untracked(host, family))
        self._pods = _masks(host.cluster_cidr)

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
        for address in portal.near:
            text = address_text(address)
            yield f"hairpin\t{text} . {text}\t"
        for target in (*portal.cluster, *portal.local):
            if not _within(target.address, self._pods):
                yield f"targets_elsewhere\t{address_text(target.address)}\t"
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
        ranges = _masks(each for each in portal.source_ranges if each.version == self.family)
        octets = 4 if self.family == 4 else 16
        return any(_within(own, ranges) for own in self.host.own if len(own) == octets)

    def _spread(self, portal: Portal) -> Iterator[str]:
        """A portal without affinity: elements, and the chains of its shapes."""
        inside, outside = self.policies.inside(portal), self.policies.outside(portal)
        yield from self._verdicts(portal, inside, outside)
        if inside != "drop":
            yield from self._endpoints(portal, portal.inside, inside=True)
        yield from self._endpoints(portal, (*portal.public, *portal.balancer), inside=False)
        if portal.node_port:
            place = f"{portal.protocol.lower()}_node_port_endpoints\t{portal.node_port}"
            yield from (f"{place} . {each}" for each in _indexed(portal, inside=False))

    def _verdicts(self, portal: Portal, inside: str, outside: str) -> Iterator[str]:
        yield from self._services(portal, portal.inside, inside)
        yield from self._services(portal, (*portal.public, *portal.balancer), outside)
        if portal.node_port:
            name = outside if portal.affinity_seconds else outside.replace("outside", "node-port", 1)
            yield from self._chain(name)
            key = f"{portal.protocol.lower()} . {portal.node_port}"
            yield f"node_ports\t{key}\t{_comment(portal)} : goto {name}"

    def _services(self, portal: Portal, addresses: Sequence[Address], name: str) -> Iterator[str]:
        texts = self._fronts(portal, addresses) if addresses else ()
        if texts:
            verdict = "drop" if name == "drop" else f"goto {name}"
            yield from self._chain(name)
            rest = f"{portal.protocol.lower()} . {portal.port}\t{_comment(portal)} : {verdict}"
            yield from (f"services\t{text} . {rest}" for text in texts)

    def _chain(self, name: str) -> Iterator[str]:
        if self.policies.rules(name):
            yield f"chain\t{name}\t"

    def _endpoints(self, portal: Portal, addresses: Sequence[Address], *, inside: bool) -> Iterator[str]:
        if addresses:
            targets = _indexed(portal, inside=inside)
            for front in self._fronts(portal, addresses):
                place = f"{portal.protocol.lower()}_endpoints\t{front} . {portal.port}"
                yield from (f"{place} . {each}" for each in targets)

    def _sticky(self, portal: Portal) -> Iterator[str]:
        sticky = Sticky(self.policies, portal, digest(f"{portal}/{portal.protocol}"))
        yield from self._verdicts(portal, sticky.inside, sticky.outside)
        yield from sticky.items(_comment(portal))


def digest(text: str) -> str:
    """Twelve hexadecimal digits that tell texts apart."""
    return sha256(text.encode()).hexdigest()[:12]


def _masks(networks: Iterable[Network]) -> list[tuple[int, int]]:
    """Mask and address of each network, as numbers."""
    return [(int(each.netmask), int(each.network_address)) for each in networks]


def _within(address: Address, masks: Iterable[tuple[int, int]]) -> bool:
    """Whether one of the networks, which are of the address's family, holds it."""
    number = int.from_bytes(address)
    return any(number & mask == network for mask, network in masks)


def _indexed(portal: Portal, *, inside: bool) -> list[str]:
    """The targets that fronts of a kind need: the end of a key, which is an index, TAB, and the data."""
    only_local, also_local = inside and portal.internal_local, not inside and portal.external_local
    cluster = [] if only_local else _numbered(portal.cluster, 0)
    return [*cluster, *_numbered(portal.local, FIRST_LOCAL)] if only_local or also_local else cluster


def _numbered(targets: Sequence[Target], first: int) -> list[str]:
    return [
        f"{index}\t : {address_text(target.address)} . {target.port}"
        for index, target in enumerate(targets, first)
    ]


def _comment(portal: Portal) -> str:
    """`` comment "namespace/service:port"``; at most 127 bytes, for one more fails the transaction."""
    text = _UNFIT.sub("?", str(portal))
    if len(text) > COMMENT_BYTES // 4 and len(text.encode()) > COMMENT_BYTES:
        text = _UNFIT.sub("?", _shortened(portal)).encode()[:COMMENT_BYTES].decode(errors="ignore")
    return f' comment "{text}"'


def _shortened(portal: Portal) -> str:
    """Less of namespace and Service, a digest of both for what is missing, and the whole port name."""
    namespace, service = portal.namespace, portal.service
    tail = f":{portal.port_name}" if portal.port_name else ""
    digest = sha256(f"{namespace}/{service}".encode()).hexdigest()[:6]
    room = COMMENT_BYTES - len(f"/~{digest}{tail}")
    namespace = namespace[: max(room // 2, room - len(service))]
    return f"{namespace}/{service[: room - len(namespace)]}~{digest}{tail}"
