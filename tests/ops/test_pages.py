"""What an operator's probes and Prometheus see of a running server."""

import contextlib
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.etcd_server import EtcdServer
from tests.serving import Serving

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? -?[0-9.e+-]+')


def get(server: Serving, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(server: Serving) -> dict[str, float]:
    status, text = get(server, "metrics")
    assert status == 200
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in samples), text
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in samples}


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    return tmp_path


def test_ready_is_503_until_the_source_has_synced_and_health_is_200_all_along(tmp_path: Path) -> None:
    etcd = EtcdServer(tmp_path / "etcd")
    with Serving(tmp_path, source={"etcd": {"endpoints": [etcd.url]}}) as server:
        server.wait_for("not ready yet")
        assert get(server, "ready") == (503, "the source has not synced yet\n")
        assert get(server, "health") == (200, "OK\n")
        assert metrics(server)["skydns_source_stale"] == 1
        with etcd:
            server.wait_for("ready:")
            assert get(server, "ready") == (200, "OK\n")
            assert metrics(server)["skydns_source_synced"] == 1


def test_queries_and_replies_are_counted_under_the_names_dashboards_know(empty: Path) -> None:
    with Serving(empty, source={"manifests": {"path": str(empty / "manifests")}}) as server:
        server.wait_for("ready:")
        for name, times in (
            ("dns-version.cluster.local", 2),
            ("nobody.cluster.local", 3),
            ("www.example.com", 4),
        ):
            for _ in range(times):
                server.ask(name, "TXT")
        found = metrics(server)
    assert found['coredns_dns_requests_total{proto="udp"}'] == 9
    assert found['coredns_dns_responses_total{rcode="NOERROR"}'] == 2
    assert found['coredns_dns_responses_total{rcode="NXDOMAIN"}'] == 3
    assert found['coredns_dns_responses_total{rcode="REFUSED"}'] == 4


def test_an_unknown_page_is_404_and_the_root_too(empty: Path) -> None:
    with Serving(empty, source={"manifests": {"path": str(empty / "manifests")}}) as server:
        server.wait_for("ready:")
        assert get(server, "nothing")[0] == 404
        assert get(server, "")[0] == 404


def exchange(server: Serving, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.http_port), 5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_line", "status", "has_body"),
    [
        (b"GET /health HTTP/1.1", b"200 OK", True),
        (b"GET /health?x=1 HTTP/1.0", b"200 OK", True),
        (b"HEAD /health HTTP/1.1", b"200 OK", False),
        (b"POST /health HTTP/1.1", b"405 Method Not Allowed", True),
        (b"GET", b"404 Not Found", True),
        (b"\xff\x00 \xfe", b"405 Method Not Allowed", True),
    ],
)
def test_a_request_is_answered_once_and_the_connection_closed(
    empty: Path, request_line: bytes, status: bytes, has_body: bool
) -> None:
    with Serving(empty, source={"manifests": {"path": str(empty / "manifests")}}) as server:
        server.wait_for("ready:")
        head, _, body = exchange(server, request_line + b"\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert bool(body) is has_body


@pytest.mark.parametrize("request_octets", [b"x" * 20_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200])
def test_an_endless_request_is_cut_off(empty: Path, request_octets: bytes) -> None:
    with Serving(empty, source={"manifests": {"path": str(empty / "manifests")}}) as server:
        server.wait_for("ready:")
        with contextlib.suppress(ConnectionError):
            assert exchange(server, request_octets) == b""
