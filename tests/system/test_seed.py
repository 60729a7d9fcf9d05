"""The seed of it all: a pod looks up a Service's name, connects to its portal IP, and reaches a backend.

Everything is the real thing: ``skydns serve`` answers behind a portal IP of its own, ``skydns portal``
programs the node, glibc resolves in the pod with what ``skydns resolv-conf`` printed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests import needs
from tests.portal.lab import BACKENDS, NODE_NAME, POD, Net, network
from tests.portal.programming import ROOT, START_SECONDS, Programmer, eventually

pytestmark = [needs.netns(), needs.program("nft", "getent")]

DNS_PORTAL, DNS_BACKEND = "10.96.0.10", "b3"
FAR_AWAY = "173.194.112.206"
FOLLOWED_SECONDS = 10.0
"""A folder of manifests is looked at every second, by either program."""

INSIDE = f"""
apiVersion: v1
kind: Service
metadata: {{namespace: kube-system, name: kube-dns}}
spec:
  clusterIP: {DNS_PORTAL}
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
---
apiVersion: v1
kind: Endpoints
metadata: {{namespace: kube-system, name: kube-dns}}
subsets:
- addresses: [{{ip: {BACKENDS[DNS_BACKEND]}}}]
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
---
apiVersion: v1
kind: Service
metadata: {{namespace: my-ns, name: my-service}}
spec: {{clusterIP: 10.96.0.20, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
POD_OF_IT = """
---
apiVersion: v1
kind: Pod
metadata: {{namespace: my-ns, name: {name}, labels: {{app: web}}}}
status: {{phase: Running, podIP: {address}, conditions: [{{type: Ready, status: "True"}}]}}
"""
OUTSIDE = f"""
apiVersion: v1beta1
kind: Service
id: far-away
namespace: my-ns
port: 80
portalIP: 10.96.0.30
---
apiVersion: v1beta1
kind: Endpoints
id: far-away
namespace: my-ns
endpoints: ["{FAR_AWAY}:80"]
"""


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A folder with DNS and my-service, which two pods are behind."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    pods = (POD_OF_IT.format(name=name, address=BACKENDS[name]) for name in ("b1", "b2"))
    (folder / "inside.yaml").write_text(INSIDE + "".join(pods))
    return folder


@pytest.fixture
def net(tmp_path: Path, manifests: Path) -> Iterator[Net]:
    """The lab with both programs; the client, outside the cluster, has the far-away address too."""
    with network("seed", [8080, 80]) as net:
        net.client.namespace.configure("address", "add", f"{FAR_AWAY}/32", "dev", "eth0")
        net.node.namespace.configure("route", "add", f"{FAR_AWAY}/32", "dev", "to-client")
        net.pod.namespace.write("resolv.conf", resolv_conf())
        source = {"manifests": {"path": str(manifests)}}
        programmer = Programmer(net.node.namespace, tmp_path, source)
        with serving(net, tmp_path, source):
            programmer.start({"node_name": NODE_NAME})
            assert programmer.said("programming with nftables")  # which this kernel has
            try:
                yield net
            finally:
                programmer.end()


def resolv_conf() -> str:
    command = [sys.executable, "-m", "skydns_py", "resolv-conf", "-n", "my-ns", "--nameserver", DNS_PORTAL]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=True
    )
    return done.stdout


@contextmanager
def serving(net: Net, folder: Path, source: object) -> Iterator[None]:
    """``skydns serve`` in a backend's namespace; by the time of the first answer it has synced."""
    off = {"health": "", "ready": "", "metrics": ""}
    settings = {"source": source, "listen": [f"{BACKENDS[DNS_BACKEND]}:53"], "http": off}
    (folder / "serve.yaml").write_text(yaml.safe_dump(settings))
    words = (sys.executable, "-m", "skydns_py", "serve", "-c", str(folder / "serve.yaml"))
    with (folder / "serve.log").open("wb") as log:
        command = net.backends[DNS_BACKEND].namespace.command(*words)
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def looked_up(net: Net, name: str) -> str:
    """The address that the pod's resolver finds; "" where it finds none."""
    found = net.pod.namespace.run("getent", "ahostsv4", name).stdout.split()
    return found[0] if found else ""


def test_a_pod_reaches_my_service_by_name_and_a_service_that_leads_out_of_the_cluster(
    net: Net, manifests: Path
) -> None:
    eventually(lambda: looked_up(net, "my-service") == "10.96.0.20", START_SECONDS, "my-service's portal IP")
    result = net.pod.connect(looked_up(net, "my-service"), 80, 40)
    assert result.errors == {}
    assert set(result.names) == {"b1", "b2"}
    assert set(result.seen) == {POD}

    (manifests / "outside.yaml").write_text(OUTSIDE)
    eventually(lambda: looked_up(net, "far-away") == "10.96.0.30", FOLLOWED_SECONDS, "far-away's portal IP")
    eventually(lambda: net.pod.connect("10.96.0.30", timeout=0.2).good == 1, FOLLOWED_SECONDS, "its portal")
    assert net.pod.connect(looked_up(net, "far-away"), 80, 5).names == {"client": 5}
