"""The list-then-watch machine against a model of a store, and its rules one by one."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from skydns_py.sources.listwatch import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Change,
    Delete,
    ListPage,
    ListWatch,
    OpenWatch,
    Origin,
    Put,
    Wait,
)
from tests.sources.store_model import KEYS, PREFIXES, CompactedError, Entry, Store


class Following(RuleBasedStateMachine):
    """Random writes, compactions, failures and restores between the machine's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.machine = ListWatch(PREFIXES, lambda: 0.5, limit=2)
        self.told: dict[bytes, bytes] = {}
        self.backup: Store | None = None
        self.open: dict[bytes, list[tuple[bool, Entry]]] | None = None
        self.seen: dict[bytes, int] = {}
        self.value = 0
        self.restored = False
        self.identities, self.terms = self.store.cluster, self.store.term

    def tell(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.told[change.key] = change.value
            else:
                assert change.key in self.told, "a delete of what was never told"
                del self.told[change.key]

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True), gone=st.booleans())
    def write(self, keys: list[bytes], gone: bool) -> None:
        self.value += 1
        present = self.store.at(self.store.revision)
        changes = [(key, None if gone else b"%d" % self.value) for key in keys if key in present or not gone]
        if changes:
            self.store.write(*changes)
        for prefix, queue in (self.open or {}).items() if changes else ():
            queue.extend(self.store.events(prefix, self.store.revision))

    @rule(back=st.integers(0, 5), ends_watches=st.booleans())
    def compact(self, back: int, ends_watches: bool) -> None:
        """A watch that keeps up is not touched; one that lags behind the compaction may be ended by it."""
        self.store.compact(self.store.revision - back)
        waiting = [entry.mod_revision for queue in (self.open or {}).values() for _, entry in queue[:1]]
        if ends_watches and waiting and min(waiting) < self.store.compact_revision:
            self.open = None
            self.machine.compacted()

    @rule()
    def keep_backup(self) -> None:
        self.backup = Store()
        self.backup.__dict__.update(self.store.__dict__, log=list(self.store.log))

    @precondition(lambda self: self.backup is not None)
    @rule(new_cluster=st.booleans())
    def restore(self, new_cluster: bool) -> None:
        """Go back to the backup, as another cluster or in an earlier term; streams end with the process."""
        assert self.backup is not None
        self.store, self.backup, self.restored = self.backup, None, True
        self.store.cluster = self.identities = self.identities + new_cluster
        self.store.term = self.terms = self.terms - (not new_cluster)
        self.lose()

    @rule()
    def lose(self) -> None:
        self.open = None
        told = dict(self.told)
        self.machine.failed()
        assert isinstance(self.machine.next(), Wait)
        assert self.told == told

    @rule(count=st.integers(1, 9))
    def step(self, count: int) -> None:
        """Do what the machine asks; of a stream take the next ``count`` revisions of one prefix."""
        try:
            if self.open is not None:
                self.receive(self.open, count)
            else:
                self.act()
        except CompactedError:
            self.open = None
            self.machine.compacted()

    def act(self) -> None:
        action = self.machine.next()
        if isinstance(action, Wait):
            assert 0 <= action.seconds <= LONGEST_WAIT
            self.machine.waited()
        elif isinstance(action, ListPage):
            entries, token = self.store.page(action)
            changes = self.machine.page(entries, self.store.origin, token)
            self.check_page(changes)
            self.tell(changes)
        else:
            self.machine.confirm(self.store.origin)
            if not self.machine.listing:
                self.machine.opened()
                self.open = {prefix: self.store.events(prefix, since) for prefix, since in action.since}
                self.seen = dict(action.since)

    def check_page(self, changes: list[Change]) -> None:
        """Part of a list deletes nothing, and what has not changed is not told again (values are unique)."""
        assert not self.machine.listing or not any(isinstance(each, Delete) for each in changes)
        puts = [each for each in changes if isinstance(each, Put)]
        assert self.restored or all(self.told.get(each.key) != each.value for each in puts)
        self.restored = self.restored and self.machine.listing

    def receive(self, queues: dict[bytes, list[tuple[bool, Entry]]], count: int) -> None:
        """Up to ``count`` whole revisions of the prefix that lags most, or word that there is nothing new."""
        prefix = max(queues, key=lambda each: len(queues[each]))
        revisions = sorted({entry.mod_revision for _, entry in queues[prefix]})[:count]
        if not revisions:
            self.machine.progress(prefix, self.store.revision)
            return
        batch = [(gone, entry) for gone, entry in queues[prefix] if entry.mod_revision <= revisions[-1]]
        del queues[prefix][: len(batch)]
        expected = self.untold(prefix, batch)
        changes = self.machine.events(prefix, batch)
        assert changes == expected
        self.tell(changes)
        self.seen[prefix] = max(self.seen[prefix], revisions[-1])

    def untold(self, prefix: bytes, batch: list[tuple[bool, Entry]]) -> list[Change]:
        """Every change after the revision seen, in order; but no delete of what was never told."""
        known, expected = set(self.told), list[Change]()
        for gone, entry in batch:
            if entry.mod_revision > self.seen[prefix]:
                if not gone:
                    expected.append(Put(entry.key, entry.value, 0))
                elif entry.key in known:
                    expected.append(Delete(entry.key))
                (known.discard if gone else known.add)(entry.key)
        return expected

    @rule()
    def come_to_rest(self) -> None:
        """Once the store is quiet, what was told is what it holds."""
        for _ in range(200):
            if self.open is not None and not any(self.open.values()):
                break
            self.step(3)
        else:
            raise AssertionError("does not come to rest")
        assert self.told == {key: entry.value for key, entry in self.store.at(self.store.revision).items()}

    def teardown(self) -> None:
        self.come_to_rest()


Following.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestFollowing = Following.TestCase


def listed(store: Store, limit: int = 2, prefixes: tuple[bytes, ...] = PREFIXES) -> ListWatch:
    """A machine that has listed the store."""
    machine = ListWatch(prefixes, lambda: 0.5, limit)
    relist(machine, store)
    return machine


def relist(machine: ListWatch, store: Store) -> list[Change]:
    changes: list[Change] = []
    while isinstance(action := machine.next(), ListPage):
        entries, token = store.page(action)
        changes += machine.page(entries, store.origin, token)
    return changes


@pytest.fixture
def store() -> Store:
    store = Store()
    for key in KEYS:
        store.write((key, b"old"))
    return store


def test_all_prefixes_are_listed_in_pages_at_the_revision_of_the_first_answer(store: Store) -> None:
    machine = ListWatch(PREFIXES, lambda: 0.5, limit=2)
    asked = []
    while isinstance(action := machine.next(), ListPage):
        asked.append((action.prefix, action.token, action.revision))
        entries, token = store.page(action)
        machine.page(entries, store.origin, token)
        store.write((b"/a/late", b"x"))
    assert asked == [
        (b"/a/", b"", 0),
        (b"/a/", b"/a/3", 11),
        (b"/a/", b"/a/5", 11),
        (b"/b/", b"", 11),
        (b"/b/", b"/b/3", 11),
        (b"/b/", b"/b/5", 11),
    ]
    assert machine.next() == OpenWatch(((b"/a/", 11), (b"/b/", 11)))


def test_a_relist_after_compaction_yields_exactly_the_difference(store: Store) -> None:
    machine = listed(store)
    store.write((b"/a/1", b"new"), (b"/b/9", b"new"))
    store.write((b"/b/2", None))
    machine.compacted()
    assert relist(machine, store) == [Put(b"/a/1", b"new", 0), Put(b"/b/9", b"new", 0), Delete(b"/b/2")]


def test_a_relist_of_an_unchanged_store_yields_nothing(store: Store) -> None:
    machine = listed(store)
    machine.compacted()
    assert relist(machine, store) == []


def test_a_failure_in_the_middle_of_a_relist_deletes_nothing_and_keeps_the_place(store: Store) -> None:
    machine = listed(store)
    store.write((b"/a/5", None))
    machine.compacted()
    first = machine.next()
    assert isinstance(first, ListPage)
    entries, token = store.page(first)
    assert machine.page(entries, store.origin, token) == []
    machine.failed()
    machine.waited()
    assert machine.next() == ListPage(b"/a/", token, store.revision, 2)
    assert relist(machine, store) == [Delete(b"/a/5")]


def test_a_page_that_was_compacted_away_begins_the_list_again_after_a_wait(store: Store) -> None:
    machine = ListWatch(PREFIXES, lambda: 0.5, limit=2)
    first = machine.next()
    assert isinstance(first, ListPage)
    entries, token = store.page(first)
    machine.page(entries, store.origin, token)
    machine.compacted()
    assert isinstance(machine.next(), Wait)
    machine.waited()
    assert machine.next() == first


def test_a_watch_that_dies_goes_on_from_the_last_revision_seen_for_each_prefix(store: Store) -> None:
    machine = listed(store)
    store.write((b"/b/1", b"new"))
    machine.events(b"/b/", store.events(b"/b/", store.revision))
    machine.progress(b"/a/", 11)
    machine.failed()
    machine.waited()
    assert machine.next() == OpenWatch(((b"/a/", 11), (b"/b/", 12)))


def test_events_that_come_twice_are_told_once(store: Store) -> None:
    machine = listed(store)
    store.write((b"/a/1", b"new"))
    store.write((b"/a/2", None))
    events = store.events(b"/a/", 1)
    assert machine.events(b"/a/", events) == [Put(b"/a/1", b"new", 0), Delete(b"/a/2")]
    assert machine.events(b"/a/", events) == []


def test_all_events_of_one_revision_are_told(store: Store) -> None:
    machine = listed(store)
    store.write((b"/a/1", b"new"), (b"/a/2", None), (b"/a/3", b"new"))
    told = machine.events(b"/a/", store.events(b"/a/", 11))
    assert told == [Put(b"/a/1", b"new", 0), Delete(b"/a/2"), Put(b"/a/3", b"new", 0)]


@pytest.mark.parametrize("back", [Origin(5, 1, 100), Origin(11, 2, 100), Origin(50, 1, 99)])
def test_another_history_is_listed_again_and_every_key_told(store: Store, back: Origin) -> None:
    store.revision, machine = 11, listed(store)
    machine.confirm(back)
    action = machine.next()
    assert action == ListPage(b"/a/", b"", 0, 2)
    entries = [Entry(b"/a/1", b"other", 2)]
    assert machine.page(entries, back) == [Put(b"/a/1", b"other", 0)]
    gone = machine.page([], back)
    assert sorted(change.key for change in gone) == sorted(set(KEYS) - {b"/a/1"})


def test_a_cluster_that_changes_in_the_middle_of_a_list_is_listed_from_the_beginning(store: Store) -> None:
    machine = ListWatch(PREFIXES, lambda: 0.5, limit=2)
    entries, token = store.page(ListPage(b"/a/", b"", 0, 2))
    machine.page(entries, store.origin, token)
    assert machine.page([], Origin(100, 7, 100)) == []
    assert machine.next() == ListPage(b"/a/", b"", 0, 2)


def test_the_wait_doubles_up_to_its_bound_with_full_jitter_and_success_resets_it(store: Store) -> None:
    drawn = iter([1.0] * 8 + [0.25, 1.0])
    machine = ListWatch((b"/a/",), lambda: next(drawn))
    waits = []
    for _ in range(9):
        machine.failed()
        action = machine.next()
        assert isinstance(action, Wait)
        waits.append(action.seconds)
        machine.waited()
    assert waits == [FIRST_WAIT * 2**n for n in range(7)] + [LONGEST_WAIT, LONGEST_WAIT / 4]
    machine.page([], store.origin)
    machine.failed()
    assert machine.next() == Wait(FIRST_WAIT)


def test_after_a_restart_every_key_is_told_again_and_missing_ones_deleted(store: Store) -> None:
    machine = listed(store)
    store.write((b"/a/1", None))
    machine.restart()
    machine.waited()
    changes = relist(machine, store)
    assert Delete(b"/a/1") in changes
    assert {change.key for change in changes if isinstance(change, Put)} == set(KEYS) - {b"/a/1"}


def test_an_older_revision_of_a_key_is_told_too(store: Store) -> None:
    """A restore that bumps the revision is not seen as one, but its keys may be older than those known."""
    machine = listed(store)
    machine.compacted()
    machine.next()
    assert machine.page([Entry(b"/a/5", b"older", 3)], Origin(1000, 1, 100)) == [Put(b"/a/5", b"older", 0)]


def test_behind_tells_whether_every_prefix_was_followed_up_to_a_revision(store: Store) -> None:
    machine = listed(store)
    assert not machine.behind(11)
    machine.progress(b"/a/", 12)
    assert machine.behind(12)
    machine.progress(b"/b/", 12)
    assert not machine.behind(12)
