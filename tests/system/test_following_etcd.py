"""A real server on a real etcd that dies, comes back, is compacted and is cut off."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from tests.etcd_server import EtcdServer
from tests.proxy import Proxy
from tests.serving import Serving

SOON = 30.0
"""Seconds in which a server must have caught up; awaited by asking, not slept through."""


def service(name: str, address: str) -> tuple[str, bytes]:
    doc = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "my-ns"},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]},
    }
    return f"/registry/services/specs/my-ns/{name}", json.dumps(doc).encode()


def full(name: str) -> str:
    return f"{name}.my-ns.svc.cluster.local"


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON} s: {what}"


def answers(server: Serving, name: str, *addresses: str) -> Callable[[], bool]:
    return lambda: server.addresses(full(name)) == list(addresses)


def rcode(server: Serving, name: str) -> str:
    return dns.rcode.to_text(server.ask(name).rcode())


def source(url: str) -> dict[str, Any]:
    return {"etcd": {"endpoints": [url]}}


def test_until_etcd_is_there_names_are_servfail_then_they_are_answered(tmp_path: Path) -> None:
    etcd = EtcdServer(tmp_path / "etcd")
    with Serving(tmp_path, source=source(etcd.url)) as server:
        server.wait_for("not ready yet")
        assert rcode(server, full("web")) == "SERVFAIL"
        assert rcode(server, "web.my-ns") == "SERVFAIL"
        assert rcode(server, "www.example.com") == "REFUSED"
        with etcd:
            etcd.client().put(*service("web", "10.0.0.1"))
            server.wait_for("ready:")
            eventually(answers(server, "web", "10.0.0.1"), "the first answer")
            assert rcode(server, full("nobody")) == "NXDOMAIN"


def test_names_outlive_etcd_and_changes_made_after_its_restart_are_served(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd:
        etcd.client().put(*service("web", "10.0.0.1"))
        etcd.client().put(*service("gone", "10.0.0.2"))
        with Serving(tmp_path, source=source(etcd.url)) as server:
            server.wait_for("ready:")
            etcd.kill()
            server.wait_for("serving what is known")
            assert server.addresses(full("web")) == ["10.0.0.1"]
            etcd.restart()
            client = etcd.client()
            client.put(*service("web", "10.0.0.9"))
            client.delete(service("gone", "")[0])
            eventually(answers(server, "web", "10.0.0.9"), "the change after the restart")
            eventually(lambda: rcode(server, full("gone")) == "NXDOMAIN", "the deletion after the restart")


@pytest.mark.parametrize(
    "seconds", [3, pytest.param(60, marks=pytest.mark.nightly)], ids=["briefly", "for a minute"]
)
def test_what_was_compacted_while_cut_off_is_caught_up_with_exactly(tmp_path: Path, seconds: int) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd, Proxy(etcd.port) as proxy:
        client = etcd.client()
        for name, address in (("kept", "10.0.0.1"), ("changed", "10.0.0.2"), ("deleted", "10.0.0.3")):
            client.put(*service(name, address))
        with Serving(tmp_path, source=source(proxy.url)) as server:
            server.wait_for("ready:")
            proxy.cut()
            client.put(*service("changed", "10.0.0.22"))
            client.put(*service("created", "10.0.0.4"))
            client.delete(service("deleted", "")[0])
            etcd.compact(client)
            still = time.monotonic() + seconds
            while time.monotonic() < still:
                assert server.addresses(full("kept")) == ["10.0.0.1"]
                assert server.addresses(full("changed")) == ["10.0.0.2"]
            proxy.mend()
            eventually(answers(server, "created", "10.0.0.4"), "what was created meanwhile")
            eventually(answers(server, "changed", "10.0.0.22"), "what was changed meanwhile")
            eventually(lambda: rcode(server, full("deleted")) == "NXDOMAIN", "what was deleted meanwhile")
            assert server.addresses(full("kept")) == ["10.0.0.1"]


def test_two_thousand_changes_in_a_row_all_arrive_in_their_last_form(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd, Serving(tmp_path, source=source(etcd.url)) as server:
        server.wait_for("ready:")
        client = etcd.client()
        for round_number in range(20):
            for index in range(100):
                client.put(*service(f"svc-{index}", f"10.1.{round_number}.{index}"))
        eventually(answers(server, "svc-99", "10.1.19.99"), "the last change")
        for index in range(100):
            assert server.addresses(full(f"svc-{index}")) == [f"10.1.19.{index}"]


def test_an_object_that_does_not_decode_is_refused_alone_and_its_last_form_stays(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd") as etcd, Serving(tmp_path, source=source(etcd.url)) as server:
        server.wait_for("ready:")
        client = etcd.client()
        client.put(*service("web", "10.0.0.1"))
        eventually(answers(server, "web", "10.0.0.1"), "the first form")
        client.put(service("web", "")[0], service("web", "10.0.0.300")[1])
        line = server.wait_for("/registry/services/specs/my-ns/web")
        assert "spec.clusterIP" in line
        client.put(*service("next", "10.0.0.2"))
        eventually(answers(server, "next", "10.0.0.2"), "what came after it")
        assert server.addresses(full("web")) == ["10.0.0.1"]
