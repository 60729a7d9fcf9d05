"""A Kubernetes API server for a test: the stand-in, or a real kube-apiserver over an etcd of its own.

The real one is the program that SKYDNS_KUBE_APISERVER names; ``servers`` makes a test run against each.
"""

import atexit
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.ports import free_port
from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient
from tests.etcd_server import EtcdServer
from tests.kube_api import KubeApi

VARIABLE = "SKYDNS_KUBE_APISERVER"
START_SECONDS = 60.0
TOKEN = "a-token"
CONTROLLED = "ServiceAccount"
"""Admission plugins that wait for what a controller would make."""


@dataclass(frozen=True)
class KubeServer:
    """A running server. ``compact`` makes all earlier revisions gone, and may end every connection.

    ``api`` is the stand-in with its controls, None where the server is real.
    """

    access: Access
    compact: Callable[[], object]
    api: KubeApi | None = None


@contextmanager
def stand_in() -> Iterator[KubeServer]:
    """The stand-in, with a token."""
    with KubeApi(token=TOKEN) as api:
        yield KubeServer(api.access, api.compact, api)


@contextmanager
def real(binary: str) -> Iterator[KubeServer]:
    """A kube-apiserver that lets everybody who has the token do everything."""
    with tempfile.TemporaryDirectory() as name, EtcdServer(Path(name) / "etcd") as etcd:
        server = _RealServer(binary, Path(name), etcd)
        try:
            yield KubeServer(server.start(), server.compact)
        finally:
            server.kill()


def servers() -> list[object]:
    """The parameters of a fixture that gives each server in turn: functions that make a context."""
    binary = os.environ.get(VARIABLE, "")
    missing = f"no real API server: {VARIABLE} names no kube-apiserver"
    skip = pytest.mark.skipif(not binary, reason=missing)
    return [pytest.param(stand_in, id="stand-in"), pytest.param(lambda: real(binary), id="real", marks=skip)]


class _RealServer:
    def __init__(self, binary: str, folder: Path, etcd: EtcdServer) -> None:
        self._binary, self._folder, self._etcd = binary, folder, etcd
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
        self._key = folder / "sa.key"
        making = ["openssl", "genrsa", "-out", str(self._key), "2048"]
        subprocess.run(making, check=True, capture_output=True, timeout=30)

    def start(self) -> Access:
        """Start it, and wait until it has made the first namespace."""
        with (self._folder / "api.log").open("ab") as output:
            self._process = subprocess.Popen(self._command(), stdout=output, stderr=output)
        atexit.register(self.kill)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            log = (self._folder / "api.log").read_text()[-2000:]
            assert self._process.poll() is None, f"kube-apiserver ended: {log}"
            assert time.monotonic() < deadline, f"kube-apiserver does not answer: {log}"
            time.sleep(0.1)  # another process's port: there is no event to wait for
        return self._access()

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        atexit.unregister(self.kill)
        if process is not None:
            process.kill()
            process.wait(START_SECONDS)

    def compact(self) -> None:
        """Compact etcd, and start the server anew, whose cache of events would outlive that."""
        with self._etcd.client() as client:
            client.put("/test/compacted", str(time.monotonic()))
            self._etcd.compact(client)
        self.kill()
        self.start()

    def _access(self) -> Access:
        authority = (self._folder / "certificates" / "apiserver.crt").read_text()
        return Access(f"https://127.0.0.1:{self._port}", ca=authority, token=TOKEN)

    def _is_ready(self) -> bool:
        try:
            client = ApiClient(self._access(), 5)
            client.call("GET", "/api/v1/namespaces/default")
            client.call("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
            client.close()
        except (StoreError, OSError):
            return False
        return True

    def _command(self) -> list[str]:
        accounts = (
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
        )
        return [
            self._binary,
            f"--etcd-servers={self._etcd.url}",
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            f"--disable-admission-plugins={CONTROLLED}",
            "--service-account-issuer=https://kubernetes.default.svc",
            *accounts,
            "--service-cluster-ip-range=10.96.0.0/16",
        ]
