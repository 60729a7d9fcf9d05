"""The metrics page, in the Prometheus text format 0.0.4.

Where CoreDNS has a metric of the same meaning it has the same name, so that dashboards keep working; the rest
begins with ``skydns_``.
"""

from collections.abc import Iterable, Iterator

import dns.rcode

from skydns_py.dataplane.counters import Counters
from skydns_py.ops.status import Status

Sample = tuple[str, float]
"""Labels as they are written, and the value."""


def page(status: Status, counters: Counters) -> str:
    """Everything there is to measure."""
    return "".join(line + "\n" for family in _families(status, counters) for line in family)


def _families(status: Status, counters: Counters) -> Iterator[Iterable[str]]:
    protocols = [('proto="udp"', counters.udp), ('proto="tcp"', counters.tcp)]
    rcodes = [(f'rcode="{_rcode(code)}"', count) for code, count in enumerate(counters.rcodes) if count]
    yield _family("coredns_dns_requests_total", "counter", "Queries received.", protocols)
    yield _family("coredns_dns_responses_total", "counter", "Replies sent, by response code.", rcodes)
    yield _family("coredns_panics_total", "counter", "Queries that hit a bug.", [("", counters.failures)])
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
        yield _family(f"skydns_{name}", kind, text, [("", value)])


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    lines = [
        f"{name}{{{labels}}} {value:.16g}" if labels else f"{name} {value:.16g}" for labels, value in samples
    ]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines]


def _rcode(code: int) -> str:
    return dns.rcode.to_text(dns.rcode.Rcode(code)) if code <= 10 else str(code)
