"""What is found out about the host's iptables, with the real programs in a network namespace."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from skydns_py.errors import SkydnsError
from skydns_py.portal import process
from skydns_py.portal.iptables.probe import detect
from skydns_py.settings import IptablesVariant
from tests import needs

from . import spaces

real = [
    needs.root(),
    needs.netns(),
    needs.program("iptables-nft-restore", "iptables-legacy-restore", "unshare"),
]
RULE = "*filter\n-A INPUT -s 203.0.113.9/32 -j DROP\nCOMMIT\n"
HINT = "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n"


@pytest.fixture
def space() -> Iterator[str]:
    name = spaces.make("probe")
    yield name
    spaces.drop(name)


def load(space: str, variant: str, text: str) -> None:
    spaces.run(f"iptables-{variant}-restore", "--noflush", space=space, stdin=text)


def found(space: str, wanted: IptablesVariant = IptablesVariant.AUTO) -> str:
    with spaces.inside(space):
        return Path(detect(wanted).restore4).name


class TestReal:
    pytestmark = real

    @pytest.mark.parametrize("variant", ["nft", "legacy"])
    def test_the_variant_that_others_use_is_used(self, space: str, variant: str) -> None:
        load(space, variant, RULE)
        assert found(space) == f"iptables-{variant}-restore"

    @pytest.mark.parametrize("variant", ["nft", "legacy"])
    def test_the_hint_of_kubelet_outweighs_other_rules(self, space: str, variant: str) -> None:
        load(space, "nft", RULE)
        load(space, "legacy", RULE)
        load(space, variant, HINT)
        assert found(space) == f"iptables-{variant}-restore"

    def test_rules_in_both_variants_are_reported_in_one_line(
        self, space: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        load(space, "nft", RULE)
        load(space, "legacy", RULE)
        with caplog.at_level(logging.WARNING, "skydns"):
            found(space)
        [message] = caplog.messages
        assert "rules in both variants" in message
        assert "\n" not in message

    def test_a_setting_decides_against_what_is_in_use(self, space: str) -> None:
        load(space, "nft", RULE)
        assert found(space, IptablesVariant.LEGACY) == "iptables-legacy-restore"

    @pytest.mark.parametrize("variant", [IptablesVariant.NFT, IptablesVariant.LEGACY])
    def test_trying_out_leaves_no_trace(self, space: str, variant: IptablesVariant) -> None:
        with spaces.inside(space):
            tools = detect(variant)
        assert tools.bpf
        assert tools.random_fully
        assert tools.wait == ("-w", "5")
        assert spaces.run("nft", "list", "ruleset", space=space) == ""
        assert "-A" not in spaces.run("iptables-legacy-save", space=space)


def test_without_iptables_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "_FOLDERS", ())
    with pytest.raises(SkydnsError, match="install iptables"):
        detect()
