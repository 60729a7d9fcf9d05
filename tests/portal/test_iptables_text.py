"""The transactions as text: small, complete, and nobody else's."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from skydns_py.portal.backend import Backend, Command
from skydns_py.portal.iptables.backend import IptablesBackend, Tools
from skydns_py.portal.plan.model import Host, Portal, Target
from tests.builders import packed

KEY = ("default", "web")
ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/all/route_localnet"
PORTAL = packed("10.96.0.1")
ONE, TWO = Target(packed("10.1.0.1"), 8080), Target(packed("10.1.0.2"), 8080)
WEB = Portal("default", "web", "", 4, "TCP", 80, inside=(PORTAL,), cluster=(ONE, TWO))
SIX = Portal(
    "default", "six", "", 6, "UDP", 53, inside=(packed("fd96::1"),), cluster=(Target(packed("fd::1"), 53),)
)


def started(
    *portals: Portal, host: Host | None = None, outputs: tuple[str, str] = ("", "")
) -> IptablesBackend:
    backend = IptablesBackend(host or Host(), Tools())
    backend.adopt(outputs)
    for portal in portals:
        backend.want((portal.namespace, portal.service), [portal])
    return backend


def text(backend: IptablesBackend) -> str:
    return "".join(command.stdin for command in backend.pending())


def done(backend: IptablesBackend) -> IptablesBackend:
    assert backend.pending()
    backend.committed()
    return backend


def test_it_is_a_backend() -> None:
    backend: Backend = started()
    assert backend.name == "iptables"


def test_nothing_is_written_where_nothing_is_wanted() -> None:
    assert started().pending() == ()


def test_a_family_without_portals_is_left_alone() -> None:
    [command] = started(WEB).pending()
    assert command.argv == ("iptables-restore", "--noflush", "--counters", "-w", "5")
    [command] = started(SIX).pending()
    assert command.argv[0] == "ip6tables-restore"
    assert "--to-destination [fd::1]:53" in command.stdin


def test_two_targets_are_two_rules_and_a_refusal_is_one() -> None:
    rules = [line for line in text(started(WEB)).splitlines() if "10.96.0.1" in line]
    front = "-d 10.96.0.1/32 -p tcp -m tcp --dport 80"
    assert rules == [
        "-A SKYDNS-FRONT -d 10.96.0.1/32 -g SKYDNS-REFUSE",
        f"-A SKYDNS-PORTAL {front} -m statistic --mode random --probability 0.5000000000"
        " -j DNAT --to-destination 10.1.0.1:8080",
        f"-A SKYDNS-PORTAL {front} -j DNAT --to-destination 10.1.0.2:8080",
    ]


def test_pending_says_the_same_until_it_is_committed() -> None:
    backend = started(WEB)
    assert backend.pending() == backend.pending()
    backend.committed()
    assert backend.pending() == ()


def test_what_is_wanted_while_a_transaction_runs_belongs_to_the_next() -> None:
    backend = started(WEB)
    backend.pending()
    backend.want(("default", "web"), [replace(WEB, cluster=(TWO,))])
    backend.committed()
    assert "10.1.0.2:8080" in text(backend)
    assert "10.1.0.1:8080" not in text(backend)


def test_a_changed_target_rewrites_one_small_chain_and_no_jump() -> None:
    backend = started(
        *(replace(WEB, service=str(i), inside=(bytes((10, 96, i // 250, i % 250)),)) for i in range(2000))
    )
    done(backend)
    backend.want(
        ("default", "7"), [replace(WEB, service="7", inside=(bytes((10, 96, 0, 7)),), cluster=(TWO,))]
    )
    lines = text(backend).splitlines()
    assert [line for line in lines if line.startswith("*")] == ["*nat"]
    assert sum(line.startswith(":") for line in lines) == 1
    assert len(lines) < 52


def test_the_same_wish_again_is_no_change() -> None:
    backend = done(started(WEB))
    backend.want(("default", "web"), [replace(WEB)])
    assert backend.pending() == ()


def test_a_stale_chain_is_flushed_first_and_deleted_by_the_next_transaction() -> None:
    sticky = replace(WEB, affinity_seconds=60)
    backend = done(started(sticky, replace(WEB, service="other", inside=(packed("10.96.0.2"),))))
    backend.want(("default", "web"), [])
    assert "\n:SKYDNS-C-" in text(backend)
    assert "-X" not in text(backend)
    assert done(backend).untidy
    assert [line.split()[0] for line in text(backend).splitlines()] == [
        "*nat",
        text(backend).split()[1],
        "-X",
        "COMMIT",
    ]
    assert not done(backend).untidy


def test_jumps_that_are_not_first_are_moved_within_one_commit() -> None:
    listing = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:SKYDNS-NAT - [0:0]\n:THEIRS - [0:0]\n"
        "-A PREROUTING -j THEIRS\n-A PREROUTING -j SKYDNS-NAT\nCOMMIT\n"
    )
    [command] = started(WEB, outputs=(listing, "")).pending()
    nat = command.stdin.partition("*nat\n")[2].splitlines()
    moves = [line for line in nat if "PREROUTING" in line]
    assert moves == ["-D PREROUTING -j SKYDNS-NAT", "-I PREROUTING 1 -j SKYDNS-NAT"]
    assert "THEIRS" not in command.stdin


def test_a_chain_that_others_lead_to_is_emptied_but_stays() -> None:
    listing = (
        "*nat\n:OUTPUT ACCEPT [0:0]\n:SKYDNS-OLD - [0:0]\n:THEIRS - [0:0]\n-A THEIRS -j SKYDNS-OLD\nCOMMIT\n"
    )
    backend = started(outputs=(listing, ""))
    assert backend.pending()[0].stdin == "*nat\n:SKYDNS-OLD - [0:0]\nCOMMIT\n"
    backend.committed()
    assert not backend.untidy


def test_cleanup_removes_jumps_first_and_then_the_chains() -> None:
    jumps = "-A OUTPUT -j SKYDNS-NAT\n-A OUTPUT -j THEIRS\n"
    listing = f"*nat\n:OUTPUT ACCEPT [0:0]\n:SKYDNS-NAT - [0:0]\n{jumps}COMMIT\n"
    argv = Tools().restore(4)
    assert started().cleanup((listing, "")) == (
        Command(argv, "*nat\n:SKYDNS-NAT - [0:0]\n-D OUTPUT -j SKYDNS-NAT\nCOMMIT\n"),
        Command(argv, "*nat\n:SKYDNS-NAT - [0:0]\n-X SKYDNS-NAT\nCOMMIT\n"),
    )


def test_localhost_node_ports_open_the_loopback_after_its_guard_and_close_it_before() -> None:
    host = Host(localhost_node_ports=True)
    backend = started(host=host)
    assert backend.pending() == ()
    backend.want(KEY, [replace(WEB, node_port=30080)])
    rules, opening = backend.pending()
    assert "-A SKYDNS-LOOPBACK ! -s 127.0.0.0/8 -d 127.0.0.0/8" in rules.stdin
    assert opening == Command(("tee", ROUTE_LOCALNET), "1\n")
    backend.committed()
    backend.want(KEY, [])
    assert backend.pending()[0] == Command(("tee", ROUTE_LOCALNET), "0\n")


@pytest.mark.parametrize("wanted", [True, False], ids=["with portals", "without"])
def test_a_start_without_localhost_node_ports_closes_what_an_earlier_one_opened(wanted: bool) -> None:
    backend = started()
    listing = "*filter\n:INPUT ACCEPT [0:0]\n:SKYDNS-LOOPBACK - [0:0]\nCOMMIT\n"
    backend.adopt((listing, ""))
    backend.want(KEY, [WEB] if wanted else [])
    assert backend.pending()[0] == Command(("tee", ROUTE_LOCALNET), "0\n")
    assert started().cleanup((listing, ""))[0] == Command(("tee", ROUTE_LOCALNET), "0\n")


def test_untracked_dns_is_exempt_in_both_directions() -> None:
    backend = started(WEB, host=Host(untracked=(PORTAL,)))
    assert text(backend).count("-j CT --notrack") == 4
    assert "*raw" not in text(started(WEB))


def test_forwarding_accepts_only_what_was_translated() -> None:
    host = Host(cluster_cidr=(ip_network("10.1.0.0/16"),))
    rules = [line for line in text(started(WEB, host=host)).splitlines() if line.endswith("-j ACCEPT")]
    assert len(rules) == 3
    assert all("--ctstate DNAT" in rule for rule in rules)
