"""How long a change takes: from etcd's acknowledgement of a put to the new answer over UDP.

``python -m bench.propagation``: a Service of a loaded cluster gets a new cluster IP, the clock starts when
etcd has acknowledged it, and one query after the other is sent until one carries the new address.  The
queries pause a little between each other, so that the server is not kept from its watch by its answers;
the pause and one round trip are the resolution of the result.
"""

import argparse
import ipaddress
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dns.message

from bench import cluster, registry, report, store, subject
from bench.process import BenchError

_PAUSE_SECONDS = 0.0002
_GIVE_UP_SECONDS = 10.0
_FIRST_CHANGED = int(ipaddress.IPv4Address("10.200.0.1"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print median, 99th percentile and maximum in milliseconds; 1 where something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.propagation", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--services", type=int, default=10_000, help="Services in the zone (default 10000)")
    parser.add_argument(
        "--changes", type=int, default=500, help="Services changed, one at a time (default 500)"
    )
    parser.add_argument("--pure-too", action="store_true", help="measure the pure data plane as well")
    parser.add_argument("--save", action="store_true", help="write the results as JSON below bench/results")
    options = parser.parse_args(argv)
    try:
        figures = {
            name: summary(_run(options.services, options.changes, name))
            for name in subject.names(pure_too=options.pure_too)
        }
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(
        f"{report.machine_line()}\n{options.changes} changes among {options.services} Services, milliseconds"
    )
    for name, found in figures.items():
        print(f"  {name}: {', '.join(f'{key} {value}' for key, value in found.items())}")
    if options.save:
        body = {"services": options.services, "changes": options.changes, "milliseconds": figures}
        print(f"saved as {report.save(body, 'propagation')}")
    return 0


def _run(services: int, changes: int, name: str) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary:
        folder = Path(temporary)
        with store.running(folder) as etcd:
            etcd.grow(services)
            with subject.running(folder, etcd.url, services, name) as ours:
                chance = random.Random(cluster.SEED)
                numbered = ((chance.randrange(services), turn) for turn in range(changes))
                return [_change(etcd, ours.port, index, turn) for index, turn in numbered]


def _change(etcd: store.Store, port: int, index: int, turn: int) -> float:
    """Seconds from the acknowledged put until the answer for Service ``index`` is the new address."""
    address = ipaddress.IPv4Address(_FIRST_CHANGED + turn)
    query = dns.message.make_query(cluster.fqdn(index), "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(1.0)
        asker.connect(("127.0.0.1", port))
        etcd.client.put(registry.service_key(index), registry.service_value(index, str(address)))
        acknowledged = time.perf_counter()
        while not _answer(asker, query).endswith(address.packed):
            if time.perf_counter() - acknowledged > _GIVE_UP_SECONDS:
                raise BenchError(f"{cluster.fqdn(index)} was not {address} after {_GIVE_UP_SECONDS:g} s")
            time.sleep(_PAUSE_SECONDS)
        return time.perf_counter() - acknowledged


def _answer(asker: socket.socket, query: bytes) -> bytes:
    """The reply to a query without EDNS: one A record, so that the address is its last four octets."""
    asker.send(query)
    try:
        return asker.recv(4096)
    except TimeoutError:
        return b""


def summary(delays: list[float]) -> dict[str, float]:
    """Median, tail and maximum in milliseconds of ``delays`` in seconds, and how many there were."""
    ordered = sorted(delay * 1000 for delay in delays)
    tail = {
        f"p{share}": round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 3)
        for share in (90, 95, 99)
    }
    return {
        "median": round(statistics.median(ordered), 3),
        **tail,
        "max": round(ordered[-1], 3),
        "changes": len(delays),
    }


if __name__ == "__main__":
    sys.exit(main())
