"""Queries of every kind, as Hypothesis draws them: mostly plain ones, which are what both paths know."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.dataplane import wire
from tests.dataplane.samples import NAMES, ZONE

EDNS_SIZE = 1232
"""The most the tested servers send over UDP."""

TYPES = (
    *(wire.A, wire.AAAA, wire.SRV, wire.CNAME, wire.NS, wire.SOA, wire.PTR, wire.MX, wire.TXT, wire.ANY),
    *(0, 10, 13, 35, 41, 43, 46, 47, 48, 64, 65, 128, 249, 250, 251, 252, 253, 254, 256, 257, 32769, 65535),
)
CLASSES = (wire.CH, 4, wire.NO_CLASS, wire.ANY_CLASS, 0, 65535)
OPTIONS = (
    b"",
    wire.option(3),
    wire.option(8, b"\0\1\x18\0\x0a\0\0"),
    wire.option(10, b"12345678"),
    wire.option(12, bytes(40)),
    wire.option(65001, b"x") + wire.option(65001, b"y"),
    b"\0\x0a\0\x09tooshort",
    b"\0",
)


@dataclass(frozen=True)
class Asked:
    """A query that parses, and the octets that a reply over UDP may have."""

    packet: bytes
    limit: int


def mixed(name: bytes, bits: int) -> bytes:
    """The name with the case of its letters as ``bits`` say, which is what 0x20 clients send."""
    return bytes(
        octet ^ 0x20 if bits >> i & 1 and chr(octet).isalpha() and octet < 128 else octet
        for i, octet in enumerate(name)
    )


def cased(name: bytes) -> st.SearchStrategy[bytes]:
    """The name in any case."""
    return st.just(name) | st.integers(0, 2 ** len(name) - 1).map(lambda bits: mixed(name, bits))


def joined(labels: list[bytes]) -> bytes:
    """The labels above the zone; one that is too long for a label makes no name, as does their sum."""
    return b"".join(bytes((len(label),)) + label for label in labels) + wire.encode(ZONE)


def searched(name: str) -> bytes:
    """What a client of ``my-ns`` asks first when it searches for a name; if too long, the name itself."""
    first = wire.encode(f"my-ns.svc.{ZONE}")
    return wire.encode(name)[:-1] + first if len(name) + len(first) < 250 else wire.encode(name)


names = st.one_of(
    st.sampled_from(NAMES).map(wire.encode).flatmap(cased),
    st.sampled_from(NAMES).map(searched).flatmap(cased),
    st.lists(st.binary(min_size=1, max_size=63), max_size=3).map(joined),
)
odd_names = names | st.one_of(
    st.lists(st.binary(min_size=50, max_size=63), min_size=4, max_size=5).map(joined),
    st.binary(min_size=64, max_size=255).map(lambda label: joined([label])),
)
types = st.sampled_from(TYPES) | st.integers(0, 65535)
classes = st.just(wire.IN) | st.sampled_from((wire.IN, wire.IN, *CLASSES))
flags = st.sampled_from(
    [rd | more for rd in (0, wire.RD) for more in (0, wire.AD, wire.CD, wire.AD | wire.CD)]
    + [wire.RD | wire.Z, wire.RD | wire.RA, wire.RD | wire.AA, wire.RD | wire.TC, wire.RD | 5]
)
payloads = st.sampled_from((0, 100, 511, 512, 513, 1231, 1232, 1233, 1400, 4096, 65535)) | st.integers(
    0, 65535
)
dnssec_ok = st.sampled_from((0, wire.DO)) | st.integers(0, 0xFFFF)


@st.composite
def well_formed(draw: st.DrawFn) -> Asked:
    """Any name, type, class and flags; with no EDNS, plain EDNS, or EDNS with a version and options."""
    body = wire.question(draw(names), draw(types), draw(classes))
    ident, header = draw(st.integers(0, 65535)), draw(flags)
    kind = draw(st.sampled_from(("none", "plain", "plain", "odd")))
    if kind == "none":
        return Asked(wire.message(body, ident=ident, flags=header), 512)
    payload, bits = draw(payloads), draw(dnssec_ok)
    odd = kind == "odd"
    edns = wire.opt(
        payload,
        bits,
        version=draw(st.sampled_from((0, 0, 1, 255))) if odd else 0,
        extended=draw(st.sampled_from((0, 1, 255))) if odd else 0,
        options=draw(st.sampled_from(OPTIONS)) if odd else b"",
    )
    limit = min(max(payload, 512), EDNS_SIZE)
    return Asked(wire.message(body + edns, ident=ident, flags=header, counts=(1, 0, 0, 1)), limit)


RECORDS = (
    wire.opt(),
    wire.opt(owner=b"\1x\0"),
    wire.opt(4096, wire.DO),
    b"\0" + b"\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1",
    b"\xc0\x0c" + b"\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1",
    b"\xff\xff" + b"\0\xfa\0\xff\0\0\0\0\0\0",
    b"\0" + b"\0\1\0\1\0\0\0\0\xff\xff",
)


liar = st.sampled_from((0, 1, 1, 2, 3, 255, 65535))
counts = st.tuples(st.just(1), st.just(0), st.just(0), liar) | st.tuples(liar, liar, liar, liar)


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """Like a query, but with names too long, counts that lie, records of any kind, and octets to spare."""
    body = wire.question(draw(odd_names), draw(types), draw(classes))
    extra = b"".join(draw(st.lists(st.sampled_from(RECORDS), max_size=3)))
    header = draw(flags | st.sampled_from((wire.QR, wire.QR | wire.RD)) | st.integers(0, 0xFFFF))
    spare = draw(st.just(b"") | st.just(b"") | st.binary(max_size=11))
    return wire.message(body + extra + spare, flags=header, counts=draw(counts))


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A query that was cut, or some of whose octets were changed, or noise."""
    kind = draw(st.sampled_from(("cut", "changed", "noise")))
    if kind == "noise":
        return draw(st.binary(max_size=64))
    packet = draw(well_formed()).packet
    if kind == "cut":
        return packet[: draw(st.integers(0, len(packet)))]
    changed = bytearray(packet)
    for _ in range(draw(st.integers(1, 3))):
        changed[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


packets = st.one_of(well_formed().map(lambda asked: asked.packet), odd(), broken())
