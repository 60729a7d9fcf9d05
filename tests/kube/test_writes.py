"""Creating, updating, patching and deleting. The stand-in and a real server alike."""

from dataclasses import replace

import pytest

from tests import needs
from tests.kube.desk import MERGE, Desk, Object, meta, port

pytestmark = needs.program("openssl", "etcd")


class TestWrites:
    def test_a_name_is_given_once(self, desk: Desk) -> None:
        desk.create("leases", "a")
        error = desk.refused(409, "AlreadyExists", "POST", desk.path("leases"), {"metadata": {"name": "a"}})
        assert 'leases.coordination.k8s.io "a" already exists' in str(error)

    @pytest.mark.parametrize(
        ("given", "code", "reason"),
        [
            ({"metadata": {"name": "A_b"}}, 422, "Invalid"),
            ({"metadata": {}}, 422, "Invalid"),
            ({"metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest"),
            ({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "a"}}, 400, "BadRequest"),
            ({"metadata": {"name": "a"}, "spec": {"renewTime": "2026-01-01T00:00:00Z"}}, 400, "BadRequest"),
        ],
    )
    def test_what_is_no_lease_is_not_created(self, desk: Desk, given: Object, code: int, reason: str) -> None:
        desk.refused(code, reason, "POST", desk.path("leases"), given)
        assert desk.names("leases") == []

    def test_a_time_with_six_digits_is_kept_as_it_is(self, desk: Desk) -> None:
        time = "2026-01-01T00:00:00.123456Z"
        assert desk.create("leases", "a", spec={"renewTime": time})["spec"] == {"renewTime": time}

    def test_nothing_is_created_in_a_namespace_that_is_not_there(self, desk: Desk) -> None:
        path = replace(desk, namespace="nowhere").path("leases")
        desk.refused(404, "NotFound", "POST", path, {"metadata": {"name": "a"}})

    def test_an_update_needs_the_version_that_is_there(self, desk: Desk) -> None:
        old = desk.create("leases", "a", spec={"holderIdentity": "x"})
        new = desk.put("leases", "a", {**old, "spec": {"holderIdentity": "y"}})
        assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
        assert meta(new, "uid", "creationTimestamp") == meta(old, "uid", "creationTimestamp")
        desk.refused(409, "Conflict", "PUT", desk.path("leases", "a"), old)
        blind = {"metadata": {"name": "a"}, "spec": {}}
        desk.refused(422, "Invalid", "PUT", desk.path("leases", "a"), blind)
        assert desk.get("leases", "a")["spec"] == {"holderIdentity": "y"}

    def test_an_update_that_changes_nothing_keeps_the_version(self, desk: Desk) -> None:
        old = desk.create("leases", "a", spec={"holderIdentity": "x"})
        assert meta(desk.put("leases", "a", old), "resourceVersion") == meta(old, "resourceVersion")

    def test_endpoints_may_be_replaced_unseen(self, desk: Desk) -> None:
        subsets = [{"addresses": [{"ip": "10.1.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}]}]
        desk.create("endpoints", "a")
        assert (
            desk.put("endpoints", "a", {"metadata": {"name": "a"}, "subsets": subsets})["subsets"] == subsets
        )

    def test_a_lease_that_is_gone_is_created_by_an_update_that_names_no_uid(self, desk: Desk) -> None:
        old = desk.create("leases", "a")
        desk.delete("leases", "a")
        desk.refused(409, "Conflict", "PUT", desk.path("leases", "a"), old)
        del old["metadata"]["uid"]
        new = desk.put("leases", "a", old)
        assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])

    def test_an_update_of_another_object_of_that_name_conflicts(self, desk: Desk) -> None:
        old = desk.create("leases", "a")
        desk.delete("leases", "a")
        desk.create("leases", "a")
        desk.refused(409, "Conflict", "PUT", desk.path("leases", "a"), old)

    def test_the_name_of_an_update_is_the_one_in_its_path(self, desk: Desk) -> None:
        desk.create("leases", "a")
        desk.refused(400, "BadRequest", "PUT", desk.path("leases", "a"), {"metadata": {"name": "b"}})

    def test_what_is_not_there_is_not_found(self, desk: Desk) -> None:
        for method, body in (("GET", None), ("DELETE", None)):
            error = desk.refused(404, "NotFound", method, desk.path("leases", "a"), body)
            assert 'leases.coordination.k8s.io "a" not found' in str(error)
        desk.refused(404, "NotFound", "PATCH", desk.path("leases", "a"), {"spec": {}}, kind=MERGE)

    def test_a_merge_patch_adds_and_removes(self, desk: Desk) -> None:
        desk.create("leases", "a", spec={"holderIdentity": "x", "leaseDurationSeconds": 5})
        patched = desk.patch("leases", "a", {"spec": {"holderIdentity": None, "leaseTransitions": 1}})
        assert patched["spec"] == {"leaseDurationSeconds": 5, "leaseTransitions": 1}

    def test_a_merge_patch_with_a_version_is_conditional(self, desk: Desk) -> None:
        old = desk.create("leases", "a", spec={"holderIdentity": "x"})
        version = {"resourceVersion": old["metadata"]["resourceVersion"]}
        desk.patch("leases", "a", {"metadata": version, "spec": {"holderIdentity": "y"}})
        late = {"metadata": version, "spec": {"holderIdentity": "z"}}
        desk.refused(409, "Conflict", "PATCH", desk.path("leases", "a"), late, kind=MERGE)
        assert desk.get("leases", "a")["spec"] == {"holderIdentity": "y"}

    def test_a_patch_of_unknown_media_type_is_refused(self, desk: Desk) -> None:
        desk.create("leases", "a")
        desk.refused(415, "UnsupportedMediaType", "PATCH", desk.path("leases", "a"), {}, kind="text/plain")

    def test_status_is_written_by_its_subresource_alone(self, desk: Desk) -> None:
        service = desk.create("services", "a", spec=port(80))
        status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
        unchanged = desk.put("services", "a", {**service, "status": status})
        assert unchanged["status"] == {"loadBalancer": {}}
        other = {**unchanged["spec"], "externalIPs": ["192.0.2.9"]}
        changed = desk.put("services", "a/status", {**unchanged, "status": status, "spec": other})
        assert [each["ip"] for each in changed["status"]["loadBalancer"]["ingress"]] == ["192.0.2.1"]
        assert changed["spec"] == unchanged["spec"]
        desk.refused(409, "Conflict", "PUT", desk.path("services", "a/status"), unchanged)

    def test_status_is_patched_by_its_subresource_alone(self, desk: Desk) -> None:
        desk.create("services", "a", spec=port(80))
        both: Object = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
        both["spec"] = {"externalIPs": ["192.0.2.9"]}
        assert "ingress" in desk.patch("services", "a/status", both)["status"]["loadBalancer"]
        assert "externalIPs" not in desk.get("services", "a")["spec"]
        none = {"status": {"loadBalancer": {"ingress": None}}, "spec": both["spec"]}
        patched = desk.patch("services", "a", none)
        assert "ingress" in patched["status"]["loadBalancer"]
        assert patched["spec"]["externalIPs"] == ["192.0.2.9"]

    def test_a_lease_has_no_status(self, desk: Desk) -> None:
        old = desk.create("leases", "a")
        desk.refused(404, "NotFound", "PUT", desk.path("leases", "a/status"), old)

    def test_a_service_gets_an_address_and_ports(self, desk: Desk) -> None:
        spec = desk.create("services", "a", spec=port(80))["spec"]
        assert spec["clusterIP"].startswith("10.96.")
        assert [(each["protocol"], each["targetPort"]) for each in spec["ports"]] == [("TCP", 80)]
        assert 30000 <= spec["ports"][0]["nodePort"] <= 32767

    def test_a_deletion_is_answered_with_what_is_gone(self, desk: Desk) -> None:
        old = desk.create("leases", "a")
        answer = desk.delete("leases", "a")
        details = {
            "name": "a",
            "group": "coordination.k8s.io",
            "kind": "leases",
            "uid": old["metadata"]["uid"],
        }
        assert (answer["kind"], answer["status"], answer["details"]) == ("Status", "Success", details)
        assert desk.names("leases") == []

    @pytest.mark.parametrize("field", ["uid", "resourceVersion"])
    def test_a_deletion_under_a_condition_that_does_not_hold_conflicts(self, desk: Desk, field: str) -> None:
        old = desk.create("leases", "a")
        conditions = {"preconditions": {field: "1"}}
        desk.refused(409, "Conflict", "DELETE", desk.path("leases", "a"), conditions)
        desk.delete("leases", "a", preconditions={field: old["metadata"][field]})
        assert desk.names("leases") == []

    def test_a_finalizer_holds_an_object_until_it_is_taken_away(self, desk: Desk) -> None:
        desk.create("leases", "a", metadata={"finalizers": ["example.com/hold"]})
        assert desk.delete("leases", "a")["metadata"]["deletionTimestamp"]
        assert desk.names("leases") == ["a"]
        desk.patch("leases", "a", {"metadata": {"finalizers": None}})
        assert desk.names("leases") == []

    def test_a_pod_on_a_node_has_time_to_end(self, desk: Desk) -> None:
        spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
        desk.create("pods", "a", spec=spec)
        assert meta(desk.delete("pods", "a"), "deletionGracePeriodSeconds") == (30,)
        assert desk.names("pods") == ["a"]
        desk.delete("pods", "a", gracePeriodSeconds=0)
        assert desk.names("pods") == []

    def test_a_pod_without_a_node_is_gone_at_once(self, desk: Desk) -> None:
        desk.create("pods", "a", spec={"containers": [{"name": "c", "image": "i"}]})
        desk.delete("pods", "a")
        assert desk.names("pods") == []

    def test_the_status_of_a_new_pod_is_the_servers(self, desk: Desk) -> None:
        given = {"phase": "Running", "podIP": "10.1.0.1"}
        pod = desk.create("pods", "a", spec={"containers": [{"name": "c", "image": "i"}]}, status=given)
        assert (pod["status"]["phase"], pod["status"].get("podIP")) == ("Pending", None)
        pod["status"].update(given)
        assert desk.put("pods", "a/status", pod)["status"]["podIP"] == "10.1.0.1"

    def test_a_namespace_ends_when_it_is_finalized_and_takes_nothing_until_then(self, desk: Desk) -> None:
        path = f"/api/v1/namespaces/{desk.namespace}"
        ending = desk.client.call("DELETE", path)
        assert (ending["status"]["phase"], ending["spec"]["finalizers"]) == ("Terminating", ["kubernetes"])
        desk.refused(403, "Forbidden", "POST", desk.path("leases"), {"metadata": {"name": "a"}})
        desk.client.call("PUT", f"{path}/finalize", {**ending, "spec": {}})
        desk.refused(404, "NotFound", "GET", path)
