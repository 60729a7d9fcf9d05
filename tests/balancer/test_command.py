"""``skydns balancer``: what it refuses before it starts, in one line each."""

import os
from pathlib import Path

import pytest

from skydns_py.balancer.startup import warn_of_own
from skydns_py.cli.main import main
from skydns_py.settings import PoolSettings
from tests import needs
from tests.builders import all_packed

SOURCE = (
    "give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
    "or source.manifests, source.etcd or source.kubernetes in -c FILE"
)
NO_POOL = "balancer.pools: there are no addresses to give; name some in -c FILE"
NO_NAME = "--node-name: 'A' is not a name: dotted parts of a-z, 0-9 and '-', the ends of each no '-'"
TWO = "--etcd and --in-cluster are both given; keep exactly one"
POOLS = "balancer: {pools: [{name: a, addresses: [192.0.2.1]}]}\n"


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ((), "", SOURCE),
        (("--etcd", "http://a:1"), "", NO_POOL),
        (
            (),
            "source: {manifests: {path: x}}\n" + POOLS,
            "skydns balancer needs etcd or the Kubernetes API, where it writes what it gives: "
            "--etcd URL, --kubeconfig FILE or --in-cluster",
        ),
        (
            ("--etcd", "http://a:1", "--interface", "a/b"),
            POOLS,
            "--interface: 'a/b' is not the name of a network interface",
        ),
        (("--etcd", "http://a:1", "--node-name", "A"), POOLS, NO_NAME),
        (("--in-cluster",), "", NO_POOL),
        (("--in-cluster", "--etcd", "http://a:1"), POOLS, TWO),
    ],
)  # fmt: skip
def test_it_does_not_start(
    words: tuple[str, ...], text: str, expected: str, tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path_factory.mktemp("config") / "skydns.yaml"
    if text:
        file.write_text(text)
        words = ("-c", str(file), *words)
    assert main(["balancer", *words]) == 2
    said = capsys.readouterr().err
    assert said.removeprefix("skydns: ").replace(f"{file}:1: source: missing; ", "") == f"{expected}\n"


def test_a_host_whose_name_the_api_does_not_take_is_asked_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((host.sysname, "My_Host", *host[2:])))
    file = tmp_path / "skydns.yaml"
    file.write_text(POOLS)
    assert main(["balancer", "--kubeconfig", "nowhere", "-c", str(file)]) == 2
    line = "--node-name: this host is called 'my_host', which the Kubernetes API does not take; give a name"
    assert capsys.readouterr().err == f"skydns: {line}\n"


def test_a_kubeconfig_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "skydns.yaml"
    file.write_text("balancer: {provider: webhook, webhook: {url: https://lb.example/}}\n")
    assert main(["balancer", "--kubeconfig", "/nowhere/config", "-c", str(file), "--node-name", "n1"]) == 2
    assert capsys.readouterr().err == "skydns: /nowhere/config: No such file or directory\n"


def start(text: str, words: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What it says where it does not start; ``FILE`` stands for the settings' path."""
    file = folder / "skydns.yaml"
    file.write_text(text)
    assert main(["balancer", "--etcd", "http://a:1", "-c", str(file), *words]) == 2
    return capsys.readouterr().err.replace(str(file), "FILE")


@needs.root()
class TestInterface:
    def test_one_that_this_node_has_not_is_refused_at_the_start(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = "balancer:\n  interface: nowhere7\n  pools: [{name: a, addresses: [192.0.2.1]}]\n"
        said = start(text, (), tmp_path, capsys)
        assert said.startswith("skydns: FILE:2: balancer.interface: this node has no nowhere7; it has lo")
        assert said.count("\n") == 1

    def test_one_from_the_flag_is_named_so(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said = start(POOLS, ("--interface", "nowhere8"), tmp_path, capsys)
        assert said.startswith("skydns: --interface: this node has no nowhere8; it has lo")


@pytest.mark.parametrize(
    ("key", "octets", "expected"),
    [
        ("token_file", None, "No such file or directory"),
        ("token_file", b" \n", "holds no token"),
        ("token_file", b"\xff", "not UTF-8 text"),
        ("ca", None, "No such file or directory"),
        ("ca", b"no certificate", "holds no certificates (PEM)"),
    ],
)
def test_a_file_of_the_webhooks_that_cannot_be_used_is_refused_at_the_start(
    key: str, octets: bytes | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    if octets is not None:
        file.write_bytes(octets)
    text = f"balancer:\n  provider: webhook\n  webhook:\n    url: https://lb.example/\n    {key}: {file}\n"
    assert (
        start(text, (), tmp_path, capsys) == f"skydns: FILE:5: balancer.webhook.{key}: {file}: {expected}\n"
    )


def test_a_pool_with_the_nodes_own_address_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    pools = [PoolSettings("a", ("192.0.2.0/24",)), PoolSettings("b", ("198.51.100.1",))]
    warn_of_own(pools, all_packed("127.0.0.1 192.0.2.7 2001:db8::1"))
    assert [record.getMessage() for record in caplog.records] == [
        "balancer.pools: a holds this node's own address 192.0.2.7; no Service must get it: leave it out"
    ]
