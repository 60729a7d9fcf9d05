"""Who has reserved which portal address and node port: one key in etcd for each.

The key is ``PREFIX/portal/10.0.0.9`` or ``PREFIX/nodeport/30080``, its value the Service's namespace and
name, as ``my-ns/web``.  PREFIX is the registry's own with ``.allocations`` after it: nobody watches it, and
two clusters in one etcd have two.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address

from skydns_py.balancer.allocation.ledger import Ledger
from skydns_py.balancer.allocation.pool import AddressPool, Pool, hosts
from skydns_py.balancer.allocation.service import Item, granted
from skydns_py.cli.store import Store, Stored
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.errors import DecodeError
from skydns_py.settings import EtcdSource


def key_of(item: Item, prefix: str) -> str:
    """The key of an address or a node port."""
    return f"{prefix}/nodeport/{item}" if isinstance(item, int) else f"{prefix}/portal/{shown(item)}"


def parse_key(key: str, prefix: str) -> Item | None:
    """What a key reserves; None for one that is not as ``key_of`` would write it."""
    kind, _, text = key.removeprefix(f"{prefix}/").partition("/")
    item: Item | None = None
    with suppress(ValueError):
        item = int(text) if kind == "nodeport" else ip_address(text).packed
    return item if item is not None and key_of(item, prefix) == key else None


def shown(item: Item) -> str:
    """As a person reads it."""
    return f"node port {item}" if isinstance(item, int) else str(ip_address(item))


def owner_of(ref: Ref) -> str:
    """The value of a reservation."""
    return f"{ref.namespace}/{ref.name}"


def scan(place: Store, revision: int) -> Iterator[tuple[str, Stored]]:
    """Every reservation as of a revision: key and value."""
    for kind in ("portal", "nodeport"):
        yield from place.scan(f"{place.allocations}/{kind}/", revision)


def decode(ref: Ref, held: Stored) -> Service | None:
    """The stored Service; None where there is none, or none that can be decoded."""
    try:
        found = registry.decode(ref, held.value) if held.revision else None
    except DecodeError:
        return None
    return found if isinstance(found, Service) else None


def services(place: Store, revision: int) -> Iterator[tuple[str, Ref, Stored]]:
    """Every Service stored as of a revision, with its key."""
    for key, held in place.scan(registry.key_for(Ref(Kind.SERVICE, "", ""), place.prefix), revision):
        ref = registry.parse_key(key, place.prefix)
        if ref is not None and ref.kind is Kind.SERVICE:
            yield key, ref, held


def empty_ledger(etcd: EtcdSource) -> Ledger:
    """A ledger of what these settings let be given, nothing taken."""
    return Ledger(AddressPool(map(hosts, etcd.portal_net)), Pool([etcd.node_ports]))


def read_ledger(place: Store, etcd: EtcdSource, first: Iterable[tuple[Item, str]] = ()) -> Ledger:
    """A ledger of what is reserved, and of what Services have without that; ``first`` are entered last."""
    ledger, revision = empty_ledger(etcd), place.now()
    for key, held in scan(place, revision):
        item = parse_key(key, place.allocations)
        if item is not None:
            ledger.hold(item, held.value.decode(errors="replace"))
    for _, ref, held in services(place, revision):
        service = decode(ref, held)
        for item in granted(service).items if service else ():
            ledger.hold(item, owner_of(ref))
    for item, owner in first:
        ledger.hold(item, owner)
    return ledger
