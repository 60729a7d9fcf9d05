"""Where the fuzzer starts: queries that a real cluster was asked, and the nasty ones in ``corpus``."""

from collections.abc import Iterator
from pathlib import Path

import dns.rdatatype

from skydns_py.cluster import registry
from skydns_py.cluster.objects import ClusterObject
from tests.conformance import recording
from tests.dataplane import samples, wire

CORPUS = Path(__file__).parent / "corpus"
STREAMS = "streams"
"""The file whose seeds are octets of a TCP connection instead of messages."""


def corpus(name: str) -> Iterator[bytes]:
    """The seeds of one file: lines of ``what it is: octets in hexadecimal``, and comments."""
    for line in (CORPUS / f"{name}.txt").read_text().splitlines():
        if not line.startswith("#"):
            yield bytes.fromhex(line.rpartition(":")[2])


def packets() -> list[bytes]:
    """Every seed that is one message."""
    names = sorted(path.stem for path in CORPUS.glob("*.txt") if path.stem != STREAMS)
    return [*(seed for name in names for seed in corpus(name)), *recorded(), *sampled()]


def recorded() -> Iterator[bytes]:
    """The recorded queries, without EDNS and with it."""
    for row in recording.answers():
        rdtype = dns.rdatatype.from_text(row["type"])
        yield wire.query(row["name"], rdtype)
        yield wire.query(row["name"], rdtype, edns=wire.opt(4096, wire.DO), flags=wire.RD | wire.AD)


def sampled() -> Iterator[bytes]:
    """The sample cluster's names, for the types that most is answered to."""
    for name in samples.NAMES:
        for rdtype in (wire.A, wire.AAAA, wire.SRV, wire.TXT, wire.ANY):
            yield wire.query(name, rdtype, edns=wire.opt())


def objects() -> list[ClusterObject]:
    """The sample cluster beside the recorded one."""
    found = samples.objects()
    for key, value in recording.registry():
        ref = registry.parse_key(key, "/registry")
        if ref is not None:
            found.append(registry.decode(ref, value))
    return found
