"""A whole server on either table."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from skydns_py import feed
from skydns_py.cluster.objects import ClusterObject, Ref
from tests import builders
from tests.builders import Served, packed
from tests.dataplane import samples
from tests.native.built import NativeExistence, NativeTable

CLIENTS = tuple(
    map(
        packed,
        (
            *("198.51.100.1", samples.MAPPED, "10.5.0.1", "10.5.0.2", "10.5.0.3", "10.5.0.4"),
            *("fd00:5::1", "2001:db8::1"),
        ),
    )
)
"""A stranger, one in a mapped network, two pods, a finished one, one whose namespace is a top-level domain's,
a pod's and a stranger's IPv6 address."""

STANDING = SimpleNamespace(time=lambda: 1_700_000_000.0)
"""A clock that stands still."""

PLANES = {"pure": feed.PURE, "native": feed.Plane(NativeTable, NativeExistence)}


class Twin(Served):
    """``Served`` whose table is of the given kind, with short names on."""

    def __init__(self, kind: str, *objects: ClusterObject, **fields: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feed, "time", STANDING)
            patch.setattr(builders, "Feed", partial(feed.Feed, plane=PLANES[kind]))
            super().__init__(networks=samples.NETWORKS, **fields)
        self.table: Any = self.feed.table
        self.change(*objects)

    def change(self, *news: ClusterObject | Ref) -> None:
        """See ``Served.change``; serial numbers are the time, which must be the same for both."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feed, "time", STANDING)
            super().change(*news)

    def hot(self, packet: bytes, client: bytes = b"") -> bytes | None:
        """The hot path's reply; the native one's to ``client``, where one is given."""
        if not self.feed.responder.ready:
            return None
        reply: bytes | None = self.table.answer(packet, client) if client else self.table.answer(packet)
        return reply

    def slow(self, packet: bytes, client: bytes) -> bytes | None:
        """The slow path's reply over UDP."""
        return self.feed.responder.respond(packet, client, stream=False)
