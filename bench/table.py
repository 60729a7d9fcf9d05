"""``python -m bench.table COUNT PORT``: a native table of COUNT names, filled in place, on 127.0.0.1:PORT.

Only the data plane: no source, no zone, no slow path. It serves until it is killed.
"""

import ipaddress
import signal
import sys
from collections.abc import Sequence

from bench import cluster
from skydns_py.answers.packed import QUESTION_POINTER, Answer, record
from skydns_py.dataplane.native.table import NativeTable
from skydns_py.server.udp import open_socket
from skydns_py.zone.names import from_text
from skydns_py.zone.rrset import A, RRset

_EDNS_SIZE = 1232


def main(argv: Sequence[str] | None = None) -> None:
    """Fill the table, then serve it with one thread."""
    count, port = map(int, argv or sys.argv[1:])
    table = filled(count)
    listening = open_socket("127.0.0.1", port)
    table.start([listening.fileno()], [False])
    signal.pause()


def filled(count: int) -> NativeTable:
    """A table with the addresses of ``count`` Services below the zone."""
    table = NativeTable(lambda _: None, _EDNS_SIZE)
    zone = from_text(cluster.ZONE)
    table.replace_zone(zone, RRset(cluster.TTL, (zone + zone + bytes(20),)))
    table.replace(zone, {})
    for index in range(count):
        rdata = ipaddress.IPv4Address(cluster.address(index)).packed
        body = record(QUESTION_POINTER, A, cluster.TTL, rdata)
        table.replace(from_text(cluster.fqdn(index)), {A: Answer(1, 0, body, len(body))})
    table.ready = True
    return table


if __name__ == "__main__":
    main()
