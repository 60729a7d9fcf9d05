"""Which sessions an observer counts as over, and what that makes of the keys."""

from skydns_py.balancer.kubernetes_ledger import LEFT_SECONDS, Ledger
from skydns_py.balancer.kubernetes_objects import Item
from skydns_py.balancer.store import Held, Keys, News
from skydns_py.balancer.view import View

KEYS = Keys("/lb")
SEAT = KEYS.owner("192.0.2.1")


def session(lease: int, version: int, seconds: int = 2) -> Item:
    return Item(f"s{lease}", "u", version, lease=lease, seconds=seconds)


def key(name: str, version: int, lease: int = 0, value: bytes = b"n1") -> Item:
    return Item(name, "u", version, name, value, lease)


def hearing(ledger: Ledger, begin: float, end: float) -> Ledger:
    """Let another session be renewed from ``begin`` on, so that there is no silence until ``end``."""
    for step in range(round((end - begin) * 2) + 1):
        ledger.take(session(99, 1000 + step, 60), True, begin + step / 2)
    return ledger


def test_a_session_is_overdue_its_seconds_after_it_was_seen_to_change() -> None:
    ledger = Ledger([session(1, 5)], 5, 100.0)
    hearing(ledger, 100.0, 101.0)
    assert (ledger.overdue(101.99), ledger.next_end()) == ([], 102.0)
    ledger.take(session(1, 6), True, 101.5)
    hearing(ledger, 102.0, 103.0)
    assert ledger.overdue(103.4) == []
    assert ledger.overdue(103.5) == [session(1, 6)]


def test_each_session_has_its_own_seconds() -> None:
    ledger = Ledger([session(1, 5, seconds=2), session(2, 6, seconds=60)], 6, 0.0)
    assert hearing(ledger, 0.0, 59.5).overdue(59.9) == [session(1, 5, seconds=2)]


def test_the_count_begins_anew_where_the_session_was_not_as_it_was_counted() -> None:
    ledger = hearing(Ledger([session(1, 5)], 5, 0.0), 0.0, 3.5)
    ledger.renewed(session(1, 5), 2.0)
    assert (ledger.overdue(3.9), ledger.overdue(4.0)) == ([], [session(1, 5)])
    ledger.take(session(1, 6), True, 4.0)
    ledger.renewed(session(1, 5), 9.0)  # an answer that came late
    assert ledger.next_end() == 6.0


def test_a_new_listing_begins_every_count_anew() -> None:
    assert hearing(Ledger([session(1, 5)], 5, 50.0), 50.0, 51.5).overdue(51.9) == []


def test_after_a_silence_every_count_begins_anew() -> None:
    ledger = hearing(Ledger([session(1, 5)], 5, 0.0, pace=2.0), 0.0, 1.0)
    assert ledger.overdue(2.1) == []  # nothing was heard for 1.1 s
    ledger.take(session(99, 2000, 60), True, 2.1)
    assert ledger.overdue(2.1) == []
    hearing(ledger, 2.5, 4.0)
    assert (ledger.overdue(4.0), ledger.overdue(4.1)) == ([], [session(1, 5)])


def test_one_whose_own_session_is_renewed_seldom_ends_a_short_one_all_the_same() -> None:
    ledger = Ledger([session(1, 5), session(99, 6, 60)], 6, 0.0, pace=60.0)
    ledger.take(session(99, 7, 60), True, 10.0)
    assert ledger.overdue(10.1) == [session(1, 5)]


def test_keys_go_with_their_session_and_only_with_its_deletion() -> None:
    ledger = Ledger([session(1, 5), key(SEAT, 6, 1), key(KEYS.ip("192.0.2.1"), 7)], 7, 0.0)
    assert ledger.whole() == News({SEAT: Held(b"n1", 12, 1), KEYS.ip("192.0.2.1"): Held(b"n1", 14)}, whole=15)
    hearing(ledger, 0.0, 99.5)
    assert ledger.overdue(100.0) == [session(1, 5)]
    assert (ledger.left(SEAT), ledger.whole().keys[SEAT].lease) == (0, 1)
    assert ledger.take(session(1, 9), False, 100.0) == {SEAT: Held(b"", 13)}
    assert (ledger.left(SEAT), ledger.overdue(100.5)) == (6, [])
    assert ledger.left(KEYS.ip("192.0.2.1")) == 0


def test_a_key_that_was_written_after_its_session_had_ended_was_never_there() -> None:
    ledger = Ledger([session(1, 5)], 5, 0.0)
    ledger.take(session(1, 6), False, 1.0)
    assert ledger.take(key(SEAT, 8, 1), True, 1.0) == {SEAT: Held(b"", 17)}
    view = View(KEYS)
    view.take(News({SEAT: Held(b"n1", 16, 1)}))  # its writer was told that it was written
    view.take(News({SEAT: Held(b"", 17)}))
    assert view.owners == {}


def test_an_object_that_was_left_is_another_nodes_once_it_is_written_over() -> None:
    ledger = Ledger([key(SEAT, 6, 1), session(2, 7)], 7, 0.0)
    assert ledger.left(SEAT) == 6
    assert ledger.take(key(SEAT, 8, 2, b"n2"), True, 1.0) == {SEAT: Held(b"n2", 16, 2)}
    assert (ledger.left(SEAT), ledger.leftovers(1000.0)) == (0, [])
    assert ledger.take(session(1, 9), False, 2.0) == {}
    assert ledger.take(session(2, 10), False, 3.0) == {SEAT: Held(b"", 17)}


def test_a_key_that_is_removed_is_gone_and_one_that_comes_again_is_there() -> None:
    ledger = Ledger([session(1, 5), key(SEAT, 6, 1)], 6, 0.0)
    assert ledger.take(key(SEAT, 9, 1), False, 1.0) == {SEAT: Held(b"", 19)}
    assert ledger.take(key(SEAT, 10, 1), True, 1.0) == {SEAT: Held(b"n1", 20, 1)}


def test_what_nobody_wanted_is_cleaned_away_after_a_while() -> None:
    ledger = Ledger([key(SEAT, 6, 1)], 6, 10.0)
    assert ledger.leftovers(9.9 + LEFT_SECONDS) == []
    assert ledger.leftovers(10.0 + LEFT_SECONDS) == [key(SEAT, 6, 1)]
    ledger.take(key(SEAT, 7, 1), False, 50.0)
    assert ledger.leftovers(1000.0) == []


def test_news_of_a_listing_is_newer_than_all_that_was_there_before() -> None:
    view = View(KEYS)
    view.take(News({SEAT: Held(b"n1", 14, 1)}))  # an own write at resourceVersion 7
    view.take(Ledger([], 7, 0.0).whole())
    assert view.owners == {}
