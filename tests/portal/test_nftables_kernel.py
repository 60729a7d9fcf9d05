"""Whatever the backend prints, the kernel takes; what is gone leaves nothing behind."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from skydns_py.portal.backend import Command
from skydns_py.portal.nftables.backend import NftablesBackend
from skydns_py.portal.plan.model import Host, Portal, ServiceKey
from tests import needs

from .plans import histories, hosts

pytestmark = [needs.root(), needs.program("nft", "ip")]
Plan = dict[ServiceKey, tuple[Portal, ...]]
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
SPACE = f"skydns-nft-{os.getpid()}"
FOREIGN = (
    "add table ip other\nadd chain ip other keep\nadd rule ip other keep counter drop\nadd table ip6 other\n"
)


@pytest.fixture(scope="module", autouse=True)
def space() -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", SPACE], check=True, timeout=10)
    yield
    subprocess.run(["ip", "netns", "delete", SPACE], check=True, timeout=10)


def execute(command: Command) -> str:
    argv = ["ip", "netns", "exec", SPACE, *command.argv]
    done = subprocess.run(argv, input=command.stdin, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{command.stdin}"
    return done.stdout


def nft(text: str) -> None:
    execute(Command(("nft", "-f", "-"), text))


def ruleset() -> list[str]:
    """The whole ruleset as its sorted parts: a hash has no order."""
    parts = re.split(r"[\n,]", execute(Command(("nft", "list", "ruleset"))).replace("elements = {", ","))
    return sorted(part.strip(" \t}") for part in parts if part.strip(" \t}"))


def adopted(host: Host) -> NftablesBackend:
    backend = NftablesBackend(host)
    backend.adopt([execute(command) for command in backend.inventory()])
    return backend


def sync(backend: NftablesBackend) -> None:
    for command in backend.pending():
        execute(command)
    backend.committed()


def settle(backend: NftablesBackend) -> list[str]:
    sync(backend)
    sync(backend)
    assert not backend.untidy
    return ruleset()


def want(backend: NftablesBackend, before: Plan, plan: Plan) -> None:
    for service in before.keys() | plan.keys():
        backend.want(service, plan.get(service, ()))


@FEW
@given(history=histories(), host=hosts(), later=hosts())
def test_the_kernel_takes_every_change_and_ends_where_a_new_start_ends(
    history: list[Plan], host: Host, later: Host
) -> None:
    nft("flush ruleset\n" + FOREIGN)
    foreign = ruleset()
    backend, before = adopted(host), Plan()
    for plan in history:
        want(backend, before, plan)
        sync(backend)
        before = plan
    changed = settle(backend)
    nft("flush ruleset\n" + FOREIGN)
    again = adopted(host)
    want(again, {}, before)
    assert settle(again) == changed
    takeover = adopted(later)
    want(takeover, {}, before)
    settle(takeover)
    want(takeover, before, {})
    left = settle(takeover)
    assert left == foreign or later.untracked
    for command in takeover.cleanup([execute(command) for command in takeover.inventory()]):
        execute(command)
    assert ruleset() == foreign


def test_a_table_of_another_layout_is_replaced() -> None:
    nft("flush ruleset\nadd table ip skydns\nadd map ip skydns services { type mark : verdict; }\n")
    backend = adopted(Host())
    portal = Portal("a", "b", "", 4, "TCP", 80, inside=(b"\x0a\x60\x00\x01",))
    backend.want(("a", "b"), [portal])
    settle(backend)
    assert execute(Command(("nft", "get", "element", "ip", "skydns", "portals", "{ 10.96.0.1 }")))


def test_what_was_flushed_by_somebody_is_repaired_after_an_adoption() -> None:
    nft("flush ruleset\n")
    portal = Portal("a", "b", "", 4, "TCP", 80, inside=(b"\x0a\x60\x00\x01",))
    backend = adopted(Host())
    backend.want(("a", "b"), [portal])
    whole = settle(backend)
    nft("flush table ip skydns\n")
    assert ruleset() != whole
    backend.adopt([execute(command) for command in backend.inventory()])
    assert settle(backend) == whole


def test_cleanup_of_a_host_without_our_tables_does_nothing() -> None:
    nft("flush ruleset\n" + FOREIGN)
    backend = NftablesBackend(Host())
    assert backend.cleanup([execute(command) for command in backend.inventory()]) == ()
