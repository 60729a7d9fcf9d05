"""Where our answers differ from the recorded ones, and why; ``docs/differences.md`` has it for readers.

A rule says which recorded rows it is about and what we answer instead.  Every rule must be needed by some
row, and no row may need two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
"""One recorded query: name, type, rcode, answer [[owner, type, rdata]], authority, additional, ttls."""

ZONE = "cluster.local."
ABSENT_NAMESPACES = ("kube-node-lease", "kube-public", "held-alpha")


@dataclass(frozen=True)
class Ours:
    """What we answer: the response code, and a test of the answer section's (owner, type, rdata)."""

    rcode: str
    fits: Callable[[Sequence[tuple[str, str, str]]], bool]


@dataclass(frozen=True)
class Difference:
    """One kind of difference. ``title`` is the row of the table in ``docs/differences.md``."""

    title: str
    concerns: Callable[[Row], bool]
    ours: Callable[[Row], Ours]


def _empty(answer: Sequence[tuple[str, str, str]]) -> bool:
    return not answer


def _nodata(_row: Row) -> Ours:
    return Ours("NOERROR", _empty)


def _nxdomain(_row: Row) -> Ours:
    return Ours("NXDOMAIN", _empty)


def _is(answer: list[tuple[str, str, str]]) -> Callable[[Row], Ours]:
    return lambda _row: Ours("NOERROR", lambda got: list(got) == answer)


def _name(row: Row) -> str:
    return str(row["name"]).lower()


def _labels(row: Row) -> list[str]:
    return _name(row).rstrip(".").split(".")


def _is_reverse(row: Row) -> bool:
    return _name(row).endswith(".arpa.")


def _is_absent(row: Row) -> bool:
    return row["rcode"] == "NOERROR" and any(f".{each}." in f".{_name(row)}" for each in ABSENT_NAMESPACES)


def _is_external(row: Row) -> bool:
    return _name(row) in (f"ext-in.dev-alpha.svc.{ZONE}", f"ext-out.dev-alpha.svc.{ZONE}")


def _alias(row: Row) -> Ours:
    return Ours("NOERROR", lambda got: (_name(row), "CNAME") in [each[:2] for each in got])


def _reverse(row: Row) -> Ours:
    return _nodata(row) if _name(row) in OWNED_ADDRESSES else _nxdomain(row)


OWNED_ADDRESSES: set[str] = set()
"""Reverse names that have a PTR in the recording; filled by the test."""

DIFFERENCES = (
    Difference(
        "TXT at a name that exists",
        lambda row: (
            row["type"] == "TXT"
            and row["rcode"] == "NXDOMAIN"
            and (_name(row) in BRANCHES or _is_namespace(row))
        ),
        _nodata,
    ),
    Difference(
        "`_tcp` and `_udp` below a Service with named ports",
        lambda row: row["rcode"] == "NXDOMAIN" and _labels(row)[0] in ("_tcp", "_udp") and _has_ports(row),
        _nodata,
    ),
    Difference(
        "other types at `dns-version`",
        lambda row: row["rcode"] == "NXDOMAIN" and _labels(row)[0] == "dns-version",
        _nodata,
    ),
    Difference(
        "PTR at `ns.dns`",
        lambda row: row["type"] == "PTR" and _name(row) == f"ns.dns.{ZONE}",
        _nodata,
    ),
    Difference(
        "SOA at a name that does not exist",
        lambda row: (
            row["type"] == "SOA"
            and row["rcode"] == "NOERROR"
            and ("nosuch" in _labels(row) or _name(row) == f"svc.svc.{ZONE}")
        ),
        _nxdomain,
    ),
    Difference(
        "NS at the apex",
        lambda row: row["type"] == "NS" and _name(row) == ZONE,
        _is([(ZONE, "NS", f"ns.dns.{ZONE}")]),
    ),
    Difference(
        "the name server's address",
        lambda row: row["type"] == "A" and _name(row) == f"ns.dns.{ZONE}",
        _is([(f"ns.dns.{ZONE}", "A", "127.0.0.1")]),
    ),
    Difference(
        "addresses at `_port._proto` names",
        lambda row: row["type"] in ("A", "AAAA") and bool(row["answer"]) and _labels(row)[0].startswith("_"),
        _nodata,
    ),
    Difference(
        "SRV without underscores",
        lambda row: (
            row["type"] == "SRV" and bool(row["answer"]) and _labels(row)[1] in ("tcp", "udp", "sctp")
        ),
        _nxdomain,
    ),
    Difference(
        "any type at an ExternalName",
        lambda row: _is_external(row) and not row["answer"],
        _alias,
    ),
    Difference(
        "an ExternalName outside the zone",
        lambda row: _name(row).startswith("ext-out.dev-alpha.") and row["type"] in ("A", "AAAA"),
        _alias,
    ),
    Difference(
        "reverse names without a PTR of ours",
        lambda row: (
            _is_reverse(row)
            and (row["rcode"] == "REFUSED" or (row["type"] == "SOA" and _name(row) not in OWNED_ADDRESSES))
            and _name(row) != "96.10.in-addr.arpa."
        ),
        _reverse,
    ),
    Difference(
        "reverse names above an address",
        lambda row: _name(row) == "96.10.in-addr.arpa." and row["rcode"] == "REFUSED",
        _nodata,
    ),
    Difference("objects missing from the recording", _is_absent, _nxdomain),
)


BRANCHES = (ZONE, f"svc.{ZONE}", f"pod.{ZONE}", f"ns.dns.{ZONE}")


def _is_namespace(row: Row) -> bool:
    labels = _labels(row)
    return len(labels) == 4 and labels[1] == "svc" and labels[0] not in ("nosuch", "svc", *ABSENT_NAMESPACES)


def _has_ports(row: Row) -> bool:
    labels = _labels(row)
    without = {"ext-in", "ext-out", "unnamed"}
    is_service = len(labels) == 6 and labels[1] not in without
    return is_service and (labels[0] == "_tcp" or labels[1:3] == ["web", "dev-alpha"])
