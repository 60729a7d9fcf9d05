"""The iptables rules followed by a model of the tables: every packet ends as the model's rules say."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skydns_py.portal.iptables import tree
from skydns_py.portal.iptables.backend import IptablesBackend, Tools
from skydns_py.portal.plan.model import Host, Portal, ServiceKey, Target
from tests.builders import packed

from .iptables_rules import State
from .iptables_trace import Kernel, trace
from .outcome import Outcome, Packet, outcome, undecided
from .plans import histories, hosts, packets, plans

Plan = dict[ServiceKey, tuple[Portal, ...]]
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
PACKETS = 40
STRANGER, POD, PORTAL = packed("203.0.113.7"), packed("10.244.0.1"), packed("10.96.0.1")
TARGETS = tuple(Target(packed(f"10.244.9.{number}"), 80) for number in range(1, 8))
WEB = Portal("default", "web", "", 4, "TCP", 80, inside=(PORTAL,), cluster=TARGETS)


def synced(backend: IptablesBackend, kernel: Kernel) -> None:
    """Until there is nothing left to do."""
    for _ in range(3):
        commands = backend.pending()
        kernel.run(commands)
        if commands:
            backend.committed()
    assert not backend.pending()
    assert not backend.untidy


def begun(host: Host, tools: Tools, kernel: Kernel) -> IptablesBackend:
    backend = IptablesBackend(host, tools)
    assert len(backend.inventory()) == 2
    backend.adopt([kernel.save(4), kernel.save(6)])
    return backend


def programmed(host: Host, *portals: Portal) -> Kernel:
    kernel = Kernel()
    backend = begun(host, Tools(), kernel)
    backend.want(("default", "web"), portals)
    synced(backend, kernel)
    return kernel


def agrees(kernel: Kernel, host: Host, portals: Sequence[Portal], packet: Packet) -> None:
    found, shares = trace(kernel, host, packet)
    free = {Target(packet.destination, packet.port), *undecided(portals, packet)}
    assert without(found, free) == without(outcome(portals, host, packet), free), str(packet)
    for share in shares.values():
        assert abs(share - Fraction(1, len(shares))) < Fraction(1, 10**6)


def without(result: Outcome, free: set[Target]) -> Outcome:
    """Whatever is masqueraded of ``free``: a target that is what was asked for is not called translated."""
    return replace(result, masqueraded=result.masqueraded - free)


@FEW
@given(histories(), hosts(localhost=True), st.booleans(), st.randoms(use_true_random=False))
def test_every_packet_ends_as_the_rules_say_after_each_change(
    history: list[Plan], host: Host, bpf: bool, random: Random
) -> None:
    kernel = Kernel()
    backend = begun(host, Tools(bpf=bpf), kernel)
    for plan in history:
        for key, portals in plan.items():
            backend.want(key, portals)
        kernel.run(backend.pending())
        backend.committed()
        wanted = [portal for portals in plan.values() for portal in portals]
        for packet in random.sample(packets(host), PACKETS):
            agrees(kernel, host, wanted, packet)


@FEW
@given(histories(), hosts(localhost=True), st.booleans(), st.randoms(use_true_random=False))
def test_changes_one_by_one_lead_where_a_fresh_start_leads(
    history: list[Plan], host: Host, small: bool, random: Random
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "LEAF", 2 if small else tree.LEAF)
        patch.setattr(tree, "INLINE", 1 if small else tree.INLINE)
        kernel, fresh = Kernel(), Kernel()
        backend, other = begun(host, Tools(), kernel), begun(host, Tools(), fresh)
        for plan in history:
            for key, portals in random.sample(list(plan.items()), len(plan)):
                backend.want(key, portals)
                if random.random() < 0.5:
                    synced(backend, kernel)
        synced(backend, kernel)
        for key, portals in history[-1].items():
            other.want(key, portals)
        synced(other, fresh)
        assert sorted_rules(kernel) == sorted_rules(fresh)


def sorted_rules(kernel: Kernel) -> list[str]:
    return sorted((kernel.save(4) + kernel.save(6)).splitlines()) + [
        rule for chains in kernel.tables.values() for name in sorted(chains) for rule in chains[name]
    ]


@FEW
@given(plans(), plans(), hosts())
def test_whatever_was_left_is_taken_over_and_cleaned_up_to_the_last_chain(
    before: Plan, after: Plan, host: Host
) -> None:
    kernel, fresh = Kernel(), Kernel()
    for table in kernel, fresh:
        table.tables[4, "nat"]["PREROUTING"].append("-p tcp -j OTHERS")
        table.tables[4, "nat"]["OTHERS"] = ["-d 10.9.9.9/32 -j RETURN"]
    untouched = kernel.save(4), kernel.save(6)
    for plan in before, after:
        backend = begun(host, Tools(), kernel)
        for key, portals in plan.items():
            backend.want(key, portals)
        synced(backend, kernel)
    other = begun(host, Tools(), fresh)
    for key, portals in after.items():
        other.want(key, portals)
    synced(other, fresh)
    assert sorted_rules(kernel) == sorted_rules(fresh)
    kernel.run(backend.cleanup([kernel.save(4), kernel.save(6)]))
    assert (kernel.save(4), kernel.save(6)) == untouched


def test_a_remembered_source_gets_its_target_again_until_the_time_is_over() -> None:
    host, packet = Host(), Packet(STRANGER, PORTAL, "TCP", 80)
    kernel = programmed(host, replace(WEB, affinity_seconds=10))
    ways = list(kernel.follow(State(packet, host)))
    assert {state.target for _, state in ways} == set(TARGETS)
    for _, state in ways:
        again = State(packet, host, now=10, memory=state.memory)
        assert {after.target for _, after in kernel.follow(again)} == {state.target}
        late = State(packet, host, now=11, memory=state.memory)
        assert {after.target for _, after in kernel.follow(late)} == set(TARGETS)


def test_a_source_is_remembered_through_another_front_and_another_set_of_targets() -> None:
    outside = packed("192.0.2.1")
    portal = replace(WEB, affinity_seconds=10, public=(outside,), external_local=True, local=TARGETS[2:4])
    host = Host(cluster_cidr=(ip_network("10.244.0.0/16"),))
    kernel = programmed(host, portal)
    for _, state in kernel.follow(State(Packet(STRANGER, PORTAL, "TCP", 80), host)):
        again = State(Packet(STRANGER, outside, "TCP", 80), host, memory=state.memory)
        found = {after.target for _, after in kernel.follow(again)}
        assert found == ({state.target} if state.target in portal.local else set(portal.local))


def test_a_mark_that_others_set_survives_where_nothing_is_translated() -> None:
    host = Host(cluster_cidr=(ip_network("10.244.0.0/16"),))
    kernel = programmed(host, WEB)
    elsewhere = Packet(STRANGER, packed("10.96.9.9"), "TCP", 80)
    for mark in (0, 0x4000, 0x8000):
        [(verdict, after)] = kernel.follow(State(elsewhere, host, mark=mark))
        assert (verdict, after.mark, after.masqueraded) == ("ACCEPT", mark, False)


def test_a_refused_exact_front_is_not_given_to_a_node_port() -> None:
    own = packed("192.168.1.1")
    host = Host(own=(own,))
    refused = replace(WEB, inside=(), public=(own,), port=30080, cluster=())
    kernel = programmed(host, refused, replace(WEB, service="other", node_port=30080))
    agrees(kernel, host, [refused], Packet(STRANGER, own, "TCP", 30080))


def test_three_thousand_fronts_are_found_in_a_few_dozen_rules() -> None:
    kernel, host = Kernel(), Host()
    backend = begun(host, Tools(), kernel)
    for number in range(3000):
        address = packed(f"10.{96 + number % 3}.{number // 256}.{number % 256}")
        backend.want(("n", str(number)), [replace(WEB, service=str(number), inside=(address,))])
    kernel.run(backend.pending())
    longest = max(len(rules) for chains in kernel.tables.values() for rules in chains.values())
    assert longest <= tree.LEAF
    agrees(
        kernel,
        host,
        [replace(WEB, inside=(packed("10.97.0.1"),))],
        Packet(POD, packed("10.97.0.1"), "TCP", 80),
    )
