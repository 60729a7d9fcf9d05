"""Short names: a name outside every zone served, tried against the search path of the client who asks.

1. Everyone's path is ``svc.ZONE`` and ``ZONE``; a client whose namespace is known has ``NS.svc.ZONE`` first.
   A one-label name means nothing to anyone else.
2. A client's namespace is that of the one live pod that owns the address.  A pod on the host's network does
   not own its address, and an address that two pods claim is nobody's; such an address gets no namespace from
   a configured network either.
3. The first candidate that owns a record wins, whatever type was asked: A and AAAA must never come from
   different namespaces.
4. A name of two labels or more whose last one is a real top-level domain is the world's, not ours: no Service
   in a namespace called ``com`` can speak for ``example.com`` (CVE-2022-2835, CVE-2022-2837).  So are the
   names reserved for other resolution (RFC 6761, RFC 6762, RFC 7686, RFC 9476).
5. ``my-service.my-ns.svc`` means what it says below the zone: namespaces called ``svc`` and ``pod`` have no
   part in everyone's path, else ``kubernetes.default.svc`` could be an endpoint in the former.
"""

import ipaddress
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from skydns_py.cluster.objects import Address, Pod
from skydns_py.zone.names import MAX_NAME, from_labels, labels

RESERVED = frozenset({b"localhost", b"local", b"onion", b"invalid", b"alt", b"internal"})
"""Last labels that never mean a namespace, beside the top-level domains."""

BRANCHES = frozenset({b"svc", b"pod"})
"""Last labels that mean a part of the zone, never a namespace."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Clients:
    """Whose address is whose: the namespace of each client (rule 2)."""

    def __init__(self, networks: Mapping[Network, str]) -> None:
        self._networks = sorted(networks.items(), key=lambda item: -item[0].prefixlen)
        self._claims: dict[Address, Counter[str]] = {}
        self._guests: Counter[Address] = Counter()

    def change(self, before: Pod | None, after: Pod | None) -> None:
        """A pod came, went or changed."""
        for pod, step in ((before, -1), (after, 1)):
            if pod and not pod.finished:
                for address in pod.addresses:
                    self._count(pod, address, step)

    def is_known(self, address: Address) -> bool:
        """Whether some live pod has the address, its own or its host's."""
        return address in self._claims or address in self._guests

    def namespace(self, address: Address) -> str | None:
        """The namespace of the client at ``address``, or None where it is unknown or ambiguous."""
        claims = self._claims.get(address)
        if claims:
            return next(iter(claims)) if claims.total() == 1 and not self._guests[address] else None
        if self._guests[address]:
            return None
        place = ipaddress.ip_address(address)
        return next((namespace for network, namespace in self._networks if place in network), None)

    def _count(self, pod: Pod, address: Address, step: int) -> None:
        if pod.host_network:
            self._guests[address] += step
            if not self._guests[address]:
                del self._guests[address]
            return
        claims = self._claims.setdefault(address, Counter())
        claims[pod.namespace] += step
        if not claims[pod.namespace]:
            del claims[pod.namespace]
        if not claims:
            del self._claims[address]


class SearchPath:
    """Which names a short name may stand for."""

    def __init__(self, zone: bytes, clients: Clients, top_level: Collection[bytes]) -> None:
        """``zone`` is a wire name; ``top_level`` are the real top-level domains, as labels."""
        self._everyone = (from_labels("svc", base=zone), zone)
        self._clients = clients
        self._taken = frozenset(top_level) | RESERVED

    def candidates(self, name: bytes, client: Address) -> Iterator[bytes]:
        """The names that ``name`` (a wire name outside every zone served) may stand for, in order."""
        parts = tuple(labels(name))
        if not parts or self._is_worldly(parts):
            return
        namespace = self._clients.namespace(client)
        own = (from_labels(namespace, base=self._everyone[0]),) if namespace else ()
        everyone = self._everyone[parts[-1] in BRANCHES :] if len(parts) > 1 else ()
        for suffix in own + everyone:
            if len(name) - 1 + len(suffix) <= MAX_NAME:
                yield name[:-1] + suffix

    def may_mean_something(self, name: bytes) -> bool:
        """Whether ``name``, outside every zone served, could have candidates for some client."""
        parts = tuple(labels(name))
        return bool(parts) and not self._is_worldly(parts)

    def _is_worldly(self, parts: tuple[bytes, ...]) -> bool:
        """Whether a name is the world's, whatever the cluster has (rule 4)."""
        if len(parts) == 1:
            return parts[0] == b"localhost"
        return parts[-1] in self._taken
