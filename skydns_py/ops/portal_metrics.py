"""The metrics page of ``skydns portal``; kube-proxy's names where it has a metric of the same meaning."""

from skydns_py.ops.metrics import family
from skydns_py.ops.status import Status
from skydns_py.portal.runner import Syncs


def portal_page(status: Status, syncs: Syncs, services: int) -> str:
    """Everything there is to measure, in the Prometheus text format 0.0.4."""
    took = "kubeproxy_sync_proxy_rules_duration_seconds"
    rows: tuple[tuple[str, str, str, float], ...] = (
        (f"{took}_sum", "counter", "Seconds spent on synchronisations that succeeded.", syncs.seconds),
        (f"{took}_count", "counter", "Synchronisations that succeeded.", syncs.done),
        (
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
            "gauge",
            "Unix time of the last one.",
            syncs.last_time,
        ),
        ("skydns_portal_sync_last_seconds", "gauge", "What the last one took.", syncs.last_seconds),
        ("skydns_portal_sync_failures_total", "counter", "Synchronisations that failed.", syncs.failed),
        ("skydns_portal_repairs_total", "counter", "Times somebody else changed our rules.", syncs.repairs),
        ("skydns_portal_flows_ended_total", "counter", "Flows to gone endpoints.", syncs.flows_ended),
        ("skydns_portal_services", "gauge", "Services that have portals.", services),
        ("skydns_portal_programmed", "gauge", "1 once the kernel has the first picture.", syncs.programmed),
        ("skydns_source_stale", "gauge", "1 while the source cannot be followed.", bool(status.stale)),
        ("skydns_source_events_total", "counter", "Objects created, changed and deleted.", status.events),
        ("skydns_source_losses_total", "counter", "Times the source was lost.", status.losses),
        ("skydns_source_refused_total", "counter", "Objects refused: they do not decode.", status.refused),
    )
    lines = [line for name, kind, text, value in rows for line in family(name, kind, text, [("", value)])]
    return "".join(line + "\n" for line in lines)
