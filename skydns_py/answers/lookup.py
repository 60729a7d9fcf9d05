"""The lookup: from a name and a type to the records of the answer, through aliases and search path.

1. A name is looked up as it is where it lies in a zone served and exists; else the client's search path says
   what it may stand for (``search``), and the answer starts with a CNAME to that.
2. The type asked wins; else a CNAME is followed, as far as it stays in the zones served (RFC 1034 section
   4.3.2 step 3a); at its end the outcome is that of the last name (RFC 2308 section 2: NXDOMAIN behind an
   alias is NXDOMAIN).
3. A chain is followed ``MAX_CHAIN`` steps, and never to a name it has passed; a loop ends as NODATA.  At the
   limit the answer is the part found and no SOA: that would deny what the next name may have, and without
   it a resolver goes on from there.
4. ANY is answered with one RRset (RFC 8482 section 4.1): small, and true.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from skydns_py.answers.packed import HEADER, Answer, Node, rebase, record, rotated
from skydns_py.answers.query import ANY
from skydns_py.zone.rrset import CNAME, SOA, RRset

MAX_CHAIN = 8
"""CNAMEs followed for one question: the cost of a chain is what an author of Services can impose."""


class Directory(Protocol):
    """Where nodes and zones are found."""

    def node(self, name: bytes) -> Node | None:
        """The node of a lower-case wire name, or None where it does not exist."""

    def zone_of(self, name: bytes) -> bytes | None:
        """The longest served zone that the name lies in, or None."""

    def soa(self, apex: bytes) -> RRset:
        """The SOA RRset of a served zone."""


class Outcome(enum.Enum):
    """How a lookup ends. OUTSIDE: not in a zone served, so it is the resolver's where there is one."""

    ANSWER = enum.auto()
    NODATA = enum.auto()
    NXDOMAIN = enum.auto()
    OUTSIDE = enum.auto()


@dataclass(slots=True)
class Result:
    """An answer in the making: its outcome, section counts and records, and the zone it ended in."""

    outcome: Outcome
    answers: int = 0
    authorities: int = 0
    additionals: int = 0
    parts: list[bytes] = field(default_factory=list)
    at: int = 0

    def add(self, part: bytes, answers: int, additionals: int = 0) -> None:
        """Append records; ``at`` is the packet offset where the next ones go."""
        self.parts.append(part)
        self.at += len(part)
        self.answers += answers
        self.additionals += additionals

    @property
    def body(self) -> bytes:
        """The records after the question."""
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked up. ``turn`` rotates addresses; beyond ``most`` octets nothing of the answer is sent."""

    name: bytes
    rdtype: int
    turn: int
    most: int


def look_up(
    directory: Directory, asked: Asked, candidates: Iterable[bytes], rest: Iterable[bytes] = ()
) -> Result:
    """Answer what is asked; ``candidates`` are what a name outside our zones may stand for, best first.

    ``rest`` is the same for a name in one of them that does not exist.
    """
    name = asked.name
    result = Result(Outcome.OUTSIDE, at=HEADER + len(name) + 4)
    walk = _Walk(directory, asked, result)
    ours = directory.zone_of(name) is not None
    if ours and directory.node(name) is not None:
        walk.follow(name, HEADER)
        return result
    meant = next(
        (candidate for candidate in (rest if ours else candidates) if directory.node(candidate)), None
    )
    if meant is not None:
        ttl = directory.soa(directory.zone_of(meant) or b"").ttl
        result.add(record(0xC000 | HEADER, CNAME, ttl, meant), 1)
        walk.follow(meant, result.at - len(meant))
    elif ours:
        walk.follow(name, HEADER)
    return result


@dataclass(slots=True)
class _Walk:
    """The walk from one name along its aliases, adding to ``result`` on the way."""

    directory: Directory
    asked: Asked
    result: Result

    def follow(self, name: bytes, owner: int) -> None:
        """Answer with what ``name``, which stands at the packet offset ``owner``, has."""
        passed = [self.asked.name] if self.result.answers else []
        most = MAX_CHAIN + len(passed)
        while name not in passed:
            if len(passed) > most:
                self.result.outcome = Outcome.ANSWER
                return
            passed.append(name)
            node = self.directory.node(name)
            if node is None:
                self._end(name, Outcome.NXDOMAIN, owner)
                return
            answer = self._chosen(node)
            alias = None if answer else node.get(CNAME)
            if (found := answer or alias) is None:
                break
            self._add(found, name, owner)
            if alias is None:
                self.result.outcome = Outcome.ANSWER
                return
            name = alias.body[12:]
            owner = self.result.at - len(name)
        self._end(name, Outcome.NODATA, owner)

    def _chosen(self, node: Node) -> Answer | None:
        any_type = next(iter(node.values()), None) if self.asked.rdtype == ANY else None
        return node.get(self.asked.rdtype) or any_type

    def _add(self, found: Answer, name: bytes, owner: int) -> None:
        delta = self.result.at - (HEADER + len(name) + 4)
        body = rotated(found, self.asked.turn)
        moved = body if owner == HEADER else rebase(body, owner, delta, self.asked.most)
        self.result.add(moved, found.answers, found.additionals)

    def _end(self, name: bytes, outcome: Outcome, owner: int) -> None:
        """End without data: the SOA of the zone the last name lies in (RFC 2308), none outside our zones."""
        result, apex = self.result, self.directory.zone_of(name)
        if apex is None:
            result.outcome = Outcome.ANSWER if result.answers else Outcome.OUTSIDE
            return
        soa = self.directory.soa(apex)
        pointer = 0xC000 | owner + len(name) - len(apex)
        result.parts.append(record(pointer, SOA, soa.ttl, soa.rdatas[0]))
        result.authorities = 1
        result.outcome = outcome
