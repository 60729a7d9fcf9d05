"""``skydns portal``: what it is refused for, and which backend it chooses (``tests/portal`` has the rest)."""

import os
import subprocess
import sys
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
        "skydns: give a source: --manifests PATH, --etcd URL, or source.manifests or source.etcd in -c FILE"
    ]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--manifests", "nowhere"], "nowhere: no such file or folder to take manifests from"),
        (["--manifests", ".", "--node-name", "Node_A"], "--node-name: 'Node_A' is not a name"),
        (["--manifests", ".", "--backend", "ipvs"], "argument --backend: invalid choice: 'ipvs'"),
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


def programmed(space: str, *flags: str, hidden: str = "") -> subprocess.CompletedProcess[str]:
    """``skydns portal --once`` in ``space``, on a machine without the ``hidden`` programs."""
    files = {str(Path(found).resolve()) for name in hidden.split() if (found := needs.which(name))}
    skydns = [sys.executable, "-m", "skydns_py", "portal", "--manifests", "manifests/demo", "--once", *flags]
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
