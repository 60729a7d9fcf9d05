"""A real server on the Kubernetes API: the recorded cluster over UDP, changes, outages, permissions."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from tests.conformance import recording
from tests.conformance.differences import DIFFERENCES
from tests.conformance.test_recorded_cluster import ROWS, _same_answer
from tests.kube_api import KubeApi
from tests.serving import Serving
from tests.sources.kubernetes_following import kubeconfig

SOON = 30.0
"""Seconds in which a server must have caught up; awaited by asking, not slept through."""
MISSING = "objects missing from the recording"
HELD = "held-alpha"
"""A namespace that is in neither recording."""


def is_compared(row: dict[str, Any]) -> bool:
    """Not where a difference is listed; but namespaces that only the API's recording has are there."""
    if f".{HELD}." in f".{row['name'].lower()}" or row["type"] == "TXT":
        return False
    return all(each.title == MISSING for each in DIFFERENCES if each.concerns(row))


def load(api: KubeApi) -> None:
    for listed in json.loads((recording.DATA / "api-lists.json").read_text()).values():
        head = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        for item in listed["items"]:
            api.apply({**head, **item})


def put(api: KubeApi, name: str, address: str) -> None:
    meta = {"name": name, "namespace": "my-ns"}
    spec = {"clusterIP": address, "ports": [{"port": 80}]}
    api.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})


def full(name: str) -> str:
    return f"{name}.my-ns.svc.cluster.local"


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON} s: {what}"


def rcode(server: Serving, name: str) -> str:
    return dns.rcode.to_text(server.ask(name).rcode())


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as made:
        yield made


def test_every_recorded_answer_comes_from_the_recorded_api(api: KubeApi, tmp_path: Path) -> None:
    """But for the differences that are listed and tested elsewhere."""
    load(api)
    with Serving(tmp_path, "--kubeconfig", kubeconfig(tmp_path, api.access)) as server:
        server.wait_for("ready:")
        wrong, compared = [], 0
        for row in ROWS:
            if is_compared(row):
                compared += 1
                wrong += [] if _same_answer(server.ask(row["name"], row["type"]), row) else [row]
    assert [(row["name"], row["type"]) for row in wrong] == []
    assert compared > len(ROWS) / 2


def test_changes_are_followed(api: KubeApi, tmp_path: Path) -> None:
    put(api, "web", "10.0.0.1")
    put(api, "gone", "10.0.0.2")
    with Serving(tmp_path, "--kubeconfig", kubeconfig(tmp_path, api.access)) as server:
        server.wait_for("ready:")
        assert server.addresses(full("web")) == ["10.0.0.1"]
        put(api, "web", "10.0.0.9")
        api.remove("v1", "Service", "my-ns", "gone")
        put(api, "new", "10.0.0.3")
        eventually(lambda: server.addresses(full("web")) == ["10.0.0.9"], "the change")
        eventually(lambda: rcode(server, full("gone")) == "NXDOMAIN", "the deletion")
        eventually(lambda: server.addresses(full("new")) == ["10.0.0.3"], "the new Service")


def test_names_outlive_the_api_server_and_what_it_forgot_is_caught_up_with(
    api: KubeApi, tmp_path: Path
) -> None:
    put(api, "web", "10.0.0.1")
    put(api, "gone", "10.0.0.2")
    with Serving(tmp_path, "--kubeconfig", kubeconfig(tmp_path, api.access)) as server:
        server.wait_for("ready:")
        api.stop()
        server.wait_for("serving what is known")
        assert server.addresses(full("web")) == ["10.0.0.1"]
        put(api, "web", "10.0.0.9")
        api.remove("v1", "Service", "my-ns", "gone")
        api.compact()
        api.start()
        eventually(lambda: server.addresses(full("web")) == ["10.0.0.9"], "the change meanwhile")
        eventually(lambda: rcode(server, full("gone")) == "NXDOMAIN", "the deletion meanwhile")
        server.wait_for("the source is followed again")


def test_until_it_may_read_everything_names_are_servfail_and_the_log_says_what_is_missing(
    api: KubeApi, tmp_path: Path
) -> None:
    put(api, "web", "10.0.0.1")
    api.refuse(403, only="/pods")
    source = {"kubernetes": {"kubeconfig": kubeconfig(tmp_path, api.access)}}
    with Serving(tmp_path, source=source) as server:
        line = server.wait_for("not ready yet")
        assert 'cannot list resource "pods" in API group ""' in line
        assert rcode(server, full("web")) == "SERVFAIL"
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/ready", timeout=10)
        api.accept()
        server.wait_for("ready:")
        assert server.addresses(full("web")) == ["10.0.0.1"]


def test_it_ends_soon_while_it_waits_for_an_api_that_says_nothing(api: KubeApi, tmp_path: Path) -> None:
    with Serving(tmp_path, "--kubeconfig", kubeconfig(tmp_path, api.access)) as server:
        server.wait_for("ready:")
        begun = time.monotonic()
        server.terminate()
        assert server.exit_code == 0
        assert time.monotonic() - begun < 5
