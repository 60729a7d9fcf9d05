"""All Services of a source read once, for a command that needs them now and then ends.

1. Everything is of one moment: one revision of etcd, or one look at the manifests (again, a few times,
   where a file is being written meanwhile).  For the Kubernetes API see ``env_api``.
2. What cannot be decoded is told, one line each, and left out.  Of etcd, only what a pod of the
   namespace could see is decoded.
3. A namespace is refused where Namespace objects are kept and none is called so, unless it holds a
   Service all the same or is ``default``.  Where no Namespace objects are kept, any name may be one:
   manifests and a bare etcd do without them.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skydns_py.cli import store
from skydns_py.cli.kinds import title
from skydns_py.cluster import registry
from skydns_py.cluster.objects import ClusterObject, Kind, Namespace, Ref, Service, Upsert
from skydns_py.errors import ConfigError, DecodeError, StoreError
from skydns_py.pods.environment import MASTER_NAMESPACE, is_master
from skydns_py.settings import AnySource, EtcdSource, KubernetesSource, ManifestSource
from skydns_py.sources.listwatch import Entry, ListPage
from skydns_py.sources.manifests import SETTLE_SECONDS, Look, Shelf

LOOKS = 10
"""Looks at manifests that keep changing, ``SETTLE_SECONDS`` apart, before they are given up."""
PAGE = 500
"""Keys of one page of a list, as API servers ask for; bounds the size of an answer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The Services that a pod of one namespace may see, and a line for each thing that was not readable."""

    services: tuple[Service, ...]
    refusals: tuple[str, ...] = ()


def read(source: AnySource, namespace: str, revision: int = 0) -> Reading:
    """What ``source`` says now or, for etcd and the API, said at ``revision``; it blocks.

    Raises ConfigError for a namespace that is not there, a source that keeps no revisions and a
    revision that is there no more or not yet; StoreError where etcd or the API cannot be read.
    """
    if isinstance(source, EtcdSource):
        return _from_etcd(source, namespace, revision)
    if isinstance(source, KubernetesSource):
        return _from_api(source, namespace, revision)
    if revision:
        reason = "manifests keep no revisions; give --etcd URL, or what the pod has with --diff FILE"
        raise ConfigError(f"--as-of: {reason}")
    return _from_manifests(source, namespace)


def _from_manifests(source: ManifestSource, namespace: str) -> Reading:
    objects, refusals = _look(source)
    services = tuple(obj for obj in objects if isinstance(obj, Service))
    if not _is_home(namespace, (service.ref for service in services)):
        _check_namespace(namespace, {obj.name for obj in objects if isinstance(obj, Namespace)}, "here")
    return Reading(services, refusals)


def _look(source: ManifestSource) -> tuple[Collection[ClusterObject], tuple[str, ...]]:
    """The objects there, with their portal IPs, once no file is half written, and what was refused."""
    if not Path(source.path).exists():
        raise ConfigError(f"{source.path}: no such file or folder to take manifests from")
    shelf, found, refusals = Shelf(source), dict[Ref, ClusterObject](), dict[str, None]()
    for _ in range(LOOKS):
        look = shelf.look()
        if look.lost:
            raise ConfigError(look.lost.removesuffix("; keeping what it held"))
        _take(look, found)
        refusals |= dict.fromkeys(f"{where}: {reason}" for where, reason in look.refusals)
        if not look.unsettled:
            return found.values(), tuple(refusals)
        time.sleep(SETTLE_SECONDS)
    raise ConfigError(f"{source.path}: is being written all the time; try again when it is complete")


def _take(look: Look, found: dict[Ref, ClusterObject]) -> None:
    for event in look.events:
        if isinstance(event, Upsert):
            found[event.obj.ref] = event.obj
        else:
            found.pop(event.ref, None)


def _from_etcd(source: EtcdSource, namespace: str, revision: int) -> Reading:
    from skydns_py.cli import etcd_store  # noqa: PLC0415  # gRPC: a fifth of a second that --help need not wait

    with etcd_store.connect(source, store.PATIENCE) as place:
        listing = _Listing(place, source, revision)
        every = listing.entries(Kind.SERVICE)
        held = {ref: entry for ref, entry in every if ref.namespace == namespace or is_master(ref)}
        if not _is_home(namespace, held):
            known = {ref.name for ref, _ in listing.entries(Kind.NAMESPACE)}
            _check_namespace(namespace, known, f"at revision {revision}" if revision else "here")
    services, refusals = list[Service](), list[str]()
    for ref, entry in held.items():
        try:
            obj = registry.decode(ref, entry.value)
            services += [obj] if isinstance(obj, Service) else []
        except DecodeError as error:
            refusals.append(f"{title(ref)}: {error}")
    return Reading(tuple(services), tuple(refusals))


def _from_api(source: KubernetesSource, namespace: str, revision: int) -> Reading:
    from skydns_py.cli import env_api  # noqa: PLC0415  # TLS and HTTP, which other sources do without

    found = env_api.read(source, namespace, revision)
    if not _is_home(namespace, (service.ref for service in found.services)):
        _check_namespace(namespace, found.namespaces, f"at revision {revision}" if revision else "here")
    return Reading(found.services, found.refusals)


class _Listing:
    """Lists of one etcd, all at one revision: the one given, or the newest at the first page."""

    def __init__(self, place: Any, source: EtcdSource, revision: int) -> None:
        self._place = place
        self._source = source
        self._asked = self._revision = revision

    def entries(self, kind: Kind) -> Iterator[tuple[Ref, Entry]]:
        """Every object of ``kind`` by its reference, in the order of the keys."""
        prefix = self._source.registry_prefix
        start, token = registry.key_for(Ref(kind, "", ""), prefix).encode(), b""
        while True:
            page = self._page(ListPage(start, token, self._revision, PAGE))
            self._revision = self._revision or page.origin.revision
            for entry in page.entries:
                ref = registry.parse_key(entry.key.decode(errors="replace"), prefix)
                if ref is not None and ref.kind is kind:
                    yield ref, entry
            token = page.token
            if not token:
                return

    def _page(self, wanted: ListPage) -> Any:
        from skydns_py.sources.etcd_client import Compacted  # noqa: PLC0415  # as above

        try:
            return self._ask(self._place.page, wanted)
        except Compacted:
            raise self._refusal(self._ask(self._place.origin, wanted.prefix).revision) from None

    def _ask(self, call: Callable[[Any], Any], argument: object) -> Any:
        from skydns_py.sources.etcd_client import RpcError, describe  # noqa: PLC0415  # as above

        try:
            return call(argument)
        except RpcError as error:
            urls = " or ".join(self._source.endpoints)
            raise StoreError(describe(error, urls, self._source)) from None

    def _refusal(self, newest: int) -> ConfigError | StoreError:
        """Why etcd does not list at this revision, and what to do."""
        if not self._asked:
            return StoreError("etcd was compacted while it was listed; run the command again")
        if self._asked > newest:
            return ConfigError(f"--as-of: {self._asked} is yet to come: etcd is at {newest}; give no more")
        instead = f"give a later one, up to {newest}, or what the pod has with --diff FILE"
        return ConfigError(f"--as-of: etcd has compacted revision {self._asked} away; {instead}")


def _is_home(namespace: str, services: Iterable[Ref]) -> bool:
    """Whether the namespace is there without a Namespace object to say so."""
    return namespace == MASTER_NAMESPACE or any(ref.namespace == namespace for ref in services)


def _check_namespace(namespace: str, known: Collection[str], where: str) -> None:
    if known and namespace not in known:
        few = sorted(known)[:10]
        more = f" and {len(known) - len(few)} more" if len(known) > len(few) else ""
        raise ConfigError(f"--namespace: no {namespace!r} is {where}; there are {', '.join(few)}{more}")
