"""Several writers that allocate at once, one of them killed: processes, against a real etcd."""

from pathlib import Path

import pytest

from tests.cli.allocating import assert_exact, document, reserved, specs, write_files, writers
from tests.cli.conftest import Registry, Run


def contend(skydns: Run, registry: Registry, folder: Path, each: int, net: str) -> None:
    """Eight writers with ``each`` Services, all of type NodePort; the first is killed half-way."""
    files = write_files(folder, 8, each, lambda w, n: document(f"s{n}", f"w{w}", type="NodePort"))
    flags = ("--etcd", registry.url, "--portal-net", net)
    with writers(files, *flags) as running:
        said = running.kill_midway(0, each // 2)
        assert skydns("repair", *flags).out == []  # nor is there anything to mend while they write
        assert running.finish() == [-9, *[0] * 7]
    assert len(said) >= each // 2
    stored = specs(registry)
    assert len(said) <= len([owner for owner in stored if owner.startswith("w0/")]) < each
    assert len([owner for owner in stored if not owner.startswith("w0/")]) == 7 * each
    assert_exact(registry)  # a killed writer leaves nothing half-written
    assert skydns("repair", *flags).out == []
    again = skydns("apply", "-f", files[0], *flags)
    assert (again.code, len(again.out)) == (0, each)
    assert len(specs(registry)) == 8 * each
    assert len(reserved(registry)) == 16 * each
    assert_exact(registry)


def test_eight_writers_never_hand_out_the_same_and_a_killed_one_leaves_no_leak(
    skydns: Run, registry: Registry, tmp_path: Path
) -> None:
    contend(skydns, registry, tmp_path, 30, "10.96.0.0/24")


@pytest.mark.nightly
def test_eight_writers_hand_out_two_thousand_addresses_of_a_net_that_has_hardly_more(
    skydns: Run, registry: Registry, tmp_path: Path
) -> None:
    contend(skydns, registry, tmp_path, 250, "10.96.0.0/21")
