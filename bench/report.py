"""The results as a table for a person, and as JSON with the machine and the commit they belong to."""

import dataclasses
import datetime
import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.subject import Footprint

FLOOR = "echo"
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Cell:
    """One server on one row: CPU microseconds per query, answers per second, queries lost.

    ``cpu_us`` is the median of the rounds, ``least_us`` and ``most_us`` their spread, ``first_us`` the cost
    in the first pass through the queries.
    """

    row: str
    server: str
    cpu_us: float
    least_us: float
    most_us: float
    first_us: float
    rate: float
    lost: int


@dataclass(frozen=True)
class Results:
    """Everything one run of ``bench.run`` measured."""

    services: int
    rounds: int
    round_seconds: float
    cells: list[Cell]
    footprints: list[Footprint]


def text(results: Results) -> str:
    """The report."""
    lines = [
        _machine_line(),
        f"{results.services} Services, {results.rounds} rounds of {results.round_seconds:g} s",
        "",
    ]
    lines += [
        "CPU microseconds per query: median of the rounds (times the echo's), their spread, first pass",
    ]
    for row in dict.fromkeys(cell.row for cell in results.cells):
        lines += ["", f"  {row}"]
        cells = [cell for cell in results.cells if cell.row == row]
        floor = next((cell.cpu_us for cell in cells if cell.server == FLOOR), None)
        lines += [_cell_line(cell, floor) for cell in sorted(cells, key=lambda cell: cell.cpu_us)]
    lines += ["", "Start and memory, from etcd"]
    return "\n".join([*lines, *map(_footprint_line, results.footprints)])


def _cell_line(cell: Cell, floor: float | None) -> str:
    ratio = f"({cell.cpu_us / floor:5.2f})" if floor else ""
    spread = f"{cell.least_us:.2f} to {cell.most_us:.2f}"
    cost = f"{cell.server:<9}{cell.cpu_us:7.2f} {ratio:>9}   {spread:>16}   first {cell.first_us:6.2f}"
    return f"    {cost}{cell.rate:10.0f}/s{cell.lost:6d} lost"


def _footprint_line(print_: Footprint) -> str:
    megabytes = f"{print_.rss_bytes / 1e6:.0f} MB resident, {print_.peak_rss_bytes / 1e6:.0f} MB at its peak"
    if print_.loaded_rss_bytes:
        megabytes += f", {print_.loaded_rss_bytes / 1e6:.0f} MB after the queries"
    ready = (
        f"ready after {print_.ready_seconds:.2f} s, last Service answered after {print_.answer_seconds:.2f} s"
    )
    return f"  {print_.services:>7} Services: {megabytes}; {ready}"


def _machine_line() -> str:
    facts = machine()
    where = f"{facts['cpu']}, Linux {facts['kernel']}, Python {facts['python']}"
    return f"{facts['date']}, commit {facts['commit']}, {where}"


def machine() -> dict[str, str]:
    """Date, commit, processor, kernel and Python of this run."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "none"


def save(results: Results | dict[str, object], name: str = "run") -> Path:
    """Write JSON below bench/results, named after what was run, the date and the commit."""
    facts = machine()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{facts['date']}-{facts['commit']}.json"
    body = results if isinstance(results, dict) else dataclasses.asdict(results)
    path.write_text(json.dumps({"machine": facts, **body}, indent=1) + "\n")
    return path
