"""The portal programmer put together: a source feeds the plan, the runner keeps the kernel to it.

It ends with SIGTERM and leaves the rules where they are: connections go on, and the next start takes over.
"""

import logging
import os
import time
from ipaddress import ip_address
from typing import Any, NamedTuple

from skydns_py import checks
from skydns_py import settings as given
from skydns_py.app import make_source, run_until_stopped, start_logging
from skydns_py.cluster.objects import Kind
from skydns_py.errors import SkydnsError
from skydns_py.ops.listening import listen
from skydns_py.ops.memory import after_first_list, before_first_list
from skydns_py.ops.portal_metrics import portal_page
from skydns_py.ops.reactor import the_reactor
from skydns_py.portal.announce import Announcer, announce_at
from skydns_py.portal.choose import Chosen, choose, claim, every_backend, own_addresses, remove
from skydns_py.portal.health import HealthPorts
from skydns_py.portal.plan.model import Host
from skydns_py.portal.runner import Programmed, Runner
from skydns_py.portal.world import Rehearsal, World
from skydns_py.portal_feed import PortalFeed, PortalFeedOnce, counted

log = logging.getLogger("skydns")

KINDS = (Kind.SERVICE, Kind.ENDPOINTS, Kind.SLICE, Kind.POD, Kind.NODE)
"""What portals are made of; Pods for Services whose endpoints nobody else derives."""


class How(NamedTuple):
    """Until stopped; or only once, or only in print, and within so many seconds."""

    once: bool = False
    dry_run: bool = False
    seconds: int = 30


class Programmer:
    """Everything ``skydns portal`` runs; raises ConfigError where it cannot be set up."""

    def __init__(self, found: given.Settings, reactor: Any, how: How) -> None:
        self._reactor = reactor
        self._how = how
        self._once, dry_run = how.once or how.dry_run, how.dry_run
        self._claim = None if dry_run else claim()
        self._host = make_host(found.portal)
        self.chosen: Chosen = choose(found.portal, self._host, rehearsal=dry_run)
        backend = self.chosen.backend
        world = Rehearsal(reactor, backend.inventory()) if dry_run else World(reactor)
        self.runner = Runner(backend, self.chosen.guard, world, self._synced, self._failed)
        self.runner.telling = bool(found.portal.announce) and not self._once
        self._health = HealthPorts(reactor)
        self._announcer = Announcer()
        self.feed = PortalFeed(self._host, self.runner, self._health, reactor)
        if how.once:
            self.feed = PortalFeedOnce(self._host, self.runner, self._health, reactor, self._end)
        self._pages = [] if self._once else self._listen(found.portal.http)
        if self.runner.telling:
            self._pages.append(announce_at(found.portal.announce, self._announcer, reactor))
        assert found.source is not None, "portal asks for a source"
        self._source = make_source(found.source, self.feed, reactor, KINDS)
        self._ended = False
        self.complaint = "stopped before anything was programmed" if self._once else ""

    def start(self) -> None:
        """Follow the source."""
        log.info("programming with %s; this node is %s", self.chosen.kind, self._host.node)
        self._source.start()
        if self._once:
            self._reactor.callLater(self._how.seconds, self._give_up)

    def stop(self) -> None:
        """Follow the source no more; the rules stay."""
        self._source.stop()
        self.runner.stop()
        self._health.set({})
        for listening in self._pages:
            listening.stopListening()

    def _synced(self, news: Programmed) -> None:
        self._announcer.programmed(news)
        self._health.healthy = True
        syncs = self.runner.syncs
        syncs.last_time = time.time()
        count = len(self.feed.services)
        if syncs.done > 1:
            log.info("programmed: %d services in %.3f s", count, syncs.last_seconds)
        else:
            since = self._reactor.seconds() - self.feed.read_at
            log.info(
                "ready: programmed: %d services in %.3f s, %.3f s after the source was read",
                *(count, syncs.last_seconds, since),
            )
            self._reactor.callLater(0, after_first_list)
        if syncs.done == 1 and not self._how.dry_run:
            self._remove_others()
        if self._once:
            refused = self.feed.status.refused
            self._end(f"{counted(refused)} cannot be used; see above" if refused else "")

    def _remove_others(self) -> None:
        """What another backend left would go on translating: take it away, now that ours is there."""
        for kind, backend in every_backend(self._host):
            if kind != self.chosen.kind:
                try:
                    if remove(backend):
                        log.warning("removed what skydns portal had programmed with %s", kind)
                except SkydnsError as error:
                    log.warning("cannot remove what was programmed with %s: %s", kind, error)

    def _failed(self) -> None:
        self._health.healthy = False
        if self._once:
            self._end("the kernel cannot be programmed; see above")

    def _give_up(self) -> None:
        """The source, and every command, has had its time."""
        if self.feed.read_at:
            self._end(f"what the source says was not programmed within {self._how.seconds} s")
        else:
            reason = self.feed.status.stale or "it does not answer"
            self._end(f"the source was not read within {self._how.seconds} s: {reason}")

    def _end(self, complaint: str) -> None:
        """Be done, once; what is complained about is the command's last line."""
        if not self._ended:
            self._ended, self.complaint = True, complaint
            self._reactor.callLater(0, self._reactor.stop)

    def _listen(self, http: given.HttpSettings) -> list[Any]:
        pages = {"health": self._health_page, "ready": self._ready_page, "metrics": self._metrics_page}
        return listen(http, given.PortalSettings().http, pages, self._reactor, "portal.http")

    def _health_page(self) -> tuple[int, str]:
        return 200, "OK\n"

    def _ready_page(self) -> tuple[int, str]:
        return (200, "OK\n") if self.runner.syncs.programmed else (503, "nothing is programmed yet\n")

    def _metrics_page(self) -> tuple[int, str]:
        return 200, portal_page(self.feed.status, self.runner.syncs, len(self.feed.services))


def make_host(portal: given.PortalSettings) -> Host:
    """This node, as far as the settings and the machine tell."""
    return Host(
        node=portal.node_name or os.uname().nodename.lower(),
        own=own_addresses(),
        cluster_cidr=portal.cluster_cidr,
        masquerade_all=portal.masquerade_all,
        node_addresses=portal.node_addresses,
        localhost_node_ports=portal.localhost_node_ports,
        untracked=tuple(ip_address(text).packed for text in portal.untracked),
    )


def run(found: given.Settings, how: How) -> int:
    """Programme until SIGTERM or SIGINT, or once; SkydnsError where that cannot be done."""
    reactor = the_reactor()
    start_logging(found.log_level)
    before_first_list()
    if not checks.may(checks.CAP_NET_ADMIN):
        log.warning("without CAP_NET_ADMIN: this is for a host that has none of our rules yet")
    programmer = Programmer(found, reactor, how)
    run_until_stopped(reactor, programmer.start, programmer.stop)
    if programmer.complaint:
        raise SkydnsError(programmer.complaint)
    return 0


def clean_up(found: given.Settings) -> int:
    """Remove everything of ours from the kernel, whichever backend put it there; returns the exit code."""
    for _, backend in every_backend(make_host(found.portal)):
        remove(backend)
    return 0
