"""A headless Service with 100 endpoints, whose answer does not fit: ``python -m bench.headless``.

Over UDP with EDNS the answer is cut and marked truncated (RFC 2181 section 9, RFC 6891); over TCP it is
whole, with a few connections over which queries are pipelined.  ``bench.contest`` says how servers are
compared.  The echo has no TCP.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import ask, cluster, contest, load, plot, report, store, subject
from bench.process import BenchError
from bench.report import Cell, Results

_SERVICES = 1000
_LINES = 10_000
_PEERS = ("knot", "bind", "nsd", "unbound")


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the report, and with --save keep it; 1 where something is missing or failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.headless", description="A Service with 100 endpoints, over UDP and TCP."
    )
    contest.options(parser)
    options = parser.parse_args(argv)
    try:
        cells = _cells(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results = Results(_SERVICES, options.rounds, options.seconds, cells, [])
    print(report.text(results))
    if options.save:
        path = report.save(results, "headless")
        print(f"\nsaved as {path}\n{plot.save(path)}")
    return 0


def _cells(options: argparse.Namespace) -> list[Cell]:
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        etcd = stack.enter_context(store.running(folder, dual=True))
        etcd.grow(_SERVICES)
        running = contest.ours(folder, etcd.url, _SERVICES, subject.names(), stack)
        if not options.no_peers:
            running += contest.peers(folder, _SERVICES, stack, _PEERS)
        takers = [contest.Contender(each.name, each.process, each.port) for each in running]
        floor = contest.echo(folder, stack)
        udp = {cluster.HEADLESS_UDP: _row(cluster.HEADLESS_UDP, load.EDNS)}
        tcp = {cluster.HEADLESS_TCP: _row(cluster.HEADLESS_TCP, load.TCP)}
        cells = contest.take_turns(folder, [*takers, floor], udp, options.rounds, options.seconds)
        return cells + contest.take_turns(folder, takers, tcp, options.rounds, options.seconds)


def _row(title: str, flags: tuple[str, ...]) -> contest.Row:
    return contest.Row(_write, partial(ask.serves_headless, row=title), flags)


def _write(path: Path) -> None:
    path.write_text(f"{cluster.HEADLESS_QUERY}\n" * _LINES)


if __name__ == "__main__":
    sys.exit(main())
