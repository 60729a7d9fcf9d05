"""Autopath with real resolvers: pods as network namespaces ask once where they asked twice.

Two servers run in turns, one with autopath and one without; what differs is how many questions reach them.
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
import yaml

from tests import needs
from tests.system import netns
from tests.system.test_real_client import (
    MINE,
    OTHER,
    PODS,
    ROOT,
    SERVER,
    START_SECONDS,
    STRANGER,
    manifests,
    resolv_conf,
)

pytestmark = [needs.netns(), needs.program("dig", "getent")]

METRICS = "http://127.0.0.1:9153/metrics"
READ_METRICS = f"import urllib.request; print(urllib.request.urlopen({METRICS!r}, timeout=5).read().decode())"
COUNTER = 'coredns_dns_requests_total{proto="udp"}'
SEARCHED = "both.other-ns.my-ns.svc.cluster.local"
"""What a pod of ``my-ns`` asks first when it looks for ``both.other-ns``."""
FOUND = ["both.other-ns.svc.cluster.local.", "10.96.0.13"]


@dataclass
class Cluster:
    """A running server and its pods."""

    hub: netns.Namespace
    pods: dict[str, netns.Namespace]

    def dig(self, pod: str, *words: str) -> list[str]:
        """The lines of ``dig +short``."""
        done = self.pods[pod].run("dig", "+short", "+time=2", "+tries=2", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()

    def addresses(self, pod: str, database: str, name: str) -> set[str]:
        """What ``getent`` finds in ``ahosts`` (both families) or ``ahostsv4``."""
        done = self.pods[pod].run("getent", database, name)
        assert done.returncode in (0, 2), done.stderr  # getent(1): 2 means that a key was not found
        return {line.split()[0] for line in done.stdout.splitlines()}

    def questions(self) -> int:
        """UDP questions received since the start, by the server's own count."""
        done = self.hub.run(sys.executable, "-c", READ_METRICS)
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(COUNTER)]
        return int(line.split()[1])


@pytest.fixture(scope="module")
def network() -> Iterator[Cluster]:
    with ExitStack() as stack:
        hub = netns.Namespace("ap-dns", SERVER)
        stack.callback(hub.close)
        hub.configure("address", "add", f"{SERVER}/32", "dev", "lo")
        pods = {}
        for label, (namespace, address) in PODS.items():
            pods[label] = netns.Namespace(f"ap-{label}", address)
            stack.callback(pods[label].close)
            netns.connect(hub, pods[label], label)
            pods[label].write("resolv.conf", resolv_conf(namespace))
        yield Cluster(hub, pods)


@contextmanager
def serving(network: Cluster, folder: Path, *, autopath: bool, kind: str) -> Iterator[Cluster]:
    """``skydns serve`` on port 53 of the hub, until it answers and to its end."""
    (folder / "manifests").mkdir()
    (folder / "manifests" / "cluster.yaml").write_text(manifests())
    settings = {
        "listen": [f"{SERVER}:53"],
        "source": {"manifests": {"path": str(folder / "manifests")}},
        "search": {"autopath": autopath},
        "dataplane": {"kind": kind},
    }
    (folder / "skydns.yaml").write_text(yaml.safe_dump(settings))
    command = network.hub.command(
        sys.executable, "-m", "skydns_py", "serve", "-c", str(folder / "skydns.yaml")
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"}
        )
    try:
        _wait_for_answers(network, process, folder / "log")
        yield network
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answers(network: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    question = ("dig", "+short", "+time=1", "+tries=1", "my-service.my-ns.svc.cluster.local")
    while network.pods[OTHER].run(*question).stdout.strip() != "10.96.0.11":
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def served(
    network: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A server of the given data plane, with autopath; ``off`` is the one that users get, without it."""
    kind = "auto" if request.param == "off" else request.param
    folder = tmp_path_factory.mktemp(request.param)
    with serving(network, folder, autopath=request.param != "off", kind=kind) as cluster:
        yield cluster


both_planes = pytest.mark.parametrize("served", ["auto", "pure"], indirect=True)


@both_planes
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_the_first_step_of_a_search_finds_what_its_last_one_would(served: Cluster, transport: str) -> None:
    assert served.dig(MINE, transport, SEARCHED) == FOUND
    assert served.dig(MINE, transport, f"both.other-ns.svc.{SEARCHED.partition('.other-ns.')[2]}") == FOUND


@both_planes
@pytest.mark.parametrize("pod", [OTHER, STRANGER])
def test_nobody_of_another_namespace_gets_it(served: Cluster, pod: str) -> None:
    assert served.dig(MINE, SEARCHED) == FOUND
    assert served.dig(pod, SEARCHED) == []
    assert served.dig(MINE, SEARCHED) == FOUND


def _asked(cluster: Cluster, database: str, name: str) -> tuple[set[str], int]:
    before = cluster.questions()
    found = cluster.addresses(MINE, database, name)
    return found, cluster.questions() - before


LOOKUPS = [("ahostsv4", "both.other-ns"), ("ahosts", "both.other-ns"), ("ahostsv4", "both.other-ns.svc")]


@pytest.mark.parametrize(
    ("served", "questions"),
    [("off", [2, 4, 3]), ("auto", [1, 2, 1]), ("pure", [1, 2, 1])],
    indirect=["served"],
)
def test_getent_asks_once_where_it_asked_up_to_three_times(served: Cluster, questions: list[int]) -> None:
    """``ahosts`` asks for both families, so that each step is two questions."""
    assert [_asked(served, *lookup) for lookup in LOOKUPS] == [({"10.96.0.13"}, each) for each in questions]
    assert _asked(served, "ahostsv4", "both") == ({"10.96.0.12"}, 1)


@both_planes
def test_a_name_that_nobody_has_is_searched_to_its_end_by_the_client(served: Cluster) -> None:
    """Three steps and the name as typed, which is refused and may be asked for again."""
    found, questions = _asked(served, "ahostsv4", "nothing.other-ns")
    assert found == set()
    assert questions >= 4
