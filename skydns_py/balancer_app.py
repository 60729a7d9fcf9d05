"""The external load balancer put together: on every node an announcer, on one of them the controller too.

SIGTERM withdraws what this node announces, and ends its lease, so that another node takes over at once.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeAlias

from twisted.internet.threads import deferToThread

from skydns_py import settings as given
from skydns_py.app import make_source, run_until_stopped, start_logging
from skydns_py.balancer.announcer import Announcer
from skydns_py.balancer.book import Book
from skydns_py.balancer.choose import Pools
from skydns_py.balancer.controller import Controller
from skydns_py.balancer.layer2 import Layer2
from skydns_py.balancer.link import Connect, Worker
from skydns_py.balancer.provider import PoolProvider, Provider
from skydns_py.balancer.session import Session, clock
from skydns_py.balancer.startup import warn_of_own
from skydns_py.balancer.store import CONTROLLER, Keys, News
from skydns_py.balancer.view import View
from skydns_py.balancer.watcher import Watcher
from skydns_py.balancer.webhook import WebhookProvider
from skydns_py.balancer_etcd import connector as etcd_connector
from skydns_py.balancer_feed import BalancerFeed
from skydns_py.cluster.objects import Address, Kind, Node
from skydns_py.ops.balancer_metrics import balancer_page
from skydns_py.ops.listening import listen
from skydns_py.ops.memory import after_first_list, before_first_list
from skydns_py.ops.reactor import the_reactor

log = logging.getLogger("skydns")

KINDS = (Kind.SERVICE, Kind.ENDPOINTS, Kind.SLICE, Kind.POD, Kind.NODE)
"""What balancers are made of: Services, and the nodes where their backends are."""
PATIENCE = 5.0
"""Seconds for a request that no lease depends on."""
LAST_WORDS = 2.0
"""Seconds that ending the lease may take."""
Writable: TypeAlias = given.EtcdSource | given.KubernetesSource
"""The sources to which what is given can be written back."""


class Balancer:
    """Everything ``skydns balancer`` runs; raises ConfigError where it cannot be set up."""

    def __init__(self, found: given.Settings, reactor: Any) -> None:
        assert isinstance(found.source, Writable), "balancer asks for one"
        self._settings = found.balancer
        self._keys = Keys(found.balancer.prefix)
        self._view = View(self._keys)
        self.node = found.balancer.node_name or os.uname().nodename.lower()
        self.feed = BalancerFeed(self._view, reactor)
        self._source = make_source(found.source, self.feed, reactor, KINDS)
        connect, registry_prefix = self._store(found.source)
        self._connect(connect, reactor)
        self._wire(reactor, registry_prefix)
        pages = {"health": self._health_page, "ready": self._ready_page, "metrics": self._metrics_page}
        self._pages = listen(
            found.balancer.http, given.BalancerSettings().http, pages, reactor, "balancer.http"
        )

    def start(self) -> None:
        """Take part."""
        log.info("this node is %s", self.node)
        if self._network is not None:
            warn_of_own(self._settings.pools, self._network.own())
        self._worker.start()
        self._allocation.start()
        self._watcher.start()
        self._session.start()
        self._source.start()

    def stop(self) -> Any:
        """Withdraw, and end the lease; what is returned fires when that is done."""
        self.controller.stop()
        self.announcer.stop()
        self._session.stop()
        self._source.stop()
        for each in (self._watcher, self._worker, self._allocation):
            each.stop()
        for listening in self._pages:
            listening.stopListening()
        return deferToThread(self._session.join, LAST_WORDS)

    def _store(self, source: Writable) -> tuple[Callable[[float], Connect], str]:
        """What connects to the source's store, for calls of so many seconds; where Services are in it."""
        if isinstance(source, given.EtcdSource):
            return partial(etcd_connector, source), source.registry_prefix
        from skydns_py import balancer_kubernetes as api  # noqa: PLC0415  # TLS and HTTP, only for this

        return api.connector(source, self._settings, self._keys, self.node), api.REGISTRY

    def _connect(self, connect: Callable[[float], Connect], reactor: Any) -> None:
        """The threads that talk to the store. What the lease depends on must not wait for long."""
        quick = connect(self._settings.lease_seconds / 4)
        patient = connect(PATIENCE)
        layer2 = self._settings.provider is given.BalancerProvider.LAYER2
        self._network = Layer2(self._settings.interface) if layer2 else None
        self._worker = Worker(quick, reactor, "skydns-seats")
        self._allocation = Worker(patient, reactor, "skydns-allocation", 1 if layer2 else 4)
        self._watcher = Watcher(patient, self._keys.root, self._take, self._lost, reactor)
        self.announcer = Announcer(
            self.node, self._view, self._keys, self._network, self._worker, clock, reactor
        )
        self._session = Session(quick, self._settings.lease_seconds, self.announcer, reactor)

    def _wire(self, reactor: Any, registry_prefix: str) -> None:
        book = Book(self._keys, registry_prefix, self._view)
        self._pools = Pools(self._settings.pools, self.feed.service)
        provider: Provider = PoolProvider(self._pools, book, self._view)
        if self._network is None:
            provider = WebhookProvider(self._settings.webhook, book, self._view, self._nodes)
        self.controller = Controller(
            provider,
            self._allocation,
            self.feed.service,
            lambda: list(self.feed.wanting),
            self._take,
            reactor,
        )
        self.controller.ready = lambda: self.feed.ready and self._view.synced
        self.announcer.lead = self.controller.lead
        self.announcer.eligible = self.feed.eligible
        self.announcer.reopened = self._watcher.restart
        self.feed.changed = self._service_changed
        self.feed.moved = self.controller.review_all if self._network is None else lambda: None
        self.feed.complete = self._complete

    def _nodes(self) -> list[Node]:
        return [self.feed.nodes[name] for name in sorted(self.feed.nodes)]

    def _take(self, news: News) -> None:
        """Something is written below the balancer's prefix, by this node or another."""
        first = not self._view.synced
        changed = self._view.take(news)
        for kind, name in changed:
            if kind == "ip":
                self._reserved(name)
        for kind, name in changed:
            self.announcer.changed(kind, name)
        if first:
            self.announcer.register()
            self.announcer.review_all()
            self.controller.review_all()

    def _reserved(self, name: str) -> None:
        reservation = self._view.reservations.get(name)
        self._pools.note(ip_address(name).packed, reservation)
        for owner in reservation.services if reservation else ():
            self.controller.review(owner)
        if reservation is None:
            self._review_shown(ip_address(name).packed)
            self.controller.freed()

    def _review_shown(self, address: Address) -> None:
        """Look at the Services that show an address nobody has: somebody removed its reservation by hand."""
        for owner, service in tuple(self.feed.wanting.items()) if self.controller.leads else ():
            if address in service.exposure.balancer_addresses:
                self.controller.review(owner)

    def _lost(self, reason: str) -> None:
        log.debug("%s; listing the balancer's keys again", reason)

    def _service_changed(self, owner: str) -> None:
        self.controller.review(owner)
        for address in self._pools.held(owner):
            self.announcer.review(str(ip_address(address)))

    def _complete(self) -> None:
        self.announcer.review_all()
        self.controller.review_all()
        after_first_list()
        log.info("ready: %d services ask for a load balancer", len(self.feed.wanting))

    def _health_page(self) -> tuple[int, str]:
        return 200, "OK\n"

    def _ready_page(self) -> tuple[int, str]:
        reasons = (self.announcer.waiting_for, self.announcer.failure, "the source has not synced yet")
        if self.announcer.ready and self.feed.ready:
            return 200, "OK\n"
        return 503, next(filter(None, reasons)) + "\n"

    def _metrics_page(self) -> tuple[int, str]:
        here = self.announcer.held - {CONTROLLER}
        return 200, balancer_page(
            self.feed.status, self.announcer, self.controller, here, self._pools.usage()
        )


def run(found: given.Settings) -> int:
    """Take part until SIGTERM or SIGINT; returns the exit code."""
    reactor = the_reactor()
    start_logging(found.log_level)
    before_first_list()
    balancer = Balancer(found, reactor)
    run_until_stopped(reactor, balancer.start, balancer.stop)
    return 0
