"""Packets to questions: RFC 1035 section 4.1, RFC 6891, RFC 8906, RFC 9619."""

import struct
from contextlib import suppress

import dns.message
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skydns_py.answers.query import Edns, Query, check, is_silent, parse
from skydns_py.errors import BadVersion, MalformedQuery, QueryError, RefusedQuery, UnsupportedQuery
from tests.dataplane import wire
from tests.dataplane.strategies import packets, well_formed

NAME = wire.encode("my-service.my-ns")
ASKED = wire.question(NAME)
RECORD = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)
LONGEST = wire.encode(".".join(["a" * 63] * 3 + ["a" * 61]))


def parsed(body: bytes, counts: tuple[int, int, int, int] = (1, 0, 0, 0), flags: int = wire.RD) -> Query:
    return parse(wire.message(body, counts=counts, flags=flags))


# What is a query


def test_a_plain_question() -> None:
    query = parsed(wire.question("My-Service.MY-NS", wire.SRV))
    assert query == Query(
        ident=0x1234,
        flags=wire.RD,
        question=wire.question("My-Service.MY-NS", wire.SRV),
        name=NAME,
        rdtype=wire.SRV,
        rdclass=wire.IN,
        edns=None,
    )
    assert query.payload == 512


@pytest.mark.parametrize(
    ("opt", "edns"),
    [
        (wire.opt(4096), Edns(4096, 0, False)),
        (wire.opt(1232, wire.DO), Edns(1232, 0, True)),
        (wire.opt(1232, 0x7FFF), Edns(1232, 0, False)),
        (wire.opt(100), Edns(512, 0, False)),
        (wire.opt(0), Edns(512, 0, False)),
        (wire.opt(65535, version=1), Edns(65535, 1, False)),
        (wire.opt(1232, extended=7), Edns(1232, 0, False)),
        (
            wire.opt(1232, options=wire.option(10, b"12345678") + wire.option(65001, b"")),
            Edns(1232, 0, False),
        ),
    ],
)
def test_what_an_opt_says(opt: bytes, edns: Edns) -> None:
    query = parsed(ASKED + opt, (1, 0, 0, 1))
    assert query.edns == edns
    assert query.payload == edns.payload


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        pytest.param(ASKED + RECORD + wire.opt(), (1, 1, 0, 1), id="after an answer"),
        pytest.param(ASKED + RECORD + wire.opt(), (1, 0, 1, 1), id="after an authority"),
        pytest.param(ASKED + RECORD + wire.opt(), (1, 0, 0, 2), id="second of the additional ones"),
        pytest.param(ASKED + wire.opt() + RECORD, (1, 0, 0, 2), id="first of the additional ones"),
    ],
)
def test_the_opt_is_found_among_other_records(body: bytes, counts: tuple[int, int, int, int]) -> None:
    assert parsed(body, counts).edns is not None


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        pytest.param(ASKED + wire.opt(), (1, 1, 0, 0), id="in the answer section"),
        pytest.param(ASKED + wire.opt(), (1, 0, 1, 0), id="in the authority section"),
        pytest.param(ASKED + wire.opt(), (1, 0, 0, 0), id="that is not counted"),
    ],
)
def test_an_opt_elsewhere_is_none(body: bytes, counts: tuple[int, int, int, int]) -> None:
    assert parsed(body, counts).edns is None


@pytest.mark.parametrize(
    "name", [b"\0", LONGEST, b"\1\0\0", b"\x3f" + bytes(63) + b"\0", wire.encode("a") * 1, b"\2A.\1\xff\0"]
)
def test_any_octets_make_a_name(name: bytes) -> None:
    assert parsed(wire.question(name)).name == name.lower()


def test_octets_after_the_last_record_are_ignored() -> None:
    assert parsed(ASKED + b"\xff" * 20).name == NAME


# What is not


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        *(
            pytest.param(wire.message(ASKED, flags=opcode << 11), UnsupportedQuery, id=f"opcode {opcode}")
            for opcode in range(1, 16)
        ),
        pytest.param(wire.message(b"", flags=5 << 11), UnsupportedQuery, id="opcode before the question"),
        pytest.param(wire.message(b"", counts=(0, 0, 0, 0)), MalformedQuery, id="no question"),
        pytest.param(wire.message(ASKED * 2, counts=(2, 0, 0, 0)), MalformedQuery, id="two questions"),
        pytest.param(wire.message(ASKED, counts=(65535, 0, 0, 0)), MalformedQuery, id="65535 questions"),
        pytest.param(wire.message(b""), MalformedQuery, id="a question counted, none there"),
        pytest.param(wire.message(ASKED[:-1]), MalformedQuery, id="half a class"),
        pytest.param(wire.message(ASKED[:-4]), MalformedQuery, id="no type"),
        pytest.param(wire.message(NAME[:-1]), MalformedQuery, id="a name without end"),
        pytest.param(wire.message(b"\5abc"), MalformedQuery, id="a label cut off"),
        pytest.param(
            wire.message(wire.question(b"\x40" + bytes(64) + b"\0")), MalformedQuery, id="label type 01"
        ),
        pytest.param(
            wire.message(wire.question(b"\x80" + bytes(64) + b"\0")), MalformedQuery, id="label type 10"
        ),
        pytest.param(wire.message(wire.question(b"\xc0\x0c")), MalformedQuery, id="a pointer to itself"),
        pytest.param(wire.message(wire.question(b"\1a\xc0\x0c")), MalformedQuery, id="a pointer in a name"),
        pytest.param(wire.message(wire.question(b"\xc0\xff")), MalformedQuery, id="a pointer past the end"),
        pytest.param(
            wire.message(wire.question(b"\1a" + LONGEST)), MalformedQuery, id="a name of 257 octets"
        ),
        pytest.param(wire.message(wire.question(b"\1a" * 200 + b"\0")), MalformedQuery, id="a name of 401"),
        pytest.param(
            wire.message(ASKED, counts=(1, 1, 0, 0)), MalformedQuery, id="an answer that is not there"
        ),
        pytest.param(wire.message(ASKED, counts=(1, 0, 0, 1)), MalformedQuery, id="an OPT that is not there"),
        pytest.param(
            wire.message(ASKED, counts=(1, 65535, 65535, 65535)), MalformedQuery, id="196605 records that lie"
        ),
        pytest.param(
            wire.message(ASKED + RECORD[:-1], counts=(1, 1, 0, 0)), MalformedQuery, id="rdata cut off"
        ),
        pytest.param(
            wire.message(ASKED + RECORD[:9], counts=(1, 1, 0, 0)), MalformedQuery, id="record cut off"
        ),
        pytest.param(wire.message(ASKED + b"\xc0", counts=(1, 1, 0, 0)), MalformedQuery, id="half a pointer"),
        pytest.param(
            wire.message(ASKED + wire.opt() * 2, counts=(1, 0, 0, 2)), MalformedQuery, id="two OPTs"
        ),
        pytest.param(
            wire.message(ASKED + wire.opt(owner=b"\1x\0"), counts=(1, 0, 0, 1)),
            MalformedQuery,
            id="OPT not at the root",
        ),
        pytest.param(
            wire.message(ASKED + wire.opt(1232, options=b"x")[:-1], counts=(1, 0, 0, 1)),
            MalformedQuery,
            id="OPT cut off",
        ),
    ],
)
def test_a_packet_that_is_no_query_is_refused(packet: bytes, error: type[QueryError]) -> None:
    assert not is_silent(packet)
    with pytest.raises(error):
        parse(packet)


@pytest.mark.parametrize(
    ("packet", "silent"),
    [
        (b"", True),
        (wire.message(ASKED)[:11], True),
        (wire.message(b"")[:12], False),
        (wire.message(ASKED, flags=wire.QR), True),
        (wire.message(ASKED, flags=wire.QR | 5 << 11), True),
        (wire.message(ASKED, flags=0), False),
    ],
)
def test_silence_for_what_could_start_a_loop(packet: bytes, silent: bool) -> None:
    assert is_silent(packet) is silent


@pytest.mark.parametrize(
    ("rdtype", "rdclass", "error"),
    [
        *((rdtype, wire.IN, UnsupportedQuery) for rdtype in (249, 251, 252, 253, 254)),
        *((rdtype, wire.IN, MalformedQuery) for rdtype in (0, 41, 250)),
        *((wire.A, rdclass, RefusedQuery) for rdclass in (0, 2, 3, 4, 254, 255, 65535)),
        (252, wire.CH, UnsupportedQuery),
    ],
)
def test_questions_that_no_lookup_answers(rdtype: int, rdclass: int, error: type[QueryError]) -> None:
    query = parsed(wire.question(NAME, rdtype, rdclass))
    with pytest.raises(error):
        check(query)


@pytest.mark.parametrize("rdtype", [1, 10, 13, 35, 43, 46, 64, 65, 128, 248, 255, 256, 65280, 65535])
def test_questions_of_any_other_type_are_looked_up(rdtype: int) -> None:
    check(parsed(wire.question(NAME, rdtype)))


def test_a_later_edns_version_is_told_apart_before_all_else() -> None:
    with pytest.raises(BadVersion):
        check(parsed(wire.question(NAME, 252, wire.CH) + wire.opt(version=1), (1, 0, 0, 1)))


@given(packets | st.binary(max_size=300))
@example(b"\0" * 12)
def test_nothing_but_query_errors_comes_out(packet: bytes) -> None:
    if not is_silent(packet):
        with suppress(MalformedQuery, UnsupportedQuery, BadVersion, RefusedQuery):
            check(parse(packet))


@given(well_formed().map(lambda asked: asked.packet))
def test_a_well_formed_query_is_read_as_dnspython_reads_it(packet: bytes) -> None:
    query, theirs = parse(packet), dns.message.from_wire(packet, question_only=True)
    (asked,) = theirs.question
    assert query.ident == theirs.id
    assert (query.name, query.rdtype, query.rdclass) == (
        (asked.name.to_wire() or b"").lower(),
        asked.rdtype,
        asked.rdclass,
    )
