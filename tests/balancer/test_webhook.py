"""A webhook makes the balancers: what it is asked and when, and what becomes of its answers."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.segment import wait_for
from skydns_py.balancer.webhook import Hook as Asker
from skydns_py.balancer.webhook import HookFailed, parse_answer
from skydns_py.settings import WebhookSettings
from tests import needs
from tests.balancer.hook import Hook
from tests.etcd_server import EtcdServer

OURS = [{"ip": "203.0.113.5"}]
SERVICE = "/registry/services/specs/my-ns/web"


@dataclass
class Cloud:
    """An etcd, a webhook, and a balancer between them."""

    client: Any
    hook: Hook
    config: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        words = (sys.executable, "-m", "skydns_py", "balancer", "-c", str(self.config), "--node-name", "n1")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(words, stdout=output, stderr=output)

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0

    def put(self, key: str, document: Any) -> None:
        self.client.put(key, json.dumps(document))

    def document(self) -> Any:
        return json.loads(self.client.get(SERVICE)[0] or b"{}")

    def ingress(self) -> Any:
        return self.document().get("status", {}).get("loadBalancer", {}).get("ingress")

    def service(self, port: int = 80, **more: Any) -> None:
        spec = {"type": "LoadBalancer", "ports": [{"port": port, "nodePort": 30080}], **more}
        meta = {"name": "web", "namespace": "my-ns"}
        self.put(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})

    def node(self, name: str, address: str) -> None:
        status = {"addresses": [{"type": "InternalIP", "address": address}]}
        self.put(
            f"/registry/minions/{name}",
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status},
        )


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def cloud(etcd: EtcdServer, tmp_path: Path) -> Iterator[Cloud]:
    token = tmp_path / "token"
    token.write_text("secret\n")
    with Hook() as hook, etcd.client() as client:
        for prefix in ("/registry/", "/skydns.balancer/"):
            client.delete_prefix(prefix)
        webhook = {"url": hook.url, "token_file": str(token)}
        pages = dict.fromkeys(("health", "ready", "metrics"), "")
        balancer = {"provider": "webhook", "webhook": webhook, "http": pages}
        config = tmp_path / "skydns.yaml"
        config.write_text(
            yaml.safe_dump({"source": {"etcd": {"endpoints": [etcd.url]}}, "balancer": balancer})
        )
        made = Cloud(client, hook, config, tmp_path / "log")
        made.start()
        try:
            yield made
        finally:
            if made.process is not None:
                made.process.kill()
                made.process.wait()


@pytest.mark.parametrize("_", [pytest.param(None, marks=needs.program("etcd"), id="etcd")])
def test_it_is_asked_written_down_asked_again_on_a_change_and_released(cloud: Cloud, _: None) -> None:
    cloud.node("n1", "192.0.2.1")
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    first = cloud.hook.asked[-1]
    assert first["action"] == "ensure"
    assert first["service"]["name"] == "web"
    assert first["ports"] == [{"name": "", "protocol": "TCP", "port": 80, "nodePort": 30080}]
    assert first["nodes"] == [{"name": "n1", "addresses": ["192.0.2.1"]}]
    assert cloud.hook.tokens[-1] == "Bearer secret"
    cloud.node("n2", "192.0.2.2")
    wait_for("the node is not passed on", lambda: len(cloud.hook.asked[-1]["nodes"]) == 2)
    cloud.service(81)
    wait_for("the port is not passed on", lambda: cloud.hook.asked[-1].get("ports", [{}])[0]["port"] == 81)
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    cloud.client.delete(SERVICE)
    released = {"action": "release", "service": {"namespace": "my-ns", "name": "web"}}
    wait_for("nothing is released", lambda: cloud.hook.asked[-1] == released)
    wait_for("it is not forgotten", lambda: not list(cloud.client.get_prefix("/skydns.balancer/service/")))


def test_what_is_not_ready_is_asked_for_again_and_a_failure_is_one_line(cloud: Cloud) -> None:
    cloud.hook.answers += [
        (202, b"", {"Retry-After": "1"}),
        (500, b"out\nof order", {}),
        (200, b"nonsense", {}),
    ]
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    assert [each["action"] for each in cloud.hook.asked] == ["ensure"] * 4
    said = cloud.log.read_text()
    assert f"service/my-ns/web: {cloud.hook.url} answers 500: out of order" in said
    assert "service/my-ns/web: the webhook's answer is not as" in said


def test_what_went_while_no_controller_ran_is_released_by_the_next(cloud: Cloud) -> None:
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == OURS)
    cloud.stop()
    cloud.client.delete(SERVICE)
    cloud.start()
    wait_for("nothing is released", lambda: cloud.hook.asked[-1]["action"] == "release")


def test_a_name_is_written_as_one(cloud: Cloud) -> None:
    cloud.hook.usual = lambda _: (200, b'{"ingress": [{"hostname": "lb.example"}]}', {})
    cloud.service()
    wait_for("nothing is written", lambda: cloud.ingress() == [{"hostname": "lb.example"}])


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with Hook() as hook, Hook() as other:
        hook.answers.append((302, b"", {"Location": other.url}))
        with pytest.raises(HookFailed, match="answers 302"):
            Asker(WebhookSettings(hook.url, timeout_seconds=5)).ask(b"{}")
        assert other.asked == []


def test_one_that_is_not_there_is_one_line() -> None:
    with pytest.raises(HookFailed, match=r"http://127\.0\.0\.1:9/ cannot be asked: "):
        Asker(WebhookSettings("http://127.0.0.1:9/", timeout_seconds=5)).ask(b"{}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["ingress", "ip", "hostname", "x"]), inner)
    ),
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_answer_is_entries_or_one_line(text: bytes) -> None:
    try:
        found = parse_answer(text)
    except HookFailed as error:
        found, lines = (), str(error).splitlines()
        assert len(lines) == 1
    assert all(len(each) == 1 and (each.get("ip") or each.get("hostname")) for each in found)
