"""CPU per query out of many names beside few: ``python -m bench.names``.

Two processes serve native tables filled in place (``bench.table``), because a cluster with a million Services
in etcd would measure etcd's memory and ours, not the lookup.  Both are asked for all their names in random
order, as many queries in one pass as the larger has names, so that nothing but the size of the table differs.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import ask, cluster, contest, report, subject
from bench.load import How, measure
from bench.ports import free_port
from bench.process import BenchError, Process

_START_SECONDS = 300
_HOW = "native tables filled in place, one process each, every name asked for at random"


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the costs and their ratio; 1 where something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.names", description="CPU per query out of a million names."
    )
    parser.add_argument("--few", type=int, default=10_000, help="names in the smaller table (default 10000)")
    parser.add_argument("--many", type=int, default=1_000_000, help="in the larger (default 1000000)")
    contest.options(parser)
    options = parser.parse_args(argv)
    try:
        figures = _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"{report.machine_line()}\n{_HOW}")
    for name, value in figures.items():
        print(f"  {name}: {value}")
    if options.save:
        print(f"saved as {report.save({'how': _HOW, **figures}, 'names')}")
    return 0


def _run(options: argparse.Namespace) -> dict[str, object]:
    if subject.NATIVE not in subject.names():
        raise BenchError("the native table is what this measures")
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        sizes = (options.few, options.many)
        tables = {count: _table(folder, count, stack) for count in sizes}
        files = {count: queries(folder, count, max(sizes)) for count in sizes}
        costs: dict[int, list[float]] = {count: [] for count in sizes}
        for _ in range(options.rounds):
            for count, (process, port) in tables.items():
                costs[count].append(measure(process, port, files[count], How(options.seconds)).cpu_us)
        resident = {count: process.rss_bytes() for count, (process, _) in tables.items()}
    return _figures(costs, resident)


def _figures(costs: dict[int, list[float]], resident: dict[int, int]) -> dict[str, object]:
    """Medians, spreads, memory, and the ratio of the larger table's cost to the smaller's."""
    figures: dict[str, object] = {}
    for count, found in costs.items():
        figures[f"{count} names, CPU µs per query"] = round(statistics.median(found), 2)
        figures[f"{count} names, spread µs"] = [round(min(found), 2), round(max(found), 2)]
        figures[f"{count} names, MB resident"] = round(resident[count] / 1e6)
    few, many = min(costs), max(costs)
    figures["ratio"] = round(statistics.median(costs[many]) / statistics.median(costs[few]), 3)
    return figures


def _table(folder: Path, count: int, stack: ExitStack) -> tuple[Process, int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.table", str(count), str(port)]
    process = stack.enter_context(Process(command, folder / f"table-{count}.log"))
    process.wait_until(lambda: ask.serves(port, "A", count - 1, count), _START_SECONDS)
    return process, port


def queries(folder: Path, count: int, lines: int) -> Path:
    """``lines`` queries for ``count`` names, each as often as the others, shuffled."""
    path = folder / f"queries-{count}"
    order = [index % count for index in range(lines)]
    random.Random(cluster.SEED).shuffle(order)
    path.write_text("".join(f"{cluster.fqdn(index)} A\n" for index in order))
    return path


if __name__ == "__main__":
    sys.exit(main())
