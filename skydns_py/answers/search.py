"""Short names and autopath: which names a client may mean by one that is not there.

Short names: a name outside every zone served is tried against the search path of the client who asks.

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

Autopath: a client in the namespace NS who asks for ``NAME.NS.svc.ZONE`` has most likely taken the first step
of its own search for NAME.  Where that name does not exist, the rest of its path in the zone is tried.

6. The rest is ``svc.ZONE`` and ``ZONE``, in this order, and rule 3 decides.  Only NXDOMAIN begins it: a name
   that exists, an empty non-terminal included, is never replaced.  Without a hit the answer stays NXDOMAIN,
   so that the client goes on by itself.
7. NAME is one label or more and no name that rule 4 gives to the world, reverse names (``arpa``) among them;
   rule 5 holds for it too.  A NAME in the zone is a full name that was searched all the same: it is not
   tried, because the client will ask for it as it is.
8. A client in a namespace called like a top-level domain gets nothing: its ``www.google.dev.svc.ZONE`` may be
   the second step for ``www.google.dev``, and must not become a Service ``www`` in a namespace ``google``.
9. Where the last label of NAME names something in NS, the question is about that: ``db-0.db.NS.svc.ZONE``,
   whose pod is not ready, must not become a Service ``db-0`` in a namespace ``db``.  It is the one case of a
   full name that can be told from a searched one.
10. Rule 2 says who has a namespace; nobody else gets anything.  An answer that was found like this is made
    for one question and kept nowhere, so that no client of another namespace can get it.
11. A candidate is shorter than what was asked, so that none is too long for a name.
12. What is asked is searched, and never where an alias leads: so no search begins another, and loops are
    those that ``lookup`` knows.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from skydns_py.cluster.objects import Address, Pod
from skydns_py.zone.names import MAX_NAME, ROOT, from_labels, is_within, labels

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
    """Which names a name that is not there may stand for."""

    def __init__(
        self, zone: bytes, clients: Clients, top_level: Collection[bytes], *, autopath: bool = True
    ) -> None:
        """``zone`` is a wire name; ``top_level`` are the real top-level domains, as labels."""
        self._everyone = (from_labels("svc", base=zone), zone)
        self._clients = clients
        self._taken = frozenset(top_level) | RESERVED
        self._autopath = autopath

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

    def rest(self, name: bytes, client: Address, exists: Callable[[bytes], object]) -> Iterator[bytes]:
        """What is left to try for ``name``, which lies in a zone served and does not exist (rules 6 to 12).

        ``exists`` gives None for a name that does not.
        """
        first = self._first_domain(client) if self._autopath else None
        if first is None or not is_within(name, first):
            return
        searched = name[: -len(first)] + ROOT
        parts = tuple(labels(searched))
        if not parts or self._is_worldly(parts) or is_within(searched, self._everyone[1]):
            return
        if exists(bytes((len(parts[-1]),)) + parts[-1] + first) is not None:
            return
        for suffix in self._everyone[parts[-1] in BRANCHES :]:
            yield searched[:-1] + suffix

    def _first_domain(self, client: Address) -> bytes | None:
        """The first search domain of a client, where it has one and rule 8 lets it be used."""
        namespace = self._clients.namespace(client)
        if not namespace or namespace.lower().encode() in self._taken:
            return None
        return from_labels(namespace, base=self._everyone[0])

    def may_mean_something(self, name: bytes) -> bool:
        """Whether ``name``, outside every zone served, could have candidates for some client."""
        parts = tuple(labels(name))
        return bool(parts) and not self._is_worldly(parts)

    def _is_worldly(self, parts: tuple[bytes, ...]) -> bool:
        """Whether a name is the world's, whatever the cluster has (rule 4)."""
        if len(parts) == 1:
            return parts[0] == b"localhost"
        return parts[-1] in self._taken
