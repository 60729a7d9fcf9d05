"""Lists, their pages and their revisions; what is no request. The stand-in and a real server alike."""

from contextlib import closing
from dataclasses import replace
from urllib.parse import quote

import pytest

from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests import needs
from tests.kube.desk import LEASES, Desk, meta

pytestmark = needs.program("openssl", "etcd")


class TestLists:
    def test_items_of_a_list_have_no_kind_and_single_objects_do(self, desk: Desk) -> None:
        created = desk.create("leases", "a")
        listed = desk.page("leases")
        assert (listed["kind"], listed["apiVersion"]) == ("LeaseList", "coordination.k8s.io/v1")
        assert [each.get("kind") for each in listed["items"]] == [None]
        for whole in (created, desk.get("leases", "a")):
            assert (whole["kind"], whole["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
            assert all(meta(whole, "uid", "resourceVersion", "creationTimestamp"))
            assert meta(whole, "name", "namespace") == ("a", desk.namespace)

    def test_a_list_of_nothing_is_an_empty_list_also_of_a_namespace_that_is_not_there(
        self, desk: Desk
    ) -> None:
        assert desk.page("services")["items"] == []
        assert replace(desk, namespace="nowhere").page("services")["items"] == []

    def test_a_list_of_all_namespaces_is_ordered_by_namespace_and_name(self, desk: Desk) -> None:
        for name in ("b", "a-1", "a"):
            desk.create("leases", name)
        listed = desk.client.call("GET", f"{LEASES}/leases")["items"]
        places = [meta(each, "namespace", "name") for each in listed]
        assert places == sorted(places, key="/".join)
        assert desk.names("leases") == ["a", "a-1", "b"]

    def test_pages_are_of_one_moment_whatever_is_written_between(self, desk: Desk) -> None:
        for number in range(5):
            desk.create("leases", f"l{number}")
        first = desk.page("leases", "limit=2")
        desk.delete("leases", "l3")
        desk.create("leases", "l9")
        page, seen = first, [first]
        while token := page["metadata"].get("continue"):
            page = desk.page("leases", f"limit=2&continue={quote(token)}")
            seen.append(page)
        names = [each["metadata"]["name"] for page in seen for each in page["items"]]
        assert names == ["l0", "l1", "l2", "l3", "l4"]
        assert {meta(page, "resourceVersion") for page in seen} == {meta(first, "resourceVersion")}
        assert [page["metadata"].get("remainingItemCount") for page in seen] == [3, 1, None]

    def test_a_continue_token_expires_with_its_revision(self, desk: Desk) -> None:
        for name in "abc":
            desk.create("leases", name)
        token = desk.page("leases", "limit=1")["metadata"]["continue"]
        desk.server.compact()
        desk.refused(410, "Expired", "GET", desk.path("leases", query=f"limit=1&continue={quote(token)}"))

    def test_a_continue_token_that_is_none_is_a_bad_request(self, desk: Desk) -> None:
        desk.refused(400, "BadRequest", "GET", desk.path("leases", query="limit=1&continue=zzz"))

    def test_revision_0_is_read_without_pages(self, desk: Desk) -> None:
        for name in "abc":
            desk.create("leases", name)
        assert sorted(desk.names("leases", f"resourceVersion={desk.now()}")) == ["a", "b", "c"]
        listed = desk.page("leases", "limit=1&resourceVersion=0")
        assert (len(listed["items"]), listed["metadata"].get("continue")) == (3, None)

    def test_an_exact_revision_is_read_as_it_was(self, desk: Desk) -> None:
        desk.create("leases", "a")
        revision = desk.now()
        desk.delete("leases", "a")
        desk.create("leases", "b")
        assert desk.names("leases", f"resourceVersion={revision}&resourceVersionMatch=Exact") == ["a"]
        assert desk.names("leases", f"resourceVersion={revision}&resourceVersionMatch=NotOlderThan") == ["b"]

    def test_an_exact_revision_that_is_compacted_is_expired(self, desk: Desk) -> None:
        revision = desk.now()
        desk.server.compact()
        query = f"resourceVersion={revision}&resourceVersionMatch=Exact"
        desk.refused(410, "Expired", "GET", desk.path("leases", query=query))

    def test_a_revision_of_the_future_times_out(self, desk: Desk) -> None:
        desk.refused(504, "Timeout", "GET", desk.path("leases", query="resourceVersion=99999999"))

    @pytest.mark.parametrize(
        "query",
        [
            "resourceVersionMatch=Exact",
            "resourceVersion=0&resourceVersionMatch=Exact",
            "resourceVersion=5&resourceVersionMatch=Foo",
            "watch=1&resourceVersion=5&resourceVersionMatch=Exact",
        ],
    )
    def test_a_revision_match_that_makes_no_sense_is_invalid(self, desk: Desk, query: str) -> None:
        desk.refused(422, "Invalid", "GET", desk.path("leases", query=query))

    def test_selectors_choose_by_label_and_name(self, desk: Desk) -> None:
        desk.create("leases", "a", metadata={"labels": {"app": "x", "tier": "1"}})
        desk.create("leases", "b", metadata={"labels": {"app": "y"}})
        desk.create("leases", "c")
        chosen = {
            "app=x": ["a"],
            "app!=x": ["b", "c"],
            "app": ["a", "b"],
            "!app": ["c"],
            "app in (x,y),tier=1": ["a"],
            "app notin (x)": ["b", "c"],
        }
        assert {each: desk.names("leases", f"labelSelector={quote(each)}") for each in chosen} == chosen
        assert desk.names("leases", f"fieldSelector={quote('metadata.name=b')}") == ["b"]
        desk.refused(400, "BadRequest", "GET", desk.path("leases", query="fieldSelector=spec.x%3D1"))


class TestRefusals:
    def test_an_unknown_token_is_unauthorized(self, desk: Desk) -> None:
        for access in (replace(desk.server.access, token="other"), replace(desk.server.access, token="")):
            with closing(ApiClient(access, 10)) as client:
                replace(desk, client=client).refused(401, "Unauthorized", "GET", "/api/v1/namespaces")

    def test_an_unknown_resource_is_not_found(self, desk: Desk) -> None:
        desk.refused(404, "NotFound", "GET", "/api/v1/nonsense")
        with pytest.raises(ApiError) as caught:
            desk.client.call("GET", "/apis/example.com/v1/nonsense")
        assert caught.value.status == 404

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/api/v1/namespaces/default/services/a"),
            ("PUT", "/api/v1/namespaces/default/services"),
            ("POST", "/api/v1/services"),
        ],
    )
    def test_a_method_that_a_path_has_not_is_not_allowed(self, desk: Desk, method: str, path: str) -> None:
        desk.refused(405, "MethodNotAllowed", method, path, {})
