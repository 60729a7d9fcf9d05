"""This server, started as a user would start it, with etcd as its source."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import ask, cluster
from bench.ports import free_port
from bench.process import Process, compile_package
from skydns_py.dataplane.native import available

_LOOPBACK = "127.0.0.0/8"


NATIVE, PURE = "skydns", "skydns-pure"
"""This server's two data planes, as the reports call them."""
_KINDS = {NATIVE: "native", PURE: "pure"}


@dataclass(frozen=True)
class Footprint:
    """Start and memory: seconds from process start to ready and to a right answer, resident octets.

    ``server`` is ``NATIVE`` or ``PURE``, ``cpu_seconds`` what it had computed when ready: unlike the
    time, that hardly depends on what else the machine does.

    ``rss_bytes`` and its peak are taken when ready, ``loaded_rss_bytes`` after the queries, 0 without any.
    """

    server: str
    services: int
    ready_seconds: float
    answer_seconds: float
    rss_bytes: int
    peak_rss_bytes: int
    loaded_rss_bytes: int = 0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """The running server, the port it answers on, and what it cost to get there."""

    process: Process
    port: int
    footprint: Footprint


@contextmanager
def running(
    folder: Path, etcd_url: str, services: int, name: str = NATIVE, seconds: float = 300
) -> Iterator[Subject]:
    """``skydns serve`` with one data plane on core 0, ready to answer for ``services`` Services in etcd."""
    compile_package()
    port, ready = free_port(), free_port()
    config = folder / f"{name}.json"
    config.write_text(json.dumps(_settings(port, ready, etcd_url) | {"dataplane": _plane(name)}))
    command = [sys.executable, "-m", "skydns_py", "serve", "-c", str(config)]
    with Process(command, folder / f"{name}.log") as process:
        ready_seconds = process.wait_until(lambda: ask.is_well(ready, "/ready"), seconds)
        computed = process.cpu_seconds()
        last = services - 1
        answer_seconds = process.wait_until(lambda: ask.serves(port, "A", last, services), seconds)
        memory = process.rss_bytes(), process.peak_rss_bytes()
        footprint = Footprint(name, services, ready_seconds, answer_seconds, *memory, cpu_seconds=computed)
        yield Subject(process, port, footprint)


def names(*, pure_too: bool = True) -> list[str]:
    """The data planes that this machine can run; says so where the native one is missing."""
    usable, reason = available()
    if usable:
        return [NATIVE, PURE] if pure_too else [NATIVE]
    print(f"bench: {reason}: measuring {PURE} only", file=sys.stderr)
    return [PURE]


def _plane(name: str) -> dict[str, object]:
    return {"kind": _KINDS[name], **({"threads": 1} if name == NATIVE else {})}


def _settings(port: int, ready: int, etcd_url: str) -> dict[str, object]:
    """The configuration file, as JSON, which is YAML too."""
    return {
        "zone": cluster.ZONE,
        "listen": [f"127.0.0.1:{port}"],
        "ttl": cluster.TTL,
        "source": {"etcd": {"endpoints": [etcd_url]}},
        "search": {"networks": {_LOOPBACK: cluster.namespace(0)}},
        "http": {
            "ready": f"127.0.0.1:{ready}",
            "health": f"127.0.0.1:{free_port()}",
            "metrics": f"127.0.0.1:{free_port()}",
        },
    }
