"""With Leases, too: no address is ever at two nodes, whatever is stopped, cut off or late."""

from ipaddress import ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skydns_py.balancer.store import CONTROLLER
from tests.balancer.kube_nodes import api_world
from tests.balancer.nodes import World
from tests.balancer.test_election import EVENTS, SEATS

SEEDS = st.integers(0, 2**32)


def play(world: World, events: list[tuple[str, int, float]]) -> None:
    """Let it all happen; ``World.run`` checks all the while."""
    world.run(3.0)
    for what, which, seconds in events:
        node = world.nodes[which]
        node.stopped = what == "stop" or (node.stopped and what != "go")
        node.cut = what == "cut" or (node.cut and what != "mend")
        world.run(seconds)


@settings(deadline=None, max_examples=100)
@given(EVENTS, SEEDS)
@example([("stop", 1, 2.0)], 707512)  # all seats were seen free by nodes whose leases were not sure just then
def test_no_address_is_at_two_nodes_whatever_is_stopped_cut_off_or_late(
    events: list[tuple[str, int, float]], seed: int
) -> None:
    world = api_world("abc", SEATS, seed)
    play(world, events)
    world.calm()
    world.run(8.0)
    assert {seat for seat in world.holders() if seat != CONTROLLER} == set(SEATS)
    held = {address for node in world.nodes for address in node.kernel}
    assert held == {ip_address(seat).packed for seat in SEATS}


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_what_a_dead_node_had_is_taken_within_three_seconds(seed: int) -> None:
    world = api_world("abc", SEATS, seed)
    world.calm()
    world.run(4.0)
    dead = max(world.nodes, key=lambda node: len(node.kernel))
    lost = set(dead.kernel)
    assert lost
    dead.stopped = dead.cut = True
    world.run(3.0)
    assert lost <= {address for node in world.nodes if node is not dead for address in node.kernel}


def test_nobody_loses_anything_while_all_is_well() -> None:
    world = api_world("abc", SEATS, 7)
    world.calm()
    world.run(4.0)
    before = world.holders()
    world.run(20.0)
    assert world.holders() == before
    assert [node.announcer.fenced for node in world.nodes] == [0, 0, 0]


def test_when_the_api_was_away_for_all_everybody_has_again_what_he_had() -> None:
    world = api_world("abc", SEATS, 11)
    world.calm()
    world.run(4.0)
    before = {seat: node for seat, node in world.holders().items() if seat != CONTROLLER}
    for node in world.nodes:
        node.cut = True
    world.run(10.0)
    assert not any(node.kernel for node in world.nodes)
    world.calm()
    world.run(4.0)
    assert before.items() <= world.holders().items()


def test_the_model_finds_an_observer_that_ends_sessions_whatever_they_have_become() -> None:
    def faulty() -> None:
        for seed in range(200):
            world = api_world("abc", SEATS, seed, blind=True)
            world.run(3.0)
            for turn in range(6):
                world.nodes[turn % 3].stopped = True
                world.run(2.5)
                world.nodes[turn % 3].stopped = False
                world.run(1.0)

    with pytest.raises(AssertionError, match=r"two nodes have one address|both give addresses"):
        faulty()
