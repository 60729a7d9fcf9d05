"""Pods as network namespaces: glibc and dig resolve a cluster's names through ``skydns serve``.

Each pod has the ``resolv.conf`` that ``skydns resolv-conf`` prints for its namespace; the server listens
on port 53 of a namespace of its own and knows the pods by the Pod objects in its manifests.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import needs
from tests.system import netns

pytestmark = [needs.netns(), needs.program("dig", "getent")]

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
SERVER = "10.53.0.1"
MINE, OTHER, STRANGER = "mine", "other", "stranger"
PODS = {MINE: ("my-ns", "10.53.1.2"), OTHER: ("other-ns", "10.53.2.2"), STRANGER: ("other-ns", "10.53.3.2")}
"""Namespace and address; the stranger's address belongs to no Pod object."""

SERVICES = [
    ("my-ns", "my-service", "10.96.0.11"),
    ("my-ns", "both", "10.96.0.12"),
    ("other-ns", "both", "10.96.0.13"),
]


@dataclass
class Cluster:
    """A running server and its pods."""

    pods: dict[str, netns.Namespace]

    def getent(self, pod: str, name: str) -> tuple[str, str] | None:
        """Address and canonical name that ``getent hosts`` finds; None where it finds nothing."""
        done = self.pods[pod].run("getent", "hosts", name)
        if done.returncode == 2:  # getent(1): a key was not found
            return None
        assert done.returncode == 0, done.stderr
        address, canonical = done.stdout.split()[:2]
        return address, canonical

    def dig(self, pod: str, *words: str) -> list[str]:
        """The lines of ``dig +short``."""
        done = self.pods[pod].run("dig", "+short", "+time=2", "+tries=2", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()


def manifests() -> str:
    """The cluster as a user writes it."""
    documents = [
        f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}" for name in ("my-ns", "other-ns")
    ]
    for namespace, name, address in SERVICES:
        documents.append(
            f"apiVersion: v1\nkind: Service\nmetadata: {{namespace: {namespace}, name: {name}}}\n"
            f"spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}"
        )
    for pod, (namespace, address) in PODS.items():
        if pod != STRANGER:
            documents.append(
                f"apiVersion: v1\nkind: Pod\nmetadata: {{namespace: {namespace}, name: {pod}}}\n"
                f"status: {{phase: Running, podIP: {address}}}"
            )
    return "\n---\n".join(documents) + "\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        hub = netns.Namespace("dns", SERVER)
        stack.callback(hub.close)
        hub.configure("address", "add", f"{SERVER}/32", "dev", "lo")
        pods = {label: _pod(label, hub, stack) for label in PODS}
        server = stack.enter_context(serving(folder, hub))
        cluster = Cluster(pods)
        wait_for_answers(cluster, server, folder / "log")
        yield cluster


def _pod(label: str, hub: netns.Namespace, stack: ExitStack) -> netns.Namespace:
    namespace, address = PODS[label]
    pod = netns.Namespace(label, address)
    stack.callback(pod.close)
    netns.connect(hub, pod, label)
    pod.write("resolv.conf", resolv_conf(namespace))
    return pod


def resolv_conf(namespace: str) -> str:
    """What the product gives a pod of ``namespace``."""
    command = [sys.executable, "-m", "skydns_py", "resolv-conf", "-n", namespace, "--nameserver", SERVER]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=netns.COMMAND_SECONDS, check=True
    )
    return done.stdout


@contextmanager
def serving(folder: Path, hub: netns.Namespace) -> Iterator[subprocess.Popen[bytes]]:
    """``skydns serve`` on port 53 in the namespace ``hub``."""
    (folder / "manifests").mkdir()
    (folder / "manifests" / "cluster.yaml").write_text(manifests())
    arguments = ["serve", "--manifests", str(folder / "manifests"), "--listen", f"{SERVER}:53"]
    command = hub.command(sys.executable, "-m", "skydns_py", *arguments)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_answers(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the server has synced; it answers SERVFAIL, or not at all, before that."""
    end = time.monotonic() + START_SECONDS
    question = ("dig", "+short", "+time=1", "+tries=1", "my-service.my-ns.svc.cluster.local")
    while cluster.pods[MINE].run(*question).stdout.strip() != "10.96.0.11":
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@contextmanager
def without_search(pod: netns.Namespace, namespace: str) -> Iterator[None]:
    """The pod's resolv.conf names the server and nothing else: any search is the server's."""
    pod.write("resolv.conf", f"nameserver {SERVER}\n")
    try:
        yield
    finally:
        pod.write("resolv.conf", resolv_conf(namespace))


FULL = "my-service.my-ns.svc.cluster.local"
FOUND = ("10.96.0.11", FULL)

LOOKUPS = [
    (MINE, "my-service", FOUND),
    (MINE, "my-service.my-ns", FOUND),
    (MINE, "my-service.my-ns.svc", FOUND),
    (MINE, FULL, FOUND),
    (MINE, "both", ("10.96.0.12", "both.my-ns.svc.cluster.local")),
    (MINE, "both.other-ns", ("10.96.0.13", "both.other-ns.svc.cluster.local")),
    (MINE, "no-such-service", None),
    (OTHER, "my-service", None),
    (OTHER, "my-service.my-ns", FOUND),
    (OTHER, FULL, FOUND),
    (OTHER, "both", ("10.96.0.13", "both.other-ns.svc.cluster.local")),
    (STRANGER, "my-service.my-ns", FOUND),
    (STRANGER, FULL, FOUND),
]
"""Pod, name, and what it must find with the client's search path and without any."""


@pytest.mark.parametrize(("pod", "name", "expected"), LOOKUPS)
def test_getent_resolves_with_the_printed_resolv_conf(
    cluster: Cluster, pod: str, name: str, expected: tuple[str, str] | None
) -> None:
    assert cluster.getent(pod, name) == expected


@pytest.mark.parametrize(("pod", "name", "expected"), LOOKUPS)
def test_getent_resolves_the_same_by_the_servers_search_alone(
    cluster: Cluster, pod: str, name: str, expected: tuple[str, str] | None
) -> None:
    with without_search(cluster.pods[pod], PODS[pod][0]):
        assert cluster.getent(pod, name) == expected


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize(("pod", "name", "expected"), LOOKUPS)
def test_dig_resolves_the_same_by_the_servers_search_alone(
    cluster: Cluster, pod: str, name: str, expected: tuple[str, str] | None, transport: str
) -> None:
    with without_search(cluster.pods[pod], PODS[pod][0]):
        lines = cluster.dig(pod, transport, name)
    assert lines[-1:] == ([expected[0]] if expected else [])


def test_a_stranger_has_no_namespace_to_search_on_the_server(cluster: Cluster) -> None:
    with without_search(cluster.pods[STRANGER], "other-ns"):
        assert cluster.getent(STRANGER, "both") is None
        assert cluster.dig(STRANGER, "both") == []


def test_a_strangers_own_resolv_conf_still_completes_its_names(cluster: Cluster) -> None:
    assert cluster.getent(STRANGER, "both") == ("10.96.0.13", "both.other-ns.svc.cluster.local")


def test_getaddrinfo_finds_the_address_for_every_socket_type(cluster: Cluster) -> None:
    done = cluster.pods[MINE].run("getent", "ahosts", "my-service")
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert {(row[0], row[1]) for row in rows} == {("10.96.0.11", kind) for kind in ("STREAM", "DGRAM", "RAW")}


def test_getaddrinfo_of_a_missing_name_fails_from_another_namespace(cluster: Cluster) -> None:
    assert cluster.pods[OTHER].run("getent", "ahosts", "my-service").returncode == 2


def test_the_portal_ip_leads_back_to_the_services_name(cluster: Cluster) -> None:
    assert cluster.getent(OTHER, "10.96.0.11") == FOUND


def test_dig_finds_a_named_port_from_a_pod(cluster: Cluster) -> None:
    assert cluster.dig(MINE, "SRV", f"_http._tcp.{FULL}") == ["0", "100", "80", f"{FULL}."]
