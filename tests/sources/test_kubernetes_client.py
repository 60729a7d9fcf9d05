"""The client of the Kubernetes API, against the stand-in server and against servers that misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests import needs
from tests.authority import Authority
from tests.kube_api import KubeApi
from tests.proxy import Proxy
from tests.sources.scripted_http import Script, ScriptedHttp, always, answer, client_of, one_line, said

WATCH = "/api/v1/services?watch=1&resourceVersion=0"
SERVICES = "/api/v1/services"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
SOON = 5.0
"""Seconds that something immediate may take on a busy machine."""


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        yield running


@pytest.fixture
def client(api: KubeApi) -> Iterator[ApiClient]:
    with client_of(api.access) as made:
        yield made


def service(name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}}


class TestConnection:
    def test_all_calls_go_over_one_connection(self, api: KubeApi, client: ApiClient) -> None:
        for _ in range(3):
            client.call("GET", SERVICES)
            client.call("POST", LEASES, {"metadata": {"name": f"a{len(api.requests)}"}})
        assert len(client.call("GET", LEASES)["items"]) == 3
        assert api.connections == 1

    def test_a_refused_call_keeps_the_connection(self, api: KubeApi, client: ApiClient) -> None:
        for _ in range(3):
            with pytest.raises(ApiError):
                client.call("GET", f"{LEASES}/none")
        assert api.connections == 1

    def test_a_watch_that_ended_leaves_its_connection_for_the_next(
        self, api: KubeApi, client: ApiClient
    ) -> None:
        api.apply(service("a"))
        events = client.stream(WATCH, 10)
        next(events)
        api.end_watches()
        assert list(events) == []
        client.call("GET", SERVICES)
        assert api.connections == 1

    def test_calls_during_a_watch_go_over_another_connection(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = client.stream(WATCH, 10)
        next(events)
        assert len(client.call("GET", SERVICES)["items"]) == 1
        api.apply(service("b"))
        assert next(events)["object"]["metadata"]["name"] == "b"
        assert api.connections == 2

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_connection_that_ended_while_idle_is_replaced(
        self, api: KubeApi, client: ApiClient, method: str
    ) -> None:
        client.call("GET", SERVICES)
        api.stop()
        api.start()
        client.call(method, LEASES, {"metadata": {"name": "a"}} if method == "POST" else None)

    def test_a_read_whose_connection_ends_under_it_is_asked_again(self) -> None:
        with ScriptedHttp(self.dying_once()) as server, client_of(server.access) as client:
            client.call("GET", "/first")
            assert client.call("GET", "/second") == {"n": 1}
            assert server.requests == ["GET /first", "GET /second", "GET /second"]

    @pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
    def test_a_write_whose_connection_ends_under_it_is_not_sent_twice(self, method: str) -> None:
        with ScriptedHttp(self.dying_once()) as server, client_of(server.access) as client:
            client.call("GET", "/first")
            with pytest.raises(StoreError, match="closed the connection without an answer"):
                client.call(method, "/second", {})
            assert server.requests == ["GET /first", f"{method} /second"]

    def test_a_read_is_not_asked_again_on_a_new_connection(self) -> None:
        with ScriptedHttp(always(b"")) as server, client_of(server.access) as client:
            with pytest.raises(StoreError, match="closed the connection without an answer"):
                client.call("GET", SERVICES)
            assert len(server.requests) == 1

    def test_an_answer_that_says_close_is_the_last_of_its_connection(self) -> None:
        script = always(answer(b"{}", "200 OK", "Connection: close"), b"")
        with ScriptedHttp(script) as server, client_of(server.access) as client:
            assert [client.call("GET", SERVICES) for _ in range(2)] == [{}, {}]

    def dying_once(self) -> Script:
        """Answers the first request, ends the connection at the second, then answers."""
        counts = iter((b"first", b"", b"third"))

        def script(request: str) -> Iterator[bytes]:
            yield answer(b'{"n": 1}') if next(counts, b"") else b""

        return script

    def test_the_path_of_the_server_comes_first_and_the_body_has_its_kind(self) -> None:
        with ScriptedHttp(always(answer(b"{}"))) as server:
            access = replace(server.access, server=f"{server.access.server}/k8s/c-1")
            with client_of(access) as client:
                client.call("PATCH", "/api/v1/nodes/a?x=1", {"a": [1]}, kind="application/merge-patch+json")
            assert server.requests == ["PATCH /k8s/c-1/api/v1/nodes/a?x=1"]
            assert server.bodies == [b'{"a": [1]}']
            assert "Content-Type: application/merge-patch+json" in server.heads[0]
            assert "Authorization" not in server.heads[0]

    def test_the_api_is_reached_over_ipv6(self) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("no IPv6 on the loopback interface")
        with KubeApi(host="::1") as api, client_of(api.access) as client:
            assert client.call("GET", SERVICES)["items"] == []


class TestTime:
    def test_the_whole_answer_has_one_deadline(self) -> None:
        def drip(request: str) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
            for _ in range(1000):
                time.sleep(0.02)  # the server's slowness, not a wait for anything
                yield b" "

        began = time.monotonic()
        assert "timed out after 0.3 s" in said(drip, seconds=0.3)
        assert time.monotonic() - began < SOON

    def test_a_server_that_says_nothing_is_given_up(self) -> None:
        silence = threading.Event()

        def script(request: str) -> Iterator[bytes]:
            silence.wait(SOON)
            yield b""

        assert "GET /api/v1/services at http://127.0.0.1:" in said(script, seconds=0.2)
        silence.set()

    def test_a_watch_that_falls_silent_is_given_up(self, api: KubeApi, client: ApiClient) -> None:
        api.apply(service("a"))
        events = client.stream(WATCH, 0.3)
        next(events)
        with pytest.raises(StoreError, match=r"timed out after 0\.3 s"):
            next(events)

    def test_a_watch_may_be_silent_for_longer_than_a_call(self, api: KubeApi) -> None:
        with client_of(api.access, seconds=0.2) as client:
            assert list(client.stream(f"{WATCH}&timeoutSeconds=1", 10)) == []

    def test_a_network_that_swallows_everything_is_given_up(self, api: KubeApi) -> None:
        with Proxy(api.port) as proxy, client_of(Access(proxy.url), 0.5) as client:
            client.call("GET", SERVICES)
            proxy.cut()
            with pytest.raises(StoreError, match="timed out"):
                client.call("GET", SERVICES)
            proxy.mend()
            client.call("GET", SERVICES)


class TestClose:
    """From another thread, whatever is under way."""

    def broken_off(self, client: ApiClient, action: Callable[[], object], begun: Callable[[], object]) -> str:
        errors: list[Exception] = []

        def work() -> None:
            try:
                action()
            except StoreError as error:
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        begun()
        client.close()
        thread.join(SOON)
        assert not thread.is_alive()
        assert len(errors) == 1
        return one_line(errors[0])

    def test_a_watch_is_broken_off(self, api: KubeApi, client: ApiClient) -> None:
        text = self.broken_off(client, lambda: list(client.stream(WATCH, 60)), lambda: api.wait_watches(1))
        assert "the client was closed" in text

    @needs.program("openssl")
    def test_a_watch_over_tls_is_broken_off(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path / "own").create()
        with KubeApi(tls=(authority.ca, *authority.issue("server"))) as api:
            client = ApiClient(api.access, 10)
            text = self.broken_off(
                client, lambda: list(client.stream(WATCH, 60)), lambda: api.wait_watches(1)
            )
            assert "the client was closed" in text

    def test_a_watch_without_a_length_does_not_end_as_if_the_server_had_ended_it(self) -> None:
        release = threading.Event()

        def script(request: str) -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\n\r\n{}\n"
            release.wait(SOON)

        with ScriptedHttp(script) as server:
            client = ApiClient(server.access, 10)
            text = self.broken_off(client, lambda: list(client.stream(WATCH, 60)), server.came.acquire)
            release.set()
            assert "the client was closed" in text

    def test_a_call_is_broken_off(self) -> None:
        release = threading.Event()

        def script(request: str) -> Iterator[bytes]:
            release.wait(SOON)
            yield b""

        with ScriptedHttp(script) as server:
            client = ApiClient(server.access, 60)
            text = self.broken_off(client, lambda: client.call("PUT", SERVICES, {}), server.came.acquire)
            release.set()
            assert "the client was closed" in text

    def test_a_connection_that_is_not_yet_made_is_broken_off(self) -> None:
        with full_listener() as port:
            client = ApiClient(Access(f"http://127.0.0.1:{port}"), 60)
            connecting = threading.Event()

            def work() -> None:
                connecting.set()
                client.call("GET", SERVICES)

            assert "the client was closed" in self.broken_off(client, work, connecting.wait)

    def test_a_closed_client_asks_nothing_any_more(self, api: KubeApi, client: ApiClient) -> None:
        client.call("GET", SERVICES)
        client.close()
        client.close()
        for ask in (lambda: client.call("GET", SERVICES), lambda: list(client.stream(WATCH, 10))):
            with pytest.raises(StoreError, match="the client was closed"):
                ask()
        assert len(api.requests) == 1


@contextmanager
def full_listener() -> Iterator[int]:
    """The port of a listener that takes no further connection: the next one hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            with suppress(BlockingIOError):
                waiting[-1].connect(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for each in waiting:
                each.close()


def test_a_refused_connection_and_an_unknown_name_are_told(api: KubeApi, client: ApiClient) -> None:
    api.stop()
    with pytest.raises(StoreError, match=rf"^GET {SERVICES} at {api.url}: connection refused$"):
        client.call("GET", SERVICES)
    with client_of(Access("https://name.invalid:6443")) as other, pytest.raises(StoreError) as caught:
        other.call("GET", SERVICES)
    assert "is the server's name right?" in one_line(caught.value)
