"""Exit codes and the one line that a failure is."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skydns_py import __version__
from skydns_py.cli import main as main_module
from skydns_py.cli import serve
from skydns_py.cli.main import main
from skydns_py.settings import EtcdSource, HostPort, ManifestSource
from tests.cli.conftest import Run

DEMO = str(Path(__file__).parents[2] / "manifests" / "demo")


def started(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skydns_py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_program_exits_0_when_done() -> None:
    done = started("resolv-conf", "-n", "my-ns", "--nameserver", "10.0.0.10")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("search my-ns.svc.cluster.local ")


def test_the_program_exits_1_with_one_line_when_it_failed() -> None:
    done = started("get", "--etcd", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("skydns: etcd at http://127.0.0.1:1 cannot be reached: ")
    assert done.stderr.endswith("; start etcd, or give its address with --etcd\n")
    assert done.stderr.count("\n") == 1


def test_the_program_exits_2_with_one_line_on_wrong_usage() -> None:
    done = started("serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "skydns: give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
        "or source.manifests, source.etcd or source.kubernetes in -c FILE\n"
    )


def test_a_reader_that_leaves_early_is_no_error_to_read_about() -> None:
    command = [sys.executable, "-m", "skydns_py", "resolv-conf", "-n", "a", "--nameserver", "10.0.0.1"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=30, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_output_that_cannot_be_written_is_one_line() -> None:
    command = [sys.executable, "-m", "skydns_py", "resolv-conf", "-n", "a", "--nameserver", "10.0.0.1"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (1, "skydns: standard output: No space left on device\n")


def test_an_interrupt_ends_a_waiting_command_quietly_with_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "skydns_py", "get", "--etcd", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.settimeout(30)
            silent.accept()[0].close()  # the command has begun to talk
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_an_etcd_that_accepts_and_says_nothing_is_left_after_five_seconds(skydns: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        done = skydns("get", "--etcd", url)
        took = time.monotonic() - begun
    assert done.code == 1
    assert len(done.err) == 1
    assert done.err[0].startswith(f"skydns: etcd at {url} ")
    assert took < 8


def test_every_unreachable_endpoint_is_named_on_the_one_line(skydns: Run) -> None:
    done = skydns("get", "--etcd", "http://127.0.0.1:1", "--etcd", "http://127.0.0.1:2")
    assert done.code == 1
    assert len(done.err) == 1
    assert "http://127.0.0.1:1 " in done.err[0]
    assert "http://127.0.0.1:2 " in done.err[0]


NAMESPACE = "at most 63 of a-z, 0-9 and '-', the ends no '-'"
NAME = "dotted parts of a-z, 0-9 and '-', the ends of each no '-'"
KINDS = "namespace, node, service, endpoints, endpointslice, pod"
REQUIRED = "the following arguments are required"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], f"{REQUIRED}: COMMAND; see skydns --help"),
        (["serve", "--manifest", "x"], "unrecognized arguments: --manifest x; see skydns --help"),
        (["resolv-conf"], f"{REQUIRED}: -n/--namespace; see skydns resolv-conf --help"),
        (["apply"], f"{REQUIRED}: -f/--filename; see skydns apply --help"),
        (["serve", "-c", "/none.yaml"], "/none.yaml: No such file or directory"),
        (["serve", "--manifests", "/none"], "/none: no such file or folder to take manifests from"),
        (["serve", "--manifests", "a", "--etcd", "http://a:1"],
         "--manifests and --etcd are both given; keep exactly one"),
        (["serve", "--etcd", "a"], "--etcd: 'a' is not http://HOST:PORT or https://HOST:PORT"),
        (["check-config", "/none.yaml"], "/none.yaml: No such file or directory"),
        (["get", "deployment"], f"'deployment' is no kind of object here; use {KINDS}"),
        (["get", "svc", "A_B"], f"NAME: 'A_B' is not a name: {NAME}"),
        (["get", "svc", "-n", "a.b"], f"--namespace: 'a.b' is not a namespace: {NAMESPACE}"),
        (["get", "node", "-n", "a"], "--namespace: node is in no namespace; leave it out"),
        (["delete"], "delete what? give KIND NAME, or -f PATH"),
        (["delete", "svc"], "delete what? give KIND NAME, or -f PATH"),
        (["delete", "svc", "a", "-f", "x"], "delete what? give KIND NAME, or -f PATH"),
        (["delete", "-n", "a", "-f", "x"], "--namespace: manifests name their own; give it with KIND NAME"),
        (["apply", "-f", "/none.yaml"], "/none.yaml: No such file or directory"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_that_says_what_to_give(
    skydns: Run, arguments: list[str], expected: str
) -> None:
    done = skydns(*arguments)
    assert (done.code, done.out, done.err) == (2, [], [f"skydns: {expected}"])


def test_an_unknown_command_is_named_with_the_known_ones(skydns: Run) -> None:
    done = skydns("portals")
    assert done.code == 2
    assert len(done.err) == 1
    assert "'portals'" in done.err[0]
    assert "resolv-conf" in done.err[0]


@pytest.mark.parametrize("command", ["serve", "apply", "get", "delete", "resolv-conf", "check-config"])
def test_every_command_has_help(skydns: Run, command: str) -> None:
    done = skydns(command, "--help")
    assert done.code == 0
    assert done.out[0].startswith(f"usage: skydns {command} ")


def test_a_command_loads_no_other() -> None:
    program = "import sys; from skydns_py.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", program, "serve", "--manifests", "/none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "skydns: /none: no such file or folder to take manifests from\n"
    loaded = {name for name in done.stdout.split() if name.startswith("skydns_py.cli.")}
    assert loaded == {"skydns_py.cli.main", "skydns_py.cli.serve"}


def test_every_module_that_adds_a_command_is_one() -> None:
    folder = Path(main_module.__file__).parent
    adding = {
        path.stem for path in folder.glob("*.py") if "\ndef add(commands: Commands)" in path.read_text()
    }
    assert adding == {name.replace("-", "_") for name in main_module.COMMANDS}


def test_the_version_is_the_packages(skydns: Run) -> None:
    assert skydns("--version").out == [f"skydns {__version__}"]


def test_an_interrupt_in_this_process_gives_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("skydns_py.config.load", interrupted)
    assert main(["check-config", "x"]) == main_module.INTERRUPTED


def test_serve_takes_its_settings_from_flags() -> None:
    arguments = main_module.parser().parse_args(
        [
            "serve",
            "--manifests",
            DEMO,
            "--zone",
            "a.example",
            "--listen",
            "127.0.0.1:53",
            "--listen",
            "[::1]:53",
        ]
    )
    found = serve.settings(arguments)
    assert found.source == ManifestSource(DEMO)
    assert found.zone == "a.example"
    assert found.listen == (HostPort("127.0.0.1", 53), HostPort("::1", 53))


def test_serve_takes_several_etcd_endpoints() -> None:
    arguments = main_module.parser().parse_args(["serve", "--etcd", "http://a:1", "--etcd", "http://b:2"])
    assert serve.settings(arguments).source == EtcdSource(endpoints=("http://a:1", "http://b:2"))


def test_serve_runs_the_server_with_those_settings_and_returns_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = []

    def run(settings: object) -> int:
        given.append(settings)
        return 1

    monkeypatch.setattr("skydns_py.app.run", run)
    assert main(["serve", "--manifests", DEMO]) == 1
    assert [found.source for found in given] == [ManifestSource(DEMO)]
