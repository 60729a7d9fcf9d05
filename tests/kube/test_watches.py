"""Watches. The stand-in and a real server alike."""

from contextlib import closing
from dataclasses import replace
from urllib.parse import quote

import pytest

from skydns_py.sources.kubernetes_client import ApiClient
from tests import needs
from tests.kube.desk import Desk, meta, shape

pytestmark = needs.program("openssl", "etcd")


class TestWatches:
    def test_changes_after_a_revision_come_in_order_and_whole(self, desk: Desk) -> None:
        start = desk.now()
        desk.create("leases", "a")
        desk.patch("leases", "a", {"spec": {"holderIdentity": "x"}})
        desk.delete("leases", "a")
        events = desk.watch("leases", f"resourceVersion={start}")
        assert [shape(each) for each in events] == [
            (each, "Lease", "a") for each in ("ADDED", "MODIFIED", "DELETED")
        ]
        versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in events]
        assert versions == sorted(set(versions))
        assert versions[-1] == int(desk.now())
        assert events[-1]["object"]["spec"] == {"holderIdentity": "x"}

    @pytest.mark.parametrize("query", ["", "resourceVersion=0"])
    def test_without_a_revision_what_is_there_comes_first(self, desk: Desk, query: str) -> None:
        for name in "ab":
            desk.create("leases", name)
        desk.page("leases", f"resourceVersion={desk.now()}")  # the server's cache has them now
        assert sorted(shape(each) for each in desk.watch("leases", query)) == [
            ("ADDED", "Lease", "a"),
            ("ADDED", "Lease", "b"),
        ]

    def test_a_change_comes_while_the_watch_is_open(self, desk: Desk) -> None:
        path = desk.path("leases", query=f"watch=1&timeoutSeconds=20&resourceVersion={desk.now()}")
        with closing(ApiClient(desk.server.access, 10)) as other:
            events = other.stream(path, 20)
            desk.create("leases", "a")
            assert shape(next(events)) == ("ADDED", "Lease", "a")
            desk.create("leases", "b")
            assert shape(next(events)) == ("ADDED", "Lease", "b")

    def test_only_its_own_namespace_is_watched(self, desk: Desk) -> None:
        start = desk.now()
        desk.create("leases", "a")
        assert replace(desk, namespace="default").watch("leases", f"resourceVersion={start}") == []

    def test_what_stops_matching_a_selector_is_deleted_as_it_last_matched(self, desk: Desk) -> None:
        start = desk.now()
        desk.create("leases", "a", metadata={"labels": {"q": "1"}})
        changed = desk.patch("leases", "a", {"metadata": {"labels": {"q": "2"}}})
        query = f"resourceVersion={start}&labelSelector={quote('q=1')}"
        added, deleted = desk.watch("leases", query)
        assert [added["type"], deleted["type"]] == ["ADDED", "DELETED"]
        assert meta(deleted["object"], "resourceVersion") == meta(changed, "resourceVersion")
        assert deleted["object"]["metadata"]["labels"] == {"q": "1"}

    def test_a_watch_from_a_compacted_revision_is_expired_in_an_event(self, desk: Desk) -> None:
        start = desk.now()
        desk.create("leases", "a")
        desk.server.compact()
        (event,) = desk.watch("leases", f"resourceVersion={start}")
        told = event["object"]
        assert (event["type"], told["kind"], told["code"], told["reason"]) == (
            "ERROR",
            "Status",
            410,
            "Expired",
        )

    def test_a_watch_from_the_future_waits(self, desk: Desk) -> None:
        assert desk.watch("leases", "resourceVersion=99999999") == []
