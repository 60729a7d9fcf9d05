"""The metrics page, in the Prometheus text format 0.0.4.

Where CoreDNS has a metric of the same meaning it has the same name, so that dashboards keep working; the rest
begins with ``skydns_``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dns.rcode

from skydns_py.dataplane.counters import Counters
from skydns_py.ops.status import Status

Sample = tuple[str, float]
"""Labels as they are written, and the value."""


def page(status: Status, counters: Counters, native: Mapping[str, Any]) -> str:
    """Everything there is to measure; ``native`` is what ``NativeTable.counters`` gives, if that serves."""
    families = (*_families(status, _with_native(counters, native)), *_native(native))
    return "".join(line + "\n" for family in families for line in family)


def _with_native(counters: Counters, native: Mapping[str, Any]) -> Counters:
    """The totals of both data planes."""
    if not native:
        return counters
    return replace(
        counters,
        rcodes=[count + native["rcodes"][str(code)] for code, count in enumerate(counters.rcodes)],
        udp=counters.udp + native["received"],
        misses=counters.misses + native["misses"],
        silent=counters.silent + native["silent"],
        send_errors=counters.send_errors + native["send_errors"],
    )


def _native(native: Mapping[str, Any]) -> Iterator[Iterable[str]]:
    """What only the native data plane counts."""
    if not native:
        return
    yield family("skydns_native_ring_depth", "gauge", "Misses that wait.", [("", native["ring_depth"])])
    lost = [("", native["overwritten"])]
    yield family("skydns_native_ring_overwritten_total", "counter", "Misses that a newer one replaced.", lost)
    for group, label in (("types", "type"), ("outcomes", "outcome")):
        samples = [(f'{label}="{name}"', count) for name, count in native[group].items()]
        yield family(f"skydns_native_{group}_total", "counter", f"UDP queries by {label}.", samples)
    yield from _histograms(native)


def _histograms(native: Mapping[str, Any]) -> Iterator[Iterable[str]]:
    for name, unit in (("query_octets", 1.0), ("reply_octets", 1.0), ("miss_microseconds", 1e-6)):
        metric = "skydns_native_" + name.replace("_microseconds", "_seconds")
        total, lines = 0, [f"# HELP {metric} Native data plane.", f"# TYPE {metric} histogram"]
        for bound, count in native[name].items():
            total += count
            upper = bound if bound == "+Inf" else f"{int(bound) * unit:.6g}"
            lines.append(f'{metric}_bucket{{le="{upper}"}} {total}')
        yield [*lines, f"{metric}_sum {native[name + '_sum'] * unit:.16g}", f"{metric}_count {total}"]


def _families(status: Status, counters: Counters) -> Iterator[Iterable[str]]:
    protocols = [('proto="udp"', counters.udp), ('proto="tcp"', counters.tcp)]
    rcodes = [(f'rcode="{_rcode(code)}"', count) for code, count in enumerate(counters.rcodes) if count]
    yield family("coredns_dns_requests_total", "counter", "Queries received.", protocols)
    yield family("coredns_dns_responses_total", "counter", "Replies sent, by response code.", rcodes)
    yield family("coredns_panics_total", "counter", "Queries that hit a bug.", [("", counters.failures)])
    yield from _encrypted(counters)
    ours: tuple[tuple[str, str, str, float], ...] = (
        ("udp_misses_total", "counter", "UDP queries the hot path passed on.", counters.misses),
        ("silent_total", "counter", "Packets that got no reply: responses and fragments.", counters.silent),
        ("send_errors_total", "counter", "UDP replies that could not be sent.", counters.send_errors),
        ("tcp_connections", "gauge", "TCP connections open.", counters.tcp_connections),
        ("tcp_evicted_total", "counter", "Idle TCP connections closed for new ones.", counters.tcp_evicted),
        ("source_synced", "gauge", "1 once the source's first list is served.", status.synced),
        ("source_stale", "gauge", "1 while the source cannot be followed.", bool(status.stale)),
        ("source_events_total", "counter", "Objects created, changed and deleted.", status.events),
        ("source_syncs_total", "counter", "Times the source was caught up with.", status.syncs),
        ("source_losses_total", "counter", "Times the source was lost.", status.losses),
        ("source_refused_total", "counter", "Objects refused because they do not decode.", status.refused),
        ("source_last_event_timestamp_seconds", "gauge", "Unix time of the last event.", status.last_event),
        ("names", "gauge", "Names in the table of packed answers.", status.names),
    )
    for name, kind, text, value in ours:
        yield family(f"skydns_{name}", kind, text, [("", value)])


def _encrypted(counters: Counters) -> Iterator[Iterable[str]]:
    """What only TLS and HTTPS count; to CoreDNS they are TCP, so ``proto="tcp"`` has their queries too."""
    if not counters.certificate_ends:
        return
    queries = [('transport="tls"', counters.tls), ('transport="https"', counters.https)]
    yield family("skydns_encrypted_requests_total", "counter", "Queries that came encrypted.", queries)
    statuses = [(f'status="{status}"', count) for status, count in sorted(counters.https_statuses.items())]
    yield family("coredns_dns_https_responses_total", "counter", "Replies over HTTPS, by status.", statuses)
    name, ends = "skydns_tls_certificate_end_timestamp_seconds", [("", counters.certificate_ends)]
    yield family(name, "gauge", "Unix time when the certificate ends.", ends)


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """The lines of one metric."""
    lines = [
        f"{name}{{{labels}}} {value:.16g}" if labels else f"{name} {value:.16g}" for labels, value in samples
    ]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines]


def _rcode(code: int) -> str:
    return dns.rcode.to_text(dns.rcode.Rcode(code)) if code <= 10 else str(code)
