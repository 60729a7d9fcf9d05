"""The iptables rules in real kernels' tables, in both variants of the tool, in a network namespace each."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from skydns_py.portal.backend import Command
from skydns_py.portal.iptables.backend import IptablesBackend, Tools
from skydns_py.portal.iptables.inventory import leads_to_us
from skydns_py.portal.iptables.skeleton import HOOKS
from skydns_py.portal.plan.model import Host, Portal, ServiceKey, Target
from tests import needs

from . import spaces
from .plans import histories, hosts, plans

PROGRAMS = (
    "iptables-nft-restore",
    "iptables-legacy-restore",
    "ip6tables-nft-restore",
    "ip6tables-legacy-restore",
)
pytestmark = [needs.root(), needs.netns(), needs.program(*PROGRAMS)]
Plan = dict[ServiceKey, tuple[Portal, ...]]
FEW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
THEIRS = """*filter
:THEIRS - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -j THEIRS
-A THEIRS -s 203.0.113.9/32 -j DROP
COMMIT
*nat
:OTHERS - [0:0]
-A PREROUTING -p tcp -m tcp --dport 8022 -j OTHERS
-A OTHERS -p tcp -j DNAT --to-destination 10.9.9.9:22
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
COMMIT
"""


class Host4and6:
    """A namespace and the tools of one variant."""

    def __init__(self, variant: str) -> None:
        self.name = spaces.make(f"ipt-{variant}")
        four, six = f"iptables-{variant}", f"ip6tables-{variant}"
        self.tools = Tools(f"{four}-restore", f"{four}-save", f"{six}-restore", f"{six}-save")

    def run(self, commands: Sequence[Command]) -> list[str]:
        return [spaces.run(*each.argv, space=self.name, stdin=each.stdin) for each in commands]

    def begin(self, host: Host) -> IptablesBackend:
        backend = IptablesBackend(host, self.tools)
        backend.adopt(self.run(backend.inventory()))
        return backend

    def sync(self, backend: IptablesBackend) -> None:
        while commands := backend.pending():
            self.run(commands)
            backend.committed()
        assert not backend.untidy

    def clean(self) -> None:
        backend = self.begin(Host())
        self.sync(backend)

    def rules(self, family: int = 4) -> list[str]:
        saved = spaces.run(self.tools.save(family), space=self.name)
        return [re.sub(r" \[\d+:\d+\]", "", line) for line in saved.splitlines() if line[:1] in "*:-"]


@pytest.fixture(params=["nft", "legacy"])
def kernel(request: pytest.FixtureRequest) -> Iterator[Host4and6]:
    kernel = Host4and6(request.param)
    yield kernel
    spaces.drop(kernel.name)


@FEW
@given(history=histories(), host=hosts(localhost=True))
def test_every_transaction_of_a_sequence_loads(kernel: Host4and6, history: list[Plan], host: Host) -> None:
    backend = kernel.begin(host)
    for plan in history:
        for key, portals in plan.items():
            backend.want(key, portals)
        kernel.sync(backend)
    kernel.clean()
    assert not any("SKYDNS" in line for line in kernel.rules(4) + kernel.rules(6))


@FEW
@given(history=histories(), host=hosts())
def test_small_steps_leave_in_the_kernel_what_one_large_step_leaves(
    kernel: Host4and6, history: list[Plan], host: Host
) -> None:
    backend = kernel.begin(host)
    for plan in history:
        for key, portals in plan.items():
            backend.want(key, portals)
            kernel.run(backend.pending())
            backend.committed()
    kernel.sync(backend)
    in_steps = sorted(kernel.rules(4) + kernel.rules(6))
    kernel.clean()
    fresh = kernel.begin(host)
    for key, portals in history[-1].items():
        fresh.want(key, portals)
    kernel.sync(fresh)
    assert sorted(kernel.rules(4) + kernel.rules(6)) == in_steps
    kernel.clean()


@FEW
@given(plan=plans())
def test_hairpin_rules_load_where_there_is_no_bpf(kernel: Host4and6, plan: Plan) -> None:
    backend = IptablesBackend(Host(), replace(kernel.tools, random_fully=False, bpf=False))
    backend.adopt(kernel.run(backend.inventory()))
    for key, portals in plan.items():
        backend.want(key, portals)
    kernel.sync(backend)


def _web(number: int = 1) -> Portal:
    targets = tuple(Target(bytes((10, 244, 0, i)), 80) for i in (1, 2))
    return Portal(
        "n", f"web{number}", "", 4, "TCP", 80, inside=(bytes((10, 96, 0, number)),), cluster=targets
    )


def test_rules_of_others_stay_and_jumps_come_back_to_the_first_place(kernel: Host4and6) -> None:
    spaces.run(kernel.tools.restore4, "--noflush", space=kernel.name, stdin=THEIRS)
    before = kernel.rules()
    backend = kernel.begin(Host())
    backend.want(("n", "web1"), [_web()])
    kernel.sync(backend)
    good = kernel.rules()
    assert [line for line in good if "SKYDNS" not in line] == before
    _push_in_front(kernel)
    assert kernel.rules() != good
    kernel.sync(_adopted(kernel, backend))
    assert all(leads_to_us(rule) for rule in _first_rules(kernel))
    kernel.run(backend.cleanup(kernel.run(backend.inventory())))
    assert [line for line in kernel.rules() if "198.51.100.9" not in line] == before


def _push_in_front(kernel: Host4and6) -> None:
    text = "*nat\n-I PREROUTING 1 -s 198.51.100.9/32 -j ACCEPT\n-D OUTPUT -j SKYDNS-NAT\nCOMMIT\n"
    spaces.run(kernel.tools.restore4, "--noflush", space=kernel.name, stdin=text)


def _adopted(kernel: Host4and6, backend: IptablesBackend) -> IptablesBackend:
    backend.adopt(kernel.run(backend.inventory()))
    return backend


def _first_rules(kernel: Host4and6) -> list[str]:
    """The first rule of each built-in chain of nat."""
    saved = spaces.run(kernel.tools.save4, "-t", "nat", space=kernel.name).splitlines()
    rules = [line for line in saved if line.startswith("-A ") and not line.startswith("-A SKYDNS")]
    return [next(line for line in rules if line.split()[1] == hook) for hook in HOOKS["nat"]]


def test_chains_that_were_flushed_by_others_are_whole_again_after_adoption(kernel: Host4and6) -> None:
    backend = kernel.begin(Host())
    for number in range(1, 60):
        backend.want(("n", f"web{number}"), [_web(number)])
    kernel.sync(backend)
    good = sorted(kernel.rules())
    flush = "".join(f":{line[1:].split()[0]} - [0:0]\n" for line in good if line.startswith(":SKYDNS-PORTAL"))
    spaces.run(kernel.tools.restore4, "--noflush", space=kernel.name, stdin=f"*nat\n{flush}COMMIT\n")
    assert sorted(kernel.rules()) != good
    kernel.sync(_adopted(kernel, backend))
    assert sorted(kernel.rules()) == good


def test_a_restart_takes_over_and_drops_what_nobody_wants_any_more(kernel: Host4and6) -> None:
    first = kernel.begin(Host())
    for number in range(1, 200):
        first.want(("n", f"web{number}"), [_web(number)])
    kernel.sync(first)
    second = kernel.begin(Host())
    second.want(("n", "web1"), [_web()])
    kernel.sync(second)
    after = sorted(kernel.rules())
    kernel.clean()
    third = kernel.begin(Host())
    third.want(("n", "web1"), [_web()])
    kernel.sync(third)
    assert sorted(kernel.rules()) == after
