"""A model of a store with revisions, for the tests of the list-then-watch machine."""

from dataclasses import dataclass

from skydns_py.sources.listwatch import ListPage, Origin

PREFIXES = (b"/a/", b"/b/")
KEYS = [prefix + name for prefix in PREFIXES for name in (b"1", b"2", b"3", b"4", b"5")]


@dataclass(frozen=True)
class Entry:
    key: bytes
    value: bytes
    mod_revision: int
    lease: int = 0


class CompactedError(Exception):
    pass


class Store:
    """What etcd promises, and one thing it does: compaction at R drops a tombstone at R too."""

    def __init__(self) -> None:
        self.cluster = 1
        self.term = 100
        self.revision = 1
        self.compact_revision = 0
        self.log: list[tuple[int, bytes, bytes | None]] = []

    @property
    def origin(self) -> Origin:
        return Origin(self.revision, self.cluster, self.term)

    def write(self, *changes: tuple[bytes, bytes | None]) -> None:
        """One transaction: all its changes have one revision."""
        self.revision += 1
        self.log += [(self.revision, key, value) for key, value in changes]

    def at(self, revision: int, prefix: bytes = b"/") -> dict[bytes, Entry]:
        found: dict[bytes, Entry] = {}
        for when, key, value in self.log:
            if when <= revision and key.startswith(prefix):
                found.pop(key, None)
                if value is not None:
                    found[key] = Entry(key, value, when)
        return found

    def page(self, wanted: ListPage) -> tuple[list[Entry], bytes]:
        if wanted.revision and not self.compact_revision <= wanted.revision <= self.revision:
            raise CompactedError
        found = self.at(wanted.revision or self.revision, wanted.prefix)
        rest = sorted(key for key in found if key >= wanted.token)
        page, more = rest[: wanted.limit], rest[wanted.limit :]
        return [found[key] for key in page], more[0] if more else b""

    def events(self, prefix: bytes, since: int) -> list[tuple[bool, Entry]]:
        if since < self.compact_revision:
            raise CompactedError
        return [
            (value is None, Entry(key, value or b"", when))
            for when, key, value in self.log
            if when >= since and key.startswith(prefix)
        ]

    def compact(self, revision: int) -> None:
        self.compact_revision = max(revision, self.compact_revision)
        kept = {(entry.mod_revision, entry.key) for entry in self.at(self.compact_revision).values()}
        self.log = [
            (when, key, value)
            for when, key, value in self.log
            if when > self.compact_revision or (when, key) in kept
        ]
