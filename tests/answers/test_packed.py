"""Packed answers, read back by dnspython: alone, and moved behind aliases."""

import struct
from collections.abc import Iterator, Mapping

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.answers.packed import HEADER, LAST_POINTER, Answer, pack, rebase, record, rotated, split
from skydns_py.cluster.state import ServiceView
from skydns_py.zone.names import MAX_NAME, from_text
from skydns_py.zone.rrset import CNAME, MX, NS, SRV, TXT, A, Names, RRset
from skydns_py.zone.schema import records
from tests.zone.strategies import views

ZONE = from_text("cluster.local")
IN = dns.rdataclass.IN

Sections = tuple[Mapping[tuple[bytes, int], set[bytes]], Mapping[tuple[bytes, int], set[bytes]]]
"""Of the answer and the additional section: owner and type to rdata."""


def message(question: bytes, rdtype: int, answers: int, additionals: int, body: bytes) -> dns.message.Message:
    header = struct.pack("!6H", 1, 0x8400, 1, answers, 0, additionals)
    return dns.message.from_wire(header + question + struct.pack("!2H", rdtype, 1) + body)


def read(section: list[dns.rrset.RRset]) -> dict[tuple[bytes, int], set[bytes]]:
    return {(wire(rrset.name), rrset.rdtype): {rdata.to_wire() for rdata in rrset} for rrset in section}


def wire(name: dns.name.Name) -> bytes:
    return name.to_wire() or b""


def wanted(name: bytes, rdtype: int, rrset: RRset, glue: Names) -> Sections:
    at = {SRV: 6, MX: 2, NS: 0}.get(rdtype)
    targets = {rdata[at:] for rdata in rrset.rdatas} if at is not None else set()
    extra = {
        (target, address_type): set(glue[target][address_type].rdatas)
        for target in targets
        for address_type in (1, 28)
        if address_type in glue.get(target, {})
    }
    return {(name, rdtype): set(rrset.rdatas)}, extra


def packed(names: Names) -> Iterator[tuple[bytes, int, RRset, Answer]]:
    """Each RRset of each name, with its answer."""
    for name, rrsets in names.items():
        node = pack(name, rrsets, names)
        assert set(node) == set(rrsets)
        yield from ((name, rdtype, rrsets[rdtype], answer) for rdtype, answer in node.items())


@given(views)
def test_an_answer_is_its_rrset_and_the_addresses_of_its_targets(view: ServiceView) -> None:
    names = records(view, ZONE, 5).forward
    for name, rdtype, rrset, answer in packed(names):
        found = message(name, rdtype, answer.answers, answer.additionals, answer.body)
        assert (read(found.answer), read(found.additional)) == wanted(name, rdtype, rrset, names)


long_names = (
    st.lists(st.integers(1, 63), min_size=1, max_size=4)
    .map(lambda sizes: b"".join(bytes((size,)) + b"x" * size for size in sizes) + b"\0")
    .filter(lambda name: len(name) <= MAX_NAME)
)
aliases = st.lists(long_names, min_size=1, max_size=9)
"""What a lookup may put before an answer."""


def behind(chain: list[bytes], name: bytes, rdtype: int, answer: Answer) -> dns.message.Message:
    """A reply to the first of a chain of aliases, behind which ``answer`` of ``name`` stands."""
    owner, at, parts = HEADER, HEADER + len(chain[0]) + 4, []
    for target in (*chain[1:], name):
        parts.append(record(0xC000 | owner, CNAME, 5, target))
        at += len(parts[-1])
        owner = at - len(target)
    parts.append(rebase(answer.body, owner, at - (HEADER + len(name) + 4)))
    return message(chain[0], rdtype, answer.answers + len(chain), answer.additionals, b"".join(parts))


@given(views, aliases, st.data())
def test_an_answer_behind_aliases_is_the_same_rrsets(
    view: ServiceView, chain: list[bytes], data: st.DataObject
) -> None:
    names = records(view, ZONE, 5).forward
    choices = [each for each in packed(names) if each[1] != CNAME]
    if not choices:
        return
    name, rdtype, rrset, answer = data.draw(st.sampled_from(choices))
    found = behind(chain, name, rdtype, answer)
    answers, additionals = wanted(name, rdtype, rrset, names)
    assert {key: value for key, value in read(found.answer).items() if key[1] != CNAME} == answers
    assert read(found.additional) == additionals


def many_targets(count: int) -> tuple[RRset, Names]:
    """SRV records to names of 200 octets, each with an address."""
    targets = [from_text(f"{n:063}.{'a' * 63}.{'b' * 58}.cluster.local") for n in range(count)]
    rrset = RRset(5, tuple(struct.pack("!3H", 0, 1, 80) + target for target in targets))
    return rrset, {target: {A: RRset(5, (struct.pack("!I", n),))} for n, target in enumerate(targets)}


@pytest.mark.parametrize("length", [1, 9])
def test_glue_whose_owner_no_pointer_reaches_has_its_name_in_full(length: int) -> None:
    rrset, glue = many_targets(150)
    name = from_text("_http._tcp.web.my-ns.svc.cluster.local")
    answer = pack(name, {SRV: rrset}, glue)[SRV]
    starts = [answer.body[start] for start, _, _ in split(answer.body)][150:]
    assert {start >= 0xC0 for start in starts} == {True, False}
    chain = [from_text(".".join([chr(97 + n) * 60] * 4)) for n in range(length)]
    for found in (behind(chain, name, SRV, answer), message(name, SRV, 150, 150, answer.body)):
        assert read(found.additional) == wanted(name, SRV, rrset, glue)[1]


def test_the_longest_chain_moves_the_last_pointer_to_within_14_bits() -> None:
    longest = 2 + 10 + MAX_NAME
    assert LAST_POINTER + MAX_NAME + 10 * longest <= 0x3FFF


def test_targets_of_each_type_bring_their_addresses_once() -> None:
    host = from_text("host.cluster.local")
    glue: Names = {host: {A: RRset(5, (b"\x0a\0\0\1", b"\x0a\0\0\2")), TXT: RRset(5, (b"\1x",))}}
    rrsets = {
        SRV: RRset(5, tuple(struct.pack("!3H", 0, 1, port) + host for port in (80, 443))),
        MX: RRset(5, (struct.pack("!H", 10) + host,)),
        NS: RRset(5, (host,)),
        TXT: RRset(5, (b"\4host",)),
    }
    node = pack(ZONE, rrsets, glue)
    assert {rdtype: (answer.answers, answer.additionals) for rdtype, answer in node.items()} == {
        SRV: (2, 2),
        MX: (1, 2),
        NS: (1, 2),
        TXT: (1, 0),
    }
    for rdtype, answer in node.items():
        found = message(ZONE, rdtype, answer.answers, answer.additionals, answer.body)
        assert (read(found.answer), read(found.additional)) == wanted(ZONE, rdtype, rrsets[rdtype], glue)


def test_an_empty_name_is_an_empty_node() -> None:
    assert pack(ZONE, {}, {}) == {}


@given(st.integers(1, 20), st.integers(0, 1000))
def test_rotation_moves_whole_records(count: int, turn: int) -> None:
    rdatas = tuple(bytes((10, 0, 0, n)) for n in range(count))
    answer = pack(ZONE, {A: RRset(5, rdatas)}, {})[A]
    body = rotated(answer, turn)
    found = [body[end - 4 : end] for _, _, end in split(body)]
    at = turn % count
    assert found == [*rdatas[at:], *rdatas[:at]]


def test_only_records_of_one_size_without_additional_ones_rotate() -> None:
    answer = pack(ZONE, {TXT: RRset(5, (b"\1a", b"\2bb"))}, {})[TXT]
    assert rotated(answer, 1) == answer.body
    srv = pack(ZONE, {SRV: many_targets(2)[0]}, {})[SRV]
    assert rotated(srv, 1) == srv.body
