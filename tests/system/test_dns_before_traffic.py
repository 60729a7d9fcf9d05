"""``skydns serve`` beside ``skydns portal``: a name appears once its portal is in the kernel."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import dns.rcode
import pytest
import yaml

from tests import needs
from tests.portal import spaces
from tests.serving import Serving

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
NAME = "web.shop.svc.cluster.local."
WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.2, ports: [{port: 80}]}
"""

pytestmark = [needs.root(), needs.program("ip", "nft")]


@pytest.fixture
def space() -> Iterator[str]:
    name = spaces.make("gate")
    yield name
    spaces.drop(name)


class Portal:
    """``skydns portal`` in a namespace, with a folder of manifests of its own."""

    def __init__(self, space: str, folder: Path) -> None:
        self.manifests, self.socket = folder / "portal", folder / "portal.sock"
        self.manifests.mkdir()
        config = folder / "portal.yaml"
        portal = {"backend": "nftables", "announce": str(self.socket)}
        config.write_text(
            yaml.safe_dump({"source": {"manifests": {"path": str(self.manifests)}}, "portal": portal})
        )
        words = [sys.executable, "-m", "skydns_py", "portal", "-c", str(config)]
        self._command = [str(needs.which("ip")), "netns", "exec", space, *words]
        self._lines: Queue[str] = Queue()

    def __enter__(self) -> "Portal":
        self._process = subprocess.Popen(self._command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("ready:")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)

    def wait_for(self, text: str) -> None:
        while text not in self._lines.get(timeout=SECONDS):
            pass

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line)


def test_a_name_waits_for_the_kernel_and_for_nothing_else(space: str, tmp_path: Path) -> None:
    folder = tmp_path / "serve"
    folder.mkdir()
    with Portal(space, tmp_path) as portal:
        wait = {"socket": str(portal.socket), "seconds": 60}
        source = {"manifests": {"path": str(folder)}}
        with Serving(tmp_path, source=source, wait_for_portal=wait, logging={"level": "debug"}) as server:
            server.wait_for("ready:")
            (folder / "web.yaml").write_text(WEB)
            server.wait_for("a name waits for its portal")
            assert server.ask(NAME).rcode() == dns.rcode.NXDOMAIN
            (portal.manifests / "web.yaml").write_text(WEB)
            server.wait_for("a name need not wait any longer")
            assert server.addresses(NAME) == ["10.0.0.2"]
            assert "10.0.0.2" in spaces.run("nft", "list", "set", "ip", "skydns", "portals", space=space)
