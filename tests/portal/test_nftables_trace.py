"""The printed nftables do what the model says, whatever came before, by a tracer over the text."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skydns_py.portal.nftables.backend import NftablesBackend
from skydns_py.portal.plan.model import Host, Portal, ServiceKey, Target

from .nft_state import Tables, run
from .nft_trace import connect, trace
from .outcome import Packet, outcome, undecided
from .plans import histories, hosts, packets, portal_lists

Plan = dict[ServiceKey, tuple[Portal, ...]]
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def listing(tables: Tables) -> tuple[str, str]:
    """What the inventory's commands would print of ``tables``."""
    chains, sets = [], []
    for family, table in tables.items():
        chains += [f"table {family} skydns {{", *(f"\tchain {name} {{\n\t}}" for name in table.rules), "}"]
        names = [name for name, declared in table.declared.items() if declared.startswith("set")]
        sets += [f"table {family} skydns {{", *(f"\tset {name} {{\n\t}}" for name in names), "}"]
    return "\n".join(chains), "\n".join(sets)


def sync(backend: NftablesBackend, tables: Tables) -> Tables:
    """One round: what is pending runs, and is committed."""
    for command in backend.pending():
        assert command.argv == ("nft", "-f", "-")
        tables = run(tables, command.stdin)
    backend.committed()
    return tables


def settle(backend: NftablesBackend, tables: Tables) -> Tables:
    """Rounds until nothing is left to do."""
    tables = sync(backend, sync(backend, tables))
    assert not backend.untidy
    assert backend.pending() == ()
    return tables


def want(backend: NftablesBackend, before: Plan, plan: Plan) -> None:
    for service in before.keys() | plan.keys():
        backend.want(service, plan.get(service, ()))


def portals_of(plan: Plan) -> list[Portal]:
    return [portal for portals in plan.values() for portal in portals]


def check(tables: Tables, host: Host, portals: Sequence[Portal]) -> None:
    for packet in packets(host):
        free = undecided(portals, packet)
        expected, found = (
            replace(each, masqueraded=each.masqueraded - free)
            for each in (outcome(portals, host, packet), trace(tables, host, packet))
        )
        if found != expected and packet.source == packet.destination:
            # Translated to what it asked for anyway: the kernel sees no translation, and no need for more.
            itself = {Target(packet.destination, packet.port)}
            expected = replace(expected, masqueraded=expected.masqueraded - itself)
        assert found == expected, f"{packet}: {found} instead of {expected}"


def fresh(host: Host, plan: Plan) -> Tables:
    backend = NftablesBackend(host)
    backend.adopt(("", ""))
    want(backend, {}, plan)
    return sync(backend, {})


@SLOW
@given(portals=portal_lists(), host=hosts())
def test_every_packet_meets_the_outcome_of_the_model(portals: list[Portal], host: Host) -> None:
    backend = NftablesBackend(host)
    backend.adopt(("", ""))
    backend.want(("all", "together"), portals)
    check(sync(backend, {}), host, portals)


@SLOW
@given(history=histories(), host=hosts(), lazy=st.booleans())
def test_after_every_change_packets_meet_the_model_and_the_table_is_as_if_new(
    history: list[Plan], host: Host, lazy: bool
) -> None:
    backend, tables, before = NftablesBackend(host), Tables(), Plan()
    backend.adopt(("", ""))
    for plan in history:
        want(backend, before, plan)
        tables, before = sync(backend, tables), plan
        check(tables, host, portals_of(plan))
        if not lazy:
            tables = settle(backend, tables)
            assert tables == fresh(host, plan)
    assert settle(backend, tables) == fresh(host, before)


@SLOW
@given(history=histories(2), host=hosts(), later=hosts())
def test_a_restart_under_other_settings_takes_over_in_one_transaction(
    history: list[Plan], host: Host, later: Host
) -> None:
    tables = fresh(host, history[0])
    backend = NftablesBackend(later)
    backend.adopt(listing(tables))
    want(backend, {}, history[-1])
    tables = sync(backend, tables)
    check(tables, later, portals_of(history[-1]))
    assert settle(backend, tables) == fresh(later, history[-1])


@SLOW
@given(history=histories(), host=hosts(), fails=st.lists(st.booleans(), min_size=8, max_size=8))
def test_failed_transactions_and_wants_that_overlap_them_end_in_the_same_table(
    history: list[Plan], host: Host, fails: list[bool]
) -> None:
    backend, tables, before = NftablesBackend(host), Tables(), Plan()
    backend.adopt(("", ""))
    for plan, failing in zip(history, fails, strict=False):
        commands = backend.pending()
        want(backend, before, plan)
        before = plan
        if failing:
            backend.adopt(listing(tables))
            continue
        for command in commands:
            tables = run(tables, command.stdin)
        backend.committed()
    assert settle(backend, tables) == fresh(host, before)


@SLOW
@given(portals=portal_lists(), host=hosts(), choice=st.integers(0, 5), data=st.data())
def test_a_source_keeps_its_target_through_every_front_that_may_go_there(
    portals: list[Portal], host: Host, choice: int, data: st.DataObject
) -> None:
    """Rule 7: the portal's other fronts lead to the same target while it is among those allowed."""
    backend = NftablesBackend(host)
    backend.adopt(("", ""))
    backend.want(("all", "together"), portals)
    tables = sync(backend, {})
    owners = [each for each in portals if each.affinity_seconds]
    sent = [packet for packet in packets(host) if outcome(owners, host, packet).kind == "sent"]
    sent = [packet for packet in sent if outcome(owners, host, packet) == outcome(portals, host, packet)]
    if not sent:
        return
    packet = data.draw(st.sampled_from(sent))
    got = connect(tables, host, packet, choice)
    owner = next(each for each in owners if outcome([each], host, packet).kind == "sent")
    for again in sent:
        allowed = outcome(portals, host, again).targets
        through_owner = outcome([owner], host, again).kind == "sent"
        if again.source == packet.source and got in allowed and through_owner:
            assert trace(tables, host, again).targets == {got}
        elif not through_owner or again.source != packet.source:
            assert trace(tables, host, again).targets == allowed


def test_a_target_remembers_its_sources_through_changes_beside_it_and_a_restart() -> None:
    one, two = Target(b"\x0a\x01\x00\x01", 80), Target(b"\x0a\x01\x00\x02", 80)
    three, client = Target(b"\x0a\x01\x00\x03", 80), b"\x0a\x01\x00\x09"

    def service(*targets: Target) -> Portal:
        address = (b"\x0a\x60\x00\x01",)
        return Portal("a", "b", "", 4, "TCP", 80, inside=address, cluster=targets, affinity_seconds=9)

    packet = Packet(client, b"\x0a\x60\x00\x01", "TCP", 80)
    backend = NftablesBackend(Host())
    backend.adopt(("", ""))
    backend.want(("a", "b"), [service(one, two)])
    tables = sync(backend, {})
    assert connect(tables, Host(), packet, 1) == two
    backend.want(("a", "b"), [service(one, two, three)])
    tables = settle(backend, tables)
    assert trace(tables, Host(), packet).targets == {two}
    backend = NftablesBackend(Host())
    backend.adopt(listing(tables))
    backend.want(("a", "b"), [service(two, three)])
    tables = settle(backend, tables)
    assert trace(tables, Host(), packet).targets == {two}
    backend.want(("a", "b"), [service(one, three)])
    tables = settle(backend, tables)
    assert trace(tables, Host(), packet).targets == {one, three}
