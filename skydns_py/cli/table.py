"""Decoded objects as a table for a terminal: one block a kind, columns as wide as they need."""

from collections.abc import Sequence
from itertools import groupby

from skydns_py.cli.kinds import NAMES
from skydns_py.cli.partial import ip, service_type
from skydns_py.cluster.objects import (
    ClusterObject,
    Endpoints,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServicePort,
    Subset,
)

Row = tuple[ClusterObject, str, int]
"""An object, the form its value is stored in, and the revision of its last change."""

FEW = 3
"""Endpoints shown before the rest is only counted; ``-o wide`` shows all."""
_GAP = "   "


def render(rows: Sequence[Row], *, wide: bool) -> str:
    """A block for each kind, a blank line between; where there are several, names carry their kind."""
    blocks = [list(block) for _, block in groupby(rows, lambda row: row[0].ref.kind)]
    return "\n".join(_block(block, wide, len(blocks) > 1) for block in blocks)


def _block(rows: Sequence[Row], wide: bool, with_kind: bool) -> str:
    lines = [_cells(row, wide, with_kind) for row in rows]
    header = [name.upper() for name in lines[0]]
    table = [header, *([value or "-" for value in line.values()] for line in lines)]
    widths = [max(len(line[at]) for line in table) for at in range(len(header))]
    return "".join(
        _GAP.join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in table
    )


def _cells(row: Row, wide: bool, with_kind: bool) -> dict[str, str]:
    obj, form, revision = row
    ref = obj.ref
    cells = {"namespace": ref.namespace} if ref.namespace else {}
    cells["name"] = f"{NAMES[ref.kind][0]}/{ref.name}" if with_kind else ref.name
    cells |= _own_cells(obj, wide)
    return {**cells, "stored": form, "revision": str(revision)} if wide else cells


def _own_cells(obj: ClusterObject, wide: bool) -> dict[str, str]:
    match obj:
        case Service():
            return _service(obj, wide)
        case Endpoints():
            return {"endpoints": _endpoints(obj.subsets, wide)}
        case EndpointSlice():
            return {"service": obj.service, "endpoints": _endpoints(obj.subsets, wide)}
        case Pod():
            return {"addresses": _ips(obj.addresses), "state": _state(obj)}
        case Node():
            return {"addresses": _ips(obj.addresses)}
        case _:
            return {}


def _service(obj: Service, wide: bool) -> dict[str, str]:
    outside = (*obj.exposure.addresses, *obj.exposure.balancer_addresses)
    cells = {
        "type": service_type(obj),
        "cluster-ip": "None" if obj.headless else _ips(obj.addresses),
        "external": obj.external_name or _ips(outside),
        "ports": ",".join(_port(port) for port in obj.ports),
    }
    selector = ",".join(f"{key}={value}" for key, value in obj.selector or ())
    return {**cells, "selector": selector} if wide else cells


def _port(port: ServicePort) -> str:
    name = f"{port.name}:" if port.name else ""
    node = f":{port.node_port}" if port.node_port else ""
    return f"{name}{port.port}{node}/{port.protocol}"


def _endpoints(subsets: Sequence[Subset], wide: bool) -> str:
    texts = [
        f"[{ip(each.address)}]:{port}" if len(each.address) == 16 else f"{ip(each.address)}:{port}"
        for subset in subsets
        for each in subset.endpoints
        for port in [str(port.port) for port in subset.ports] or ["-"]
    ]
    shown = texts if wide else texts[:FEW]
    more = f" + {len(texts) - len(shown)} more" if len(texts) > len(shown) else ""
    return ",".join(shown) + more


def _state(obj: Pod) -> str:
    if obj.finished:
        return "finished"
    return ("ready" if obj.ready else "not ready") + (", host network" if obj.host_network else "")


def _ips(addresses: Sequence[bytes]) -> str:
    return ",".join(ip(each) for each in addresses)
