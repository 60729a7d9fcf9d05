"""The seed corpus: packets for the fixture's names, each behind the octet that chooses client and settings.

``python -m tests.native.fuzz.seeds`` writes the committed files anew.
"""

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from tests.dataplane import wire

CORPUS = Path(__file__).parent / "corpus"
NAMES = (
    *(
        "my-service.my-ns.svc",
        "six.my-ns.svc",
        "wide.my-ns.svc",
        "text.my-ns.svc",
        "alias.my-ns.svc",
        "lazy.my-ns.svc",
    ),
    *("_http._tcp.my-service.my-ns.svc", "svc", "*.svc", "any.svc", "x.pod", "nothing"),
)
SHORT = (
    "my-service",
    "_http._tcp.my-service",
    "wide",
    "star",
    "my-service.my-ns",
    "a.com",
    "star.svc",
    "localhost",
)
SEARCHED = (
    *(
        "web.other",
        "web.other.svc",
        "old.other",
        "lazy.other",
        "star",
        "none.other",
        "web.other.pod",
        "localhost",
    ),
    *("a.com", "a.wide", "web.cluster.local", "x" * 63),
)
"""Names that a client of ``my-ns`` searches for."""
ODD = (
    b"",
    b"\0" * 12,
    wire.query(b"\x3f" + b"x" * 63 + b"\0"),
    wire.query(b"\x40" + b"x" * 64 + b"\0"),
    wire.query(b"\xc0\x0c"),
    wire.query((b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"y" * 61 + b"\0"),
    wire.query(b"\3a\0b" + wire.encode("cluster.local")),
    wire.query("my-service", edns=wire.opt(options=wire.option(10, b"12345678"))),
    wire.query("my-service", edns=wire.opt(version=1)),
    wire.query("my-service", flags=wire.QR),
    wire.query("1.0.0.10.in-addr.arpa", wire.PTR),
)


def seeds() -> Iterator[bytes]:
    """Every file's content."""
    edns = itertools.cycle((b"", wire.opt(512), wire.opt(4096, wire.DO)))
    types = itertools.cycle((wire.A, wire.AAAA, wire.SRV, wire.CNAME, wire.TXT))
    settings = itertools.cycle(range(32))
    for name in (*(f"{name}.cluster.local" for name in NAMES), *SHORT):
        for _ in range(3):
            yield bytes((next(settings),)) + wire.query(name, next(types), edns=next(edns))
    for packet in ODD:
        yield bytes((next(settings),)) + packet
    for name, client in itertools.product(SEARCHED, (0, 4 | 1)):
        yield bytes((client,)) + wire.query(f"{name}.my-ns.svc.cluster.local", wire.A, edns=next(edns))


def main() -> None:
    """Write the corpus."""
    for seed in seeds():
        (CORPUS / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
