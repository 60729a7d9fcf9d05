"""What other people do to our rules is noticed, and what they do to theirs is not; with the real kernel."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.errors import SkydnsError
from skydns_py.portal import guard, xtables
from skydns_py.portal.guard import Guard, LegacyGuard, NfTablesGuard
from tests import needs
from tests.portal import spaces

PROGRAMS = ("ip", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")
OURS = """
add table {family} skydns
delete table {family} skydns
table {family} skydns {{
    map targets {{ type inet_service : inet_service; elements = {{ 1 : 10, 2 : 20, 3 : 30 }}; }}
    set sticky {{ type inet_service; flags dynamic,timeout; timeout 1h; }}
    chain portals {{
        type filter hook output priority 0;
        counter
        udp dport 9 add @sticky {{ udp sport }}
    }}
    chain other {{
        tcp dport 1 accept
    }}
}}
"""
THEIRS = "add table ip theirs; add set ip theirs s { type inet_service; }; flush set ip theirs s;"


def ours(chain: str) -> bool:
    return chain.startswith("SKYDNS-")


@pytest.fixture
def space() -> Iterator[str]:
    name = spaces.make("guard")
    yield name
    spaces.drop(name)


class TestNfTables:
    """A table that is all ours."""

    pytestmark = [needs.netns(), needs.program("ip", "nft")]  # noqa: RUF012  # pytest reads it

    @pytest.fixture
    def watch(self, space: str) -> Iterator[NfTablesGuard]:
        with spaces.inside(space):
            watch = NfTablesGuard([("ip", "skydns"), ("ip6", "skydns")], lambda _: True)
        self.write(space)
        watch.remember(2)
        yield watch
        watch.close()

    @staticmethod
    def write(space: str) -> None:
        for family in ("ip", "ip6"):
            spaces.run("nft", "-f", "-", space=space, stdin=OURS.format(family=family))

    def test_our_own_transactions_are_no_disturbance(self, watch: NfTablesGuard, space: str) -> None:
        assert not watch.disturbed()
        spaces.run("nft", "add element ip skydns targets { 4 : 40 }", space=space)
        watch.remember(1)
        assert not watch.disturbed()

    @pytest.mark.parametrize(
        "change",
        [
            "flush ruleset",
            "delete table ip6 skydns",
            "flush table ip skydns",
            "flush chain ip skydns portals",
            "flush map ip skydns targets",
            "delete element ip6 skydns targets { 2 : 20 }",
            "delete element ip skydns targets { 2 : 20 }; add element ip skydns targets { 2 : 21 }",
            "delete chain ip skydns portals",
            "insert rule ip skydns portals accept",
            "add chain ip skydns more",
        ],
    )
    def test_a_change_by_somebody_else_is_noticed(
        self, watch: NfTablesGuard, space: str, change: str
    ) -> None:
        spaces.run("nft", change, space=space)
        assert watch.disturbed()
        assert watch.disturbed()  # until we wrote it anew
        self.write(space)
        watch.remember(2)
        assert not watch.disturbed()

    def test_one_deleted_rule_is_noticed(self, watch: NfTablesGuard, space: str) -> None:
        listed = spaces.run("nft", "-a", "list chain ip skydns other", space=space)
        handle = listed.partition("tcp dport 1 accept # handle ")[2].split()[0]
        spaces.run("nft", f"delete rule ip skydns other handle {handle}", space=space)
        assert watch.disturbed()

    def test_a_change_just_before_our_own_transaction_is_noticed(
        self, watch: NfTablesGuard, space: str
    ) -> None:
        spaces.run("nft", "delete element ip skydns targets { 2 : 20 }", space=space)
        spaces.run("nft", "add element ip skydns targets { 4 : 40 }", space=space)
        watch.remember(1)
        spaces.run("nft", "add element ip skydns targets { 5 : 50 }", space=space)
        watch.remember(1)
        assert watch.disturbed()

    def test_a_change_while_we_repair_is_noticed(self, watch: NfTablesGuard, space: str) -> None:
        spaces.run("nft", "flush table ip skydns", space=space)
        assert watch.disturbed()
        self.write(space)
        spaces.run("nft", "flush table ip skydns", space=space)
        watch.remember(2)
        assert watch.disturbed()

    def test_other_peoples_tables_are_not_ours(self, watch: NfTablesGuard, space: str) -> None:
        for port in range(20):
            spaces.run("nft", f"{THEIRS} add element ip theirs s {{ {port} }}", space=space)
            spaces.run("nft", "add table inet skydns", space=space)  # our name, not our family
            assert not watch.disturbed()

    def test_packets_and_elements_that_rules_add_are_no_disturbance(
        self, watch: NfTablesGuard, space: str
    ) -> None:
        with spaces.inside(space), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"?", ("127.0.0.1", 9))
        assert "expires" in spaces.run("nft", "list set ip skydns sticky", space=space)
        assert not watch.disturbed()

    def test_events_that_were_lost_count_as_disturbance_but_not_while_we_write(
        self, space: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guard, "_KEPT", 2304)
        burst = f"{THEIRS} add element ip theirs s {{ {', '.join(map(str, range(2000)))} }}\n"
        with spaces.inside(space):
            watch = NfTablesGuard([("ip", "skydns")], lambda _: True)
        spaces.run("nft", "-f", "-", space=space, stdin=burst)
        watch.remember(1)
        assert not watch.disturbed()
        spaces.run("nft", "-f", "-", space=space, stdin=burst)
        assert watch.disturbed()
        watch.remember(1)
        assert not watch.disturbed()
        watch.close()

    def test_without_permission_it_is_one_line(self, space: str) -> None:
        with spaces.inside(space):
            os.seteuid(65534)
            try:
                with pytest.raises(SkydnsError, match=r"^nftables: not permitted; run as root"):
                    NfTablesGuard([("ip", "skydns")], lambda _: True)
            finally:
                os.seteuid(0)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("family", ["ip", "ip6"])
class TestIptables:
    """Chains of ours in tables that are shared, in both variants of the tool."""

    pytestmark = [needs.netns(), needs.program(*PROGRAMS)]  # noqa: RUF012  # pytest reads it

    @pytest.fixture
    def tool(self, space: str, variant: str, family: str) -> "Tool":
        return Tool(space, f"{family}tables-{variant}")

    @pytest.fixture
    def watch(self, tool: "Tool", variant: str, family: str) -> Guard:
        tool.do("-N THEIRS", "-A THEIRS -p tcp --dport 7 -j ACCEPT", "-A OUTPUT -j THEIRS")
        tool.write()
        tables = [(family, "nat"), (family, "filter")]
        with spaces.inside(tool.space):
            watch: Guard = NfTablesGuard(tables, ours) if variant == "nft" else LegacyGuard(tables, ours)
        watch.remember()
        return watch

    @pytest.mark.parametrize(
        "change",
        [
            "-D OUTPUT -j SKYDNS-SERVICES",
            "-F SKYDNS-SERVICES",
            "-D SKYDNS-SERVICES -p tcp --dport 2 -j SKYDNS-ONE",
            "-R SKYDNS-SERVICES 1 -p tcp --dport 3 -m comment --comment other -j SKYDNS-ONE",
            "-F",
            "-A SKYDNS-ONE -j RETURN",
            "-X SKYDNS-EMPTY",
        ],
    )
    def test_a_change_of_ours_is_noticed(self, watch: Guard, tool: "Tool", change: str) -> None:
        assert not watch.disturbed()
        tool.do(change)
        assert watch.disturbed()
        assert watch.disturbed()
        tool.do("-F")
        tool.write()
        watch.remember()
        assert not watch.disturbed()

    def test_a_replaced_table_is_noticed(self, watch: Guard, tool: "Tool") -> None:
        theirs = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j RETURN\nCOMMIT\n"
        spaces.run(f"{tool.name}-restore", space=tool.space, stdin=theirs)
        assert watch.disturbed()

    def test_a_removed_jump_is_noticed_after_our_own_transaction(self, watch: Guard, tool: "Tool") -> None:
        tool.do("-D OUTPUT -j SKYDNS-SERVICES")
        tool.do("-A SKYDNS-ONE -j RETURN")  # ours
        watch.remember(1)
        assert watch.disturbed()

    def test_other_peoples_chains_are_not_ours(self, watch: Guard, tool: "Tool") -> None:
        for change in (
            "-N THEIRS-2",
            "-I THEIRS -p tcp --dport 8 -j THEIRS-2",
            "-I OUTPUT -p udp --dport 8 -j THEIRS-2",
            "-A OUTPUT -j ACCEPT",
            "-Z THEIRS",
            "-F THEIRS",
            "-D OUTPUT -j THEIRS",
            "-X THEIRS",
        ):
            tool.do(change)
            assert not watch.disturbed(), change

    def test_packets_are_no_disturbance(self, watch: Guard, tool: "Tool") -> None:
        domain = socket.AF_INET6 if tool.name.startswith("ip6") else socket.AF_INET
        with spaces.inside(tool.space), socket.socket(domain, socket.SOCK_DGRAM) as client:
            client.sendto(b"?", ("::1" if domain == socket.AF_INET6 else "127.0.0.1", 9))
        tool.do("-A THEIRS -j RETURN")
        assert not watch.disturbed()


class Tool:
    """A variant of iptables in a namespace, always in table nat."""

    def __init__(self, space: str, name: str) -> None:
        self.space = space
        self.name = name

    def do(self, *commands: str) -> None:
        for command in commands:
            spaces.run(self.name, "-w", "-t", "nat", *command.split(), space=self.space)

    def write(self) -> None:
        for chain in ("SKYDNS-SERVICES", "SKYDNS-ONE", "SKYDNS-EMPTY"):
            if chain not in spaces.run(self.name, "-t", "nat", "-S", space=self.space):
                self.do(f"-N {chain}")
        self.do("-I OUTPUT -j SKYDNS-SERVICES", "-A SKYDNS-SERVICES -p tcp --dport 2 -j SKYDNS-ONE")
        self.do("-A SKYDNS-ONE -p udp --dport 9 -j ACCEPT")


@given(st.binary(max_size=400))
def test_a_walk_over_any_table_ends_or_says_what_does_not_fit(block: bytes) -> None:
    for layout in xtables.LAYOUTS.values():
        try:
            xtables.digests(block, layout, {0: 0}, ours)
        except SkydnsError:
            continue
        assert block == b"" or len(block) >= layout.counted + 32


def test_an_entry_longer_than_its_table_is_an_error() -> None:
    entry = bytearray(152)
    struct.pack_into("=HH", entry, 88, 112, 160)
    with pytest.raises(SkydnsError, match="an entry of 160 octets in 152"):
        xtables.digests(bytes(entry), xtables.LAYOUTS["ip"], {}, ours)
