"""CPU per query beside other servers, memory, and start: ``python -m bench.run``.

1. Every server is pinned to one core and the load generator to the other, in the same run.
2. All serve the same names; a server that answers a row wrongly is not measured on it.
3. One pass through the queries comes first: what a server pays when a name is asked for the first time.
   Then short rounds take turns (A B C A B C ...), so that a slow minute of the machine hits all alike;
   the median of a server's rounds is reported.
4. CPU is user and system time of the server's process over the queries that were answered. It depends
   on how many queries wait when the server looks, so all are driven alike, as fast as they go.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import ask, cluster, report, servers, store, subject
from bench.load import Sample, measure
from bench.process import BenchError, Process, find, free_port
from bench.report import Cell, Results

_START_SECONDS = 60
_PASS_SECONDS = 60
_MANY = 100_000


@dataclass(frozen=True)
class Contender:
    """A running server and the rows it has shown to answer rightly."""

    name: str
    process: Process
    port: int
    rows: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the report, and with --save keep it; 1 where something is missing or failed."""
    options = _parser().parse_args(argv)
    try:
        results = _all(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.text(results))
    if options.save:
        print(f"\nsaved as {report.save(results)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="CPU, memory and start of the server."
    )
    parser.add_argument("--services", type=int, default=10_000, help="Services in the zone (default 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per server and row (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round (default 2)")
    parser.add_argument("--rows", nargs="+", choices=list(cluster.ROWS), default=list(cluster.ROWS))
    parser.add_argument("--no-peers", action="store_true", help="only this server and the echo")
    parser.add_argument(
        "--no-many", action="store_true", help=f"leave out memory and start at {_MANY} Services"
    )
    parser.add_argument("--save", action="store_true", help="write the results as JSON below bench/results")
    return parser


def _all(options: argparse.Namespace) -> Results:
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        etcd = stack.enter_context(store.running(folder))
        etcd.grow(options.services)
        with subject.running(folder, etcd.url, options.services) as ours, ExitStack() as others:
            right = _right_rows("skydns", ours.port, options.rows, options.services)
            contenders = [Contender("skydns", ours.process, ours.port, right)]
            contenders += _start_others(folder, options, others)
            cells = _take_turns(folder, contenders, options)
            footprints = [replace(ours.footprint, loaded_rss_bytes=ours.process.rss_bytes())]
        if not options.no_many:
            etcd.grow(_MANY)
            with subject.running(folder, etcd.url, _MANY) as large:
                footprints.append(large.footprint)
    return Results(options.services, options.rounds, options.seconds, cells, footprints)


def _start_others(folder: Path, options: argparse.Namespace, stack: ExitStack) -> list[Contender]:
    """The echo and, unless not wanted, every peer that this machine has."""
    port = free_port()
    process = stack.enter_context(Process(servers.echo(folder, port), folder / "echo.log"))
    process.wait_until(lambda: ask.replies(port), _START_SECONDS)
    started = [Contender(report.FLOOR, process, port, tuple(options.rows))]
    for peer in servers.PEERS:
        if not options.no_peers and find(peer.program):
            started.append(_start_peer(folder / peer.name, peer, options, stack))
    return started


def _start_peer(folder: Path, peer: servers.Peer, options: argparse.Namespace, stack: ExitStack) -> Contender:
    folder.mkdir()
    port = free_port()
    process = stack.enter_context(Process(peer.setup(folder, port, options.services), folder / "log"))
    process.wait_until(lambda: ask.serves(port, "A", options.services - 1, options.services), _START_SECONDS)
    wanted = [row for row in options.rows if row in peer.rows]
    return Contender(peer.name, process, port, _right_rows(peer.name, port, wanted, options.services))


def _right_rows(name: str, port: int, rows: Sequence[str], services: int) -> tuple[str, ...]:
    """Those of ``rows`` that the server on ``port`` answers rightly for a Service in the middle."""
    right = tuple(row for row in rows if ask.serves(port, row, services // 2, services))
    for row in sorted(set(rows) - set(right)):
        print(f"bench: {name} does not answer {row!r} rightly: left out", file=sys.stderr)
    return right


def _take_turns(folder: Path, contenders: list[Contender], options: argparse.Namespace) -> list[Cell]:
    cells = []
    for row in options.rows:
        queries = folder / "queries"
        cluster.write_queries(queries, row, options.services)
        takers = [contender for contender in contenders if row in contender.rows]
        first = {t.name: measure(t.process, t.port, queries, _PASS_SECONDS, passes=1) for t in takers}
        rounds: dict[str, list[Sample]] = {taker.name: [] for taker in takers}
        for _ in range(options.rounds):
            for taker in takers:
                rounds[taker.name].append(measure(taker.process, taker.port, queries, options.seconds))
        cells += [_cell(row, taker.name, first[taker.name], rounds[taker.name]) for taker in takers]
        print(f"bench: {row}: {options.rounds} rounds of {len(takers)} servers done", file=sys.stderr)
    return cells


def _cell(row: str, server: str, first: Sample, rounds: list[Sample]) -> Cell:
    costs = [sample.cpu_us for sample in rounds]
    return Cell(
        row=row,
        server=server,
        cpu_us=statistics.median(costs),
        least_us=min(costs),
        most_us=max(costs),
        first_us=first.cpu_us,
        rate=statistics.median(sample.rate for sample in rounds),
        lost=first.lost + sum(sample.lost for sample in rounds),
    )


if __name__ == "__main__":
    sys.exit(main())
