"""What every sink of a source says when it is lost and found again, the same for all three servers."""

import logging
from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from skydns_py.balancer.store import Keys
from skydns_py.balancer.view import View
from skydns_py.balancer_feed import BalancerFeed
from skydns_py.feed import Feed
from skydns_py.ops.status import Following
from skydns_py.portal.guard import Unguarded
from skydns_py.portal.health import HealthPorts
from skydns_py.portal.nftables.backend import NftablesBackend
from skydns_py.portal.plan.model import Host
from skydns_py.portal.runner import Runner
from skydns_py.portal.world import Rehearsal
from skydns_py.portal_feed import PortalFeed
from skydns_py.zone.settings import ZoneSettings


def names() -> Feed:
    return Feed(ZoneSettings(b"\1a\0"), 1232, None, Clock())


def portals() -> PortalFeed:
    clock, backend = Clock(), NftablesBackend(Host())
    runner = Runner(backend, Unguarded(), Rehearsal(clock, ()), lambda _: None)
    return PortalFeed(Host(), runner, HealthPorts(clock), clock)


def balancers() -> BalancerFeed:
    clock = Clock()
    feed = BalancerFeed(View(Keys("/b")), clock)
    feed.complete = lambda: None
    return feed


@pytest.mark.parametrize("make", [names, portals, balancers])
def test_a_source_that_is_followed_again_is_said_once(
    make: Callable[[], Following], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    feed = make()
    feed.synced()
    caplog.clear()
    feed.lost("etcd is gone")
    assert feed.status.stale == "etcd is gone"
    for _ in range(2):
        feed.synced()
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("etcd is gone; ")
    assert said.count("the source is followed again") == 1
    assert (feed.status.stale, feed.status.losses, feed.status.syncs) == ("", 1, 3)


@pytest.mark.parametrize("make", [names, portals, balancers])
def test_an_object_that_is_refused_is_counted_and_named(
    make: Callable[[], Following], caplog: pytest.LogCaptureFixture
) -> None:
    feed = make()
    feed.refused("/registry/x", "spec: must be a mapping")
    assert feed.status.refused == 1
    assert [record.getMessage() for record in caplog.records] == ["/registry/x: spec: must be a mapping"]
