"""The keys known below a prefix against a plain dict."""

import tracemalloc

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from skydns_py.sources.known import Known

KEYS = st.sampled_from([b"", b"\0", b"a", b"a/1", b"a/10", b"a/2", b"b", b"\xff"])
REVISIONS = st.integers(1, 4)


class Knowing(RuleBasedStateMachine):
    """Changes, and lists in any order that break off anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.model = Known(), dict[bytes, int]()
        self.met = set[bytes]()
        self.known.begin()

    @rule(listed=st.lists(st.tuples(KEYS, REVISIONS), unique_by=lambda each: each[0]), sorts=st.booleans())
    def list_some(self, listed: list[tuple[bytes, int]], sorts: bool) -> None:
        for key, revision in sorted(listed) if sorts else listed:
            assert self.known.meet(key, revision) == (self.model.get(key) != revision)
            self.model[key] = revision
            self.met.add(key)

    @rule()
    def begin(self) -> None:
        self.known.begin()
        self.met.clear()

    @rule()
    def end(self) -> None:
        gone = self.model.keys() - self.met
        found = self.known.end()
        assert sorted(found) == sorted(gone)
        for key in gone:
            del self.model[key]
        self.met.clear()

    @rule(key=KEYS, revision=REVISIONS)
    def put(self, key: bytes, revision: int) -> None:
        """A watch brings nothing while a list is under way, nor does one go on after it."""
        self.begin()
        self.known.put(key, revision)
        self.model[key] = revision

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        self.begin()
        assert self.known.remove(key) == (self.model.pop(key, None) is not None)

    @rule()
    def distrust(self) -> None:
        self.known.distrust()
        self.model = dict.fromkeys(self.model, 0)


TestKnowing = Knowing.TestCase


def test_a_listed_key_costs_a_few_octets_beside_its_own() -> None:
    keys = [b"ns-%02d/service-%06d" % (at // 1000, at) for at in range(20_000)]
    tracemalloc.start()
    try:
        known = Known()
        known.begin()
        assert all(known.meet(key, 10**9 + at) for at, key in enumerate(keys))
        known.end()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(keys) < 2 * len(keys[0])
