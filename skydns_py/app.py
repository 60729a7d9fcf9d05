"""The server put together: a source feeds the table, the sockets answer from it.

Follow one query: ``udp.Port`` → ``PureTable.answer``, or ``Handler`` → ``Responder`` → ``look_up``.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

from skydns_py import settings as given
from skydns_py.cluster.gate import Gate
from skydns_py.cluster.objects import Kind
from skydns_py.dataplane import native
from skydns_py.dataplane.counters import Counters
from skydns_py.errors import ConfigError
from skydns_py.feed import PURE, Feed, Plane
from skydns_py.ops.listening import listen
from skydns_py.ops.memory import before_first_list
from skydns_py.ops.metrics import page
from skydns_py.ops.pages import Answer
from skydns_py.ops.priority import give_way
from skydns_py.ops.reactor import the_reactor
from skydns_py.server.connection import Places
from skydns_py.server.handler import Handler
from skydns_py.server.listen import Pair, open_pairs, own_addresses
from skydns_py.server.plane import Datagrams, NativeDatagrams, PureDatagrams
from skydns_py.server.tcp import StreamFactory
from skydns_py.sources import Sink, Source
from skydns_py.sources.announced import Announced
from skydns_py.zone.names import from_text
from skydns_py.zone.settings import Pods, ZoneSettings

log = logging.getLogger("skydns")

BACKLOG = 1024
"""TCP connections that may wait to be accepted."""


class Server:
    """Everything that ``skydns serve`` runs; raises ConfigError where it cannot be set up."""

    def __init__(self, found: given.Settings, reactor: Any) -> None:
        self._settings = found
        self._reactor = reactor
        self.counters = Counters()
        networks = dict(found.search.networks) if found.search.enabled else None
        self._plane, self._choice = choose_plane(found.dataplane.kind)
        settings = zone_settings(found)
        size, autopath = found.edns_size_octets, found.search.autopath
        self.feed = Feed(settings, size, networks, reactor, self._plane, autopath=autopath)
        handler = Handler(self.feed.responder, self.counters)
        limits = found.tcp
        places = Places(self.counters, limits.max_connections, limits.idle_seconds)
        factory = StreamFactory(handler, places)
        addresses = [(place.host, place.port) for place in found.listen]
        threads = 1 if self._plane is PURE else found.dataplane.threads
        self.pairs: list[Pair] = open_pairs(addresses, factory, reactor, BACKLOG, threads)
        self.encrypted = self._open_encrypted(handler, places)
        self._datagrams = self._make_datagrams(handler)
        self._pages = self._listen_http()
        self._source = self._make_source()
        self._announced = self._wait_for_portal(found.wait_for_portal)

    def start(self) -> None:
        """Answer, and follow the source."""
        self._datagrams.start(self._reactor)
        if self._plane is not PURE:
            give_way()
        places = ", ".join(
            f"[{p.host}]:{p.port}" if ":" in p.host else f"{p.host}:{p.port}" for p in self.pairs
        )
        log.info("answering on %s (UDP and TCP); %s", places, self._choice)
        for name, ports in self.encrypted.items():
            log.info("answering on %s (%s)", ", ".join(str(place_of(port)) for port in ports), name)
        self._source.start()
        if self._announced is not None:
            self._announced.start(self._settings.wait_for_portal.socket, self._reactor)

    def stop(self) -> None:
        """Follow the source no more and close every socket."""
        self._source.stop()
        if self._announced is not None:
            self._announced.stop()
        self._datagrams.stop(self._reactor)
        for listening in (
            *(pair.tcp for pair in self.pairs),
            *(port for ports in self.encrypted.values() for port in ports),
            *self._pages,
        ):
            listening.stopListening()

    def _open_encrypted(self, handler: Handler, places: Places) -> dict[str, list[Any]]:
        found = self._settings
        if not (found.tls.listen or found.https.listen):
            return {}
        try:
            from skydns_py.server.encrypted import open_encrypted  # noqa: PLC0415  # an extra, and costly

            return open_encrypted(found, handler, places, self._reactor, BACKLOG)
        except ImportError as error:
            key = "tls.listen" if found.tls.listen else "https.listen"
            raise ConfigError(f"{key}: {error.name} is missing: pip install 'skydns-py[tls]'") from None

    def _make_datagrams(self, handler: Handler) -> Datagrams:
        sockets = [sock for pair in self.pairs for sock in pair.udp]
        if self._plane is PURE:
            return PureDatagrams(sockets, self.feed.answer, handler, self.counters)
        return NativeDatagrams(sockets, self.feed.table, handler)

    def _wait_for_portal(self, wait: given.WaitSettings) -> Announced | None:
        if not wait.socket:
            return None
        gate = Gate(wait.seconds)
        self.feed.wait_at(gate)
        return Announced(gate.programmed, self.feed.open_gate)

    def _make_source(self) -> Source:
        assert self._settings.source is not None, "serve asks for a source"
        known_pods = self._settings.pods is given.PodRecords.VERIFIED or self._settings.search.enabled
        return make_source(self._settings.source, self.feed, self._reactor, pods=known_pods)

    def _listen_http(self) -> list[Any]:
        pages: dict[str, Answer] = {"health": self._health, "ready": self._ready, "metrics": self._metrics}
        return listen(self._settings.http, given.HttpSettings(), pages, self._reactor)

    def _health(self) -> tuple[int, str]:
        return 200, "OK\n"

    def _ready(self) -> tuple[int, str]:
        return (200, "OK\n") if self.feed.status.synced else (503, "the source has not synced yet\n")

    def _metrics(self) -> tuple[int, str]:
        native = {} if self._plane is PURE else self.feed.table.counters()
        return 200, page(self.feed.status, self.counters, native)


NAMED = (Kind.NAMESPACE, Kind.SERVICE, Kind.SLICE, Kind.ENDPOINTS, Kind.POD)
"""What names are made of."""


def make_source(
    source: given.AnySource, sink: Sink, reactor: Any, kinds: tuple[Kind, ...] = (), *, pods: bool = False
) -> Source:
    """What follows ``source``; only objects of ``kinds``, where some are named and it can tell.

    The Kubernetes API has endpoints for every Service, so Pods are read there only where ``pods`` says that
    they are needed for themselves: a large cluster has a hundred thousand of them.
    """
    if isinstance(source, given.ManifestSource):
        from skydns_py.sources.manifests import ManifestSource  # noqa: PLC0415  # as below

        return ManifestSource(source, sink, reactor)
    if isinstance(source, given.KubernetesSource):
        from skydns_py.sources.kubernetes import KubernetesSource  # noqa: PLC0415  # TLS and HTTP, only for this

        wanted = [kind for kind in kinds or NAMED if pods or kind is not Kind.POD]
        return KubernetesSource(source, sink, reactor, wanted)
    from skydns_py.sources.etcd import EtcdSource  # noqa: PLC0415  # gRPC is 15 MB, only for this

    return EtcdSource(source, sink, reactor, kinds=kinds or None)


def place_of(port: Any) -> given.HostPort:
    """Where a listening port is."""
    at = port.getHost()
    return given.HostPort(at.host, at.port)


def start_logging(level: given.LogLevel) -> None:
    """To standard error, from this level on."""
    how = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=getattr(logging, level.name), format=how)


def run_until_stopped(reactor: Any, start: Callable[[], object], stop: Callable[[], object]) -> None:
    """Run the reactor until SIGTERM or SIGINT: ``start`` at its beginning, ``stop`` before its end."""
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()


def choose_plane(kind: given.Dataplane) -> tuple[Plane, str]:
    """The data plane to serve from, and one line of which and why; ConfigError where it cannot be had."""
    there, why = native.available() if kind is not given.Dataplane.PURE else (False, "as configured")
    if there:
        from skydns_py.dataplane.native.existence import NativeExistence  # noqa: PLC0415  # it may not be built
        from skydns_py.dataplane.native.table import NativeTable  # noqa: PLC0415  # likewise

        return Plane(NativeTable, NativeExistence), "UDP by native threads"
    if kind is given.Dataplane.NATIVE:
        raise ConfigError(f"dataplane.kind: {why}; or say auto")
    return PURE, f"UDP in Python ({why})"


def zone_settings(found: given.Settings) -> ZoneSettings:
    """The zone's part of the settings."""
    return ZoneSettings(
        name=from_text(found.zone),
        ttl=found.ttl_seconds,
        reverse_zones=tuple(from_text(zone) for zone in found.reverse_zones),
        pods=Pods(found.pods.value),
        legacy_names=found.legacy_names,
        own_addresses=own_addresses([place.host for place in found.listen]),
    )


def run(found: given.Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises ConfigError where that cannot start."""
    reactor = the_reactor()
    start_logging(found.log_level)
    before_first_list()
    server = Server(found, reactor)
    run_until_stopped(reactor, server.start, server.stop)
    return 0
