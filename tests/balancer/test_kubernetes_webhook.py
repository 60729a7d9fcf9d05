"""``skydns balancer --kubeconfig`` with a webhook: what it writes through the API, and may do there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.segment import wait_for
from tests.balancer.hook import Hook
from tests.kube.call import Call
from tests.kube.resources import Refused
from tests.kube_api import KubeApi

ROOT = Path(__file__).parents[2]
OURS = [{"ip": "203.0.113.5"}]
BY_HAND = {"ip": "198.51.100.7"}


@dataclass
class Cloud:
    """A balancer between the stand-in API server and a webhook."""

    api: KubeApi
    hook: Hook
    log: Path
    process: "subprocess.Popen[bytes]"

    def service(self, kind: str = "LoadBalancer", **more: Any) -> None:
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "namespace": "my-ns"},
                "spec": {"type": kind, "clusterIP": "10.96.0.9", "ports": [{"port": 80}]},
                **more,
            }
        )

    def get(self) -> Any:
        return Call.of(self.api.store, (), "GET", "/api/v1/namespaces/my-ns/services/web")._read()

    def ingress(self) -> Any:
        return self.get()["status"]["loadBalancer"].get("ingress", [])

    def leases(self) -> list[str]:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
        found = Call.of(self.api.store, (), "GET", path)._list()["items"]
        return [each["metadata"]["name"] for each in found]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with KubeApi() as api, Hook() as hook:
        kubeconfig = tmp_path / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": api.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": ""}}
        kubeconfig.write_text(
            yaml.safe_dump({"current-context": "c", "contexts": [context], "clusters": [cluster]})
        )
        pages = dict.fromkeys(("health", "ready", "metrics"), "")
        balancer = {"provider": "webhook", "webhook": {"url": hook.url}, "http": pages}
        config = tmp_path / "skydns.yaml"
        config.write_text(yaml.safe_dump({"balancer": balancer}))
        words = ("balancer", "--kubeconfig", str(kubeconfig), "-c", str(config), "--node-name", "n1")
        log = tmp_path / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                (sys.executable, "-m", "skydns_py", *words), stdout=output, stderr=output, cwd=ROOT
            )
        try:
            yield Cloud(api, hook, log, process)
        finally:
            process.kill()
            process.wait(20)


def test_it_is_asked_written_to_the_status_and_released(cloud: Cloud) -> None:
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    assert [each["action"] for each in cloud.hook.asked] == ["ensure"]
    assert "skydns-service.my-ns.web" in cloud.leases()
    cloud.api.remove("v1", "Service", "my-ns", "web")
    released = {"action": "release", "service": {"namespace": "my-ns", "name": "web"}}
    wait_for("nothing is released", lambda: cloud.hook.asked[-1] == released)
    wait_for("it is not forgotten", lambda: "skydns-service.my-ns.web" not in cloud.leases())
    cloud.stop()
    assert [name for name in cloud.leases() if "." not in name] == [], "its session has ended with it"


def test_what_somebody_else_wrote_stays_when_it_is_withdrawn(cloud: Cloud) -> None:
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    cloud.service("ClusterIP", status={"loadBalancer": {"ingress": [*OURS, BY_HAND]}})
    wait_for("it stays", lambda: cloud.ingress() == [BY_HAND])


def test_it_asks_for_exactly_what_its_manifest_allows(cloud: Cloud) -> None:
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    cloud.service("ClusterIP")
    wait_for("it is not forgotten", lambda: "skydns-service.my-ns.web" not in cloud.leases())
    wait_for(
        "no session is renewed",
        lambda: any(each.startswith("PUT") and "leases/" in each for each in cloud.api.requests),
    )
    asked = set(filter(None, map(_permission, cloud.api.requests)))
    assert asked <= allowed()
    assert allowed() - asked == {("", "endpoints", "list"), ("", "endpoints", "watch")}


def _permission(request: str) -> tuple[str, str, str] | None:
    method, _, target = request.partition(" ")
    try:
        call = Call.of(KubeApi().store, (), method, target)
    except Refused:
        return None
    part = f"/{call.part}" if call.part else ""
    return call.resource.group, f"{call.resource.plural}{part}", call.verb(method)


def allowed() -> set[tuple[str, str, str]]:
    """(group, resource, verb) of all rules."""
    text = (ROOT / "manifests" / "kubernetes" / "balancer.yaml").read_text()
    rules = [rule for each in yaml.safe_load_all(text) for rule in each.get("rules", ())]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_a_permission_that_is_missing_is_one_line_in_the_log(cloud: Cloud) -> None:
    cloud.api.refuse(403, only="PUT /api/v1/namespaces/my-ns/services/web/status")
    cloud.api.refuse(403, only="watch=true&allowWatchBookmarks")
    cloud.service()
    line = "does not let skydns balancer update services/status in namespace my-ns; allow it, as"
    wait_for("it says nothing", lambda: line in cloud.log.read_text())
    line = "does not let skydns balancer watch leases in namespace kube-system; allow it, as"
    wait_for("it says nothing", lambda: line in cloud.log.read_text())
    cloud.api.accept()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    assert cloud.log.read_text().count("watch leases") == 1
