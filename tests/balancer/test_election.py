"""No address is ever at two nodes, whatever is stopped, cut off or late; and a free one is soon taken."""

from collections import Counter
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.balancer.election import Election, Verdict, order
from skydns_py.balancer.store import CONTROLLER, Held, Keys, News
from skydns_py.balancer.view import View
from tests.balancer.nodes import World

KEYS = Keys("/lb")
SEATS = ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["stop", "go", "cut", "mend"]),
        st.integers(0, 2),
        st.floats(0.02, 4.0),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=200)
@given(EVENTS, st.integers(0, 2**32))
def test_no_address_is_at_two_nodes_whatever_is_stopped_cut_off_or_late(
    events: list[tuple[str, int, float]], seed: int
) -> None:
    world = World("abc", SEATS, seed)
    world.run(3.0)
    for what, which, seconds in events:
        node = world.nodes[which]
        node.stopped = what == "stop" or (node.stopped and what != "go")
        node.cut = what == "cut" or (node.cut and what != "mend")
        world.run(seconds)
    world.calm()
    world.run(6.0)
    assert {seat for seat in world.holders() if seat != CONTROLLER} == set(SEATS)
    held = {address for node in world.nodes for address in node.kernel}
    assert held == {ip_address(seat).packed for seat in SEATS}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_what_a_dead_node_had_is_taken_within_three_seconds(seed: int) -> None:
    world = World("abc", SEATS, seed)
    world.calm()
    world.run(4.0)
    dead = max(world.nodes, key=lambda node: len(node.kernel))
    lost = set(dead.kernel)
    assert lost
    dead.stopped = dead.cut = True
    world.run(3.0)
    assert lost <= {address for node in world.nodes if node is not dead for address in node.kernel}


def _view(**owners: int) -> View:
    view = View(KEYS)
    view.take(News({KEYS.owner(seat): Held(b"n", 5, lease) for seat, lease in owners.items()}, 9))
    return view


def test_a_seat_is_ours_only_by_the_present_lease() -> None:
    election = Election("a", _view(seat=7))
    assert election.verdict("seat", {"a"}) is Verdict.NONE
    election.opened(8, 2.0, 100.0)
    assert election.verdict("seat", {"a"}) is Verdict.NONE
    election.opened(7, 2.0, 100.0)
    assert election.verdict("seat", {"a"}) is Verdict.HOLD
    assert election.verdict("seat", {"b"}) is Verdict.YIELD
    assert election.verdict("other", {"a"}) is Verdict.TRY
    election.ended()
    assert election.verdict("seat", {"a"}) is Verdict.NONE


def test_acting_ends_two_thirds_of_the_lease_after_the_renewal_was_sent() -> None:
    election = Election("a", _view())
    election.opened(1, 3.0, 100.0)
    assert (election.sure(101.9), election.sure(102.0)) == (True, False)
    election.confirmed(1, 101.0)
    assert (election.sure(102.9), election.sure(103.0)) == (True, False)
    election.confirmed(2, 200.0)  # of another lease
    assert not election.sure(103.0)


def test_the_kernel_is_prolonged_only_where_that_ends_before_the_lease() -> None:
    for seconds in range(2, 61):
        election = Election("a", _view())
        election.opened(1, float(seconds), 0.0)
        latest = max(now / 100 for now in range(seconds * 100) if election.may_prolong(now / 100))
        assert latest > 0.5, "a renewal may take some time"
        assert latest + election.validity + 0.25 < seconds
        assert election.validity >= 1


def test_seats_spread_over_the_nodes_and_one_that_goes_moves_no_other() -> None:
    seats, nodes = [f"192.0.2.{number}" for number in range(240)], {"a", "b", "c", "d"}
    first = {seat: order(seat, nodes)[0] for seat in seats}
    assert all(40 <= count <= 80 for count in Counter(first.values()).values())
    for seat in seats:
        assert order(seat, nodes - {"a"}) == [node for node in order(seat, nodes) if node != "a"]


def test_late_news_of_a_seat_that_was_given_up_does_not_bring_it_back() -> None:
    view, key = View(KEYS), KEYS.owner("192.0.2.1")
    view.take(News({key: Held(b"a", 5, 1)}))
    view.take(News({key: Held(b"", 6)}))
    assert view.take(News({key: Held(b"a", 5, 1)})) == set()
    assert view.owners == {}
    view.take(News({key: Held(b"b", 8, 2)}))
    view.take(News({}, 7))  # a list that was read before that
    assert view.owners["192.0.2.1"].node == "b"
    view.take(News({}, 9))
    assert view.owners == {}
