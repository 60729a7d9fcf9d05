"""CPU per query beside other servers, memory, and start: ``python -m bench.run``.

How servers are compared stands in ``bench.contest``.  Memory and start are taken first, of both data planes,
one after the other, with the plain cluster; CPU with the dual-stack one, with all servers running at once.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench import ask, cluster, contest, load, plot, report, store, subject
from bench.process import BenchError
from bench.report import Cell, Results
from bench.subject import Footprint

_MANY = 100_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the report, and with --save keep it; 1 where something is missing or failed."""
    options = _parser().parse_args(argv)
    try:
        names = subject.names()
        footprints = [] if options.only == "cpu" else _footprints(options, names)
        cells = [] if options.only == "start" else _cells(options, names)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    results = Results(options.services, options.rounds, options.seconds, cells, footprints)
    print(report.text(results))
    if options.save:
        path = report.save(results, options.only or "run")
        print(f"\nsaved as {path}\n{plot.save(path)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="CPU, memory and start of the server."
    )
    parser.add_argument(
        "--services", type=_even, default=10_000, help="Services in the zone, an even number (default 10000)"
    )
    parser.add_argument("--rows", nargs="+", choices=list(cluster.ROWS), default=list(cluster.ROWS))
    parser.add_argument("--only", choices=["cpu", "start"], help="CPU per query, or memory and start")
    parser.add_argument(
        "--no-many", action="store_true", help=f"leave out memory and start at {_MANY} Services"
    )
    contest.options(parser)
    return parser


def _even(text: str) -> int:
    """Every second Service has an IPv6 address, and the last one has none."""
    number = int(text)
    if number < cluster.NAMESPACES or number % 2:
        raise argparse.ArgumentTypeError(f"{text}: an even number from {cluster.NAMESPACES} on")
    return number


def _footprints(options: argparse.Namespace, names: list[str]) -> list[Footprint]:
    """Start and memory of each data plane with ``options.services`` Services, and with many."""
    found = []
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary:
        folder = Path(temporary)
        with store.running(folder) as etcd:
            for services in (options.services, *(() if options.no_many else (_MANY,))):
                etcd.grow(services)
                found += [_footprint(folder, etcd.url, services, name) for name in names]
    return found


def _footprint(folder: Path, url: str, services: int, name: str) -> Footprint:
    """Started, and then asked for every Service a few times."""
    queries = folder / "queries"
    cluster.write_queries(queries, "A", services)
    with subject.running(folder, url, services, name) as ours:
        load.run(ours.port, queries, load.How(60, passes=1))
        print(f"bench: {name} with {services} Services started", file=sys.stderr)
        return replace(ours.footprint, loaded_rss_bytes=ours.process.rss_bytes())


def _cells(options: argparse.Namespace, names: list[str]) -> list[Cell]:
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        etcd = stack.enter_context(store.running(folder, dual=True))
        etcd.grow(options.services)
        contenders = contest.ours(folder, etcd.url, options.services, names, stack)
        contenders.append(contest.echo(folder, stack))
        if not options.no_peers:
            contenders += contest.peers(folder, options.services, stack)
        rows = {title: _row(title, options.services) for title in options.rows}
        return contest.take_turns(folder, contenders, rows, options.rounds, options.seconds)


def _row(title: str, services: int) -> contest.Row:
    """The row, checked with a Service in the middle."""
    return contest.Row(
        write=partial(cluster.write_queries, row=title, count=services),
        is_right=partial(ask.serves, row=title, index=services // 2, count=services),
    )


if __name__ == "__main__":
    sys.exit(main())
