"""The metrics page of ``skydns balancer``."""

from collections.abc import Collection, Mapping

from skydns_py.balancer.announcer import Announcer
from skydns_py.balancer.controller import Controller
from skydns_py.ops.metrics import family
from skydns_py.ops.status import Status


def balancer_page(
    status: Status,
    announcer: Announcer,
    controller: Controller,
    addresses: Collection[str],
    pools: Mapping[str, tuple[int, int]],
) -> str:
    """Everything there is to measure, in the Prometheus text format 0.0.4; ``addresses``: of this node."""
    rows: tuple[tuple[str, str, str, float], ...] = (
        ("skydns_balancer_addresses", "gauge", "Addresses that this node announces.", len(addresses)),
        ("skydns_balancer_controller", "gauge", "1 on the node that gives addresses.", controller.leads),
        ("skydns_balancer_gained_total", "counter", "Seats that this node got.", announcer.gained),
        ("skydns_balancer_fenced_total", "counter", "Times all was withdrawn.", announcer.fenced),
        (
            "skydns_balancer_settled_total",
            "counter",
            "Services that were given something.",
            controller.settled,
        ),
        ("skydns_balancer_refused", "gauge", "Services that get nothing.", len(controller.refused)),
        ("skydns_source_stale", "gauge", "1 while the source cannot be followed.", bool(status.stale)),
        ("skydns_source_events_total", "counter", "Objects created, changed and deleted.", status.events),
        ("skydns_source_losses_total", "counter", "Times the source was lost.", status.losses),
        ("skydns_source_refused_total", "counter", "Objects refused: they do not decode.", status.refused),
    )
    lines = [line for name, kind, text, value in rows for line in family(name, kind, text, [("", value)])]
    for at, name in enumerate(("skydns_balancer_pool_taken", "skydns_balancer_pool_size")):
        samples = [(f'pool="{pool}"', float(usage[at])) for pool, usage in pools.items()]
        lines += family(name, "gauge", "Addresses of a pool.", samples)
    return "".join(line + "\n" for line in lines)
