"""``skydns portal``: what it is refused for, and which backend it chooses (``tests/portal`` has the rest)."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skydns_py.portal.choose import claim
from tests import needs
from tests.cli.conftest import Run
from tests.portal import spaces

ROOT = Path(__file__).parents[2]


def test_without_a_source_it_is_refused(skydns: Run) -> None:
    done = skydns("portal")
    assert done.code == 2
    assert done.err == [
        "skydns: give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
        "or source.manifests, source.etcd or source.kubernetes in -c FILE"
    ]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--manifests", "nowhere"], "nowhere: no such file or folder to take manifests from"),
        (["--manifests", ".", "--node-name", "Node_A"], "--node-name: 'Node_A' is not a name"),
        (["--manifests", ".", "--backend", "ipvs"], "argument --backend: invalid choice: 'ipvs'"),
        (
            ["--manifests", ".", "--once", "--timeout", "0"],
            "--timeout: '0' is not a number of seconds from 1",
        ),
        (["--manifests", ".", "--timeout", "9"], "--timeout: only for --once and --dry-run; else the source"),
        (["--manifests", ".", "--once", "--cleanup"], "argument --cleanup: not allowed with argument --once"),
    ],
)
def test_wrong_usage_is_one_line(skydns: Run, flags: list[str], complaint: str) -> None:
    done = skydns("portal", *flags)
    assert (done.code, len(done.err)) == (2, 1)
    assert done.err[0].startswith(f"skydns: {complaint}")


def test_a_setting_that_cannot_be_used_names_file_line_and_key(
    skydns: Run, manifest: Callable[[str, str], str]
) -> None:
    file = manifest("s.yaml", "portal:\n  cluster_cidr: [10.1.0.0/33]\n")
    done = skydns("portal", "-c", file)
    assert done.code == 2
    assert done.err[0].startswith(f"skydns: {file}:2: portal.cluster_cidr[0]: '10.1.0.0/33' is not a network")


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    name = spaces.make("choice")
    yield name
    spaces.drop(name)


HIDE = 'for file in $HIDDEN; do mount --bind /dev/null "$file"; done; exec "$@"'


DEMO = ("--manifests", "manifests/demo")


def programmed(
    space: str, *flags: str, hidden: str = "", source: tuple[str, str] = DEMO
) -> subprocess.CompletedProcess[str]:
    """``skydns portal --once`` in ``space``, on a machine without the ``hidden`` programs."""
    files = {str(Path(found).resolve()) for name in hidden.split() if (found := needs.which(name))}
    skydns = [sys.executable, "-m", "skydns_py", "portal", *source, "--once", *flags]
    enter = [str(needs.which("ip")), "netns", "exec", space, "unshare", "--mount", "sh", "-c", HIDE, "sh"]
    return subprocess.run(
        [*enter, *skydns],
        env={**os.environ, "HIDDEN": " ".join(files)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs.root()
@needs.program("ip", "nft", "iptables", "unshare")
class TestChoice:
    def test_nftables_is_the_default_where_the_kernel_takes_its_rules(self, space: str) -> None:
        done = programmed(space)
        assert (done.returncode, "programming with nftables" in done.stderr) == (0, True), done.stderr

    def test_iptables_is_what_is_left_without_it(self, space: str) -> None:
        done = programmed(space, hidden="nft")
        assert (done.returncode, "programming with iptables" in done.stderr) == (0, True), done.stderr
        assert "nftables cannot be used here: nft: not found; install it" in done.stderr

    def test_nftables_that_is_asked_for_and_not_there_is_refused(self, space: str) -> None:
        done = programmed(space, "--backend", "nftables", hidden="nft")
        assert done.returncode == 2
        assert (
            done.stderr
            == "skydns: portal.backend: nftables cannot be used here: nft: not found; install it\n"
        )

    def test_without_either_one_line_says_what_to_install(self, space: str) -> None:
        done = programmed(space, hidden="nft iptables-nft-restore iptables-legacy-restore")
        last = done.stderr.splitlines()[-1]
        assert (done.returncode, last) == (
            1,
            "skydns: iptables-restore not found: install iptables, or set portal.backend to nftables",
        )

    def test_localhost_node_ports_that_nftables_has_not_are_refused(self, space: str, tmp_path: Path) -> None:
        config = tmp_path / "s.yaml"
        config.write_text("portal: {localhost_node_ports: true}\n")
        done = programmed(space, "-c", str(config), "--backend", "nftables")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert "portal.localhost_node_ports: nftables has none" in done.stderr

    def test_a_second_programmer_in_one_namespace_is_refused(self, space: str) -> None:
        with spaces.inside(space):
            held = claim()
        done = programmed(space)
        held.close()
        assert (done.returncode, done.stderr) == (
            2,
            "skydns: another skydns portal programs this network namespace; stop it first\n",
        )

    def test_what_another_backend_left_is_removed_once_the_new_one_is_in_place(self, space: str) -> None:
        assert programmed(space, "--backend", "nftables").returncode == 0
        done = programmed(space, "--backend", "iptables")
        assert "removed what skydns portal had programmed with nftables" in done.stderr
        assert "skydns" not in spaces.run("nft", "list", "tables", space=space)
        done = programmed(space, "--backend", "nftables")
        assert "removed what skydns portal had programmed with iptables-" in done.stderr
        assert "SKYDNS" not in spaces.run("iptables-save", space=space)


NOWHERE = ("--etcd", "http://127.0.0.1:9")
"""In a network namespace of a test's own, nobody listens there."""


@needs.root()
@needs.program("ip", "nft", "unshare")
class TestOnce:
    def test_a_source_that_cannot_be_reached_fails_within_the_timeout(self, space: str) -> None:
        since = time.monotonic()
        done = programmed(space, "--timeout", "1", source=NOWHERE)
        assert time.monotonic() - since < 10
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            1,
            "skydns: the source was not read within 1 s: "
            "etcd at http://127.0.0.1:9 cannot be reached: Connection refused",
        )

    def test_a_manifest_that_cannot_be_read_fails_and_leaves_the_kernel_as_it_is(
        self, space: str, tmp_path: Path
    ) -> None:
        good, bad = tmp_path / "good.yaml", tmp_path / "web.yaml"
        good.write_text(service("good", "10.0.0.8"))
        bad.write_text(service("web", "10.0.0.9"))
        source = ("--manifests", str(tmp_path))
        assert programmed(space, "--backend", "nftables", source=source).returncode == 0
        before = spaces.run("nft", "list", "ruleset", space=space)
        assert "10.0.0.9" in before
        good.write_text(service("good", "10.0.0.7"))
        bad.write_text("spec: [")
        done = programmed(space, "--backend", "nftables", source=source)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            1,
            "skydns: nothing is programmed: an object or file cannot be used; see above",
        )
        assert f"{bad}:2: is not YAML" in done.stderr or f"{bad}:1: is not YAML" in done.stderr
        assert spaces.run("nft", "list", "ruleset", space=space) == before

    def test_a_stopped_one_has_not_succeeded(self, space: str) -> None:
        enter = ["ip", "netns", "exec", space, sys.executable, "-m", "skydns_py", "portal", *NOWHERE]
        running = subprocess.Popen([*enter, "--once"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert running.stderr is not None
        while "cannot be reached" not in running.stderr.readline():
            assert running.poll() is None
        running.terminate()
        _, rest = running.communicate(timeout=20)
        assert (running.returncode, rest.splitlines()[-1]) == (
            1,
            "skydns: stopped before anything was programmed",
        )


def service(name: str, address: str) -> str:
    return (
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, "
        f"spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}}}\n"
    )


def rehearsed(*flags: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """``skydns portal --dry-run`` as a user without any capability; ``without`` is hidden from them."""
    words = [sys.executable, "-m", "skydns_py", "portal", *DEMO, "--dry-run", *flags]
    plain = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    hide = ["unshare", "--mount", "sh", "-c", HIDE, "sh"]
    files = {str(Path(found).resolve()) for name in without.split() if (found := needs.which(name))}
    env = {**os.environ, "HIDDEN": " ".join(files)}
    return subprocess.run(
        [*hide, *plain, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@needs.root()
@needs.program("nft", "iptables", "setpriv", "unshare")
class TestDryRunWithoutCapabilities:
    @pytest.mark.parametrize(
        ("backend", "line"), [("nftables", "add table ip skydns"), ("iptables", ":SKYDNS-NAT - [0:0]")]
    )
    def test_the_transaction_of_a_named_backend_is_printed(self, backend: str, line: str) -> None:
        done = rehearsed("--backend", backend)
        assert done.returncode == 0, done.stderr
        assert line in done.stdout.splitlines()
        assert "without CAP_NET_ADMIN" in done.stderr

    def test_nothing_need_be_asked_where_there_is_no_nft(self) -> None:
        done = rehearsed(without="nft")
        assert (done.returncode, ":SKYDNS-NAT - [0:0]" in done.stdout) == (0, True), done.stderr

    def test_a_kernel_that_may_not_be_asked_is_one_line(self) -> None:
        done = rehearsed(without="unshare")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].startswith(
            "skydns: only CAP_NET_ADMIN may ask this kernel what it takes; give --backend as well ("
        )
