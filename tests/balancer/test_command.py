"""``skydns balancer``: what it refuses before it starts, in one line each."""

import pytest

from skydns_py.cli.main import main

SOURCE = "give a source: --manifests PATH, --etcd URL, or source.manifests or source.etcd in -c FILE"
NO_POOL = "balancer.pools: there are no addresses to give; name some in -c FILE"
NO_NAME = "--node-name: 'A' is not a name: dotted parts of a-z, 0-9 and '-', the ends of each no '-'"
POOLS = "balancer: {pools: [{name: a, addresses: [192.0.2.1]}]}\n"


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ((), "", SOURCE),
        (("--etcd", "http://a:1"), "", NO_POOL),
        (
            (),
            "source: {manifests: {path: x}}\n" + POOLS,
            "skydns balancer needs etcd, where it writes what it gives: --etcd URL or source.etcd",
        ),
        (
            ("--etcd", "http://a:1", "--interface", "a/b"),
            POOLS,
            "--interface: 'a/b' is not the name of a network interface",
        ),
        (("--etcd", "http://a:1", "--node-name", "A"), POOLS, NO_NAME),
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
