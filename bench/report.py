"""The results as a table for a person, and as JSON with the machine and the commit they belong to."""

import dataclasses
import datetime
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.subject import Footprint

FLOOR = "echo"
RIVAL = "knot"
"""The peer that ratios are given to beside the echo."""
RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Cell:
    """One server on one row: CPU microseconds per query, answers per second, queries lost.

    ``cpu_us`` is the median of the rounds, ``least_us`` and ``most_us`` their spread, ``first_us`` the cost
    in the first pass through the queries, ``reply_octets`` the mean size of a reply in it.
    """

    row: str
    server: str
    cpu_us: float
    least_us: float
    most_us: float
    first_us: float
    rate: float
    lost: int
    reply_octets: int = 0


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
    title = f"{results.services} Services, {results.rounds} rounds of {results.round_seconds:g} s"
    lines = [machine_line(), title] if results.cells else [machine_line()]
    return "\n".join([*lines, *_cell_lines(results.cells), *_footprint_lines(results.footprints)])


def _cell_lines(every: list[Cell]) -> list[str]:
    """The rows, each with its servers from the cheapest on."""
    if not every:
        return []
    heading = f"{'server':<12} {'CPU µs':>8} {'÷ echo':>7} {'÷ knot':>7}   {'spread':<17} first pass"
    lines = [
        "",
        "CPU per query: median of the rounds, its ratios, the spread of the rounds, the first pass",
        "",
        f"    {heading}",
    ]
    for row in dict.fromkeys(cell.row for cell in every):
        cells = [cell for cell in every if cell.row == row]
        lines += ["", f"  {row}", *_row_lines(cells)]
    return lines


def _row_lines(cells: list[Cell]) -> list[str]:
    costs = {cell.server: cell.cpu_us for cell in cells}
    cells = sorted(cells, key=lambda cell: cell.cpu_us)
    return [_cell_line(cell, costs.get(FLOOR), costs.get(RIVAL)) for cell in cells]


def _cell_line(cell: Cell, floor: float | None, rival: float | None) -> str:
    cost = f"{cell.server:<12} {cell.cpu_us:8.2f} {_ratio(cell, floor)} {_ratio(cell, rival)}"
    spread = f"{cell.least_us:.2f} to {cell.most_us:.2f}"
    rest = f"{cell.rate:8.0f}/s {cell.lost:4d} lost {cell.reply_octets:5d} octets"
    return f"    {cost}   {spread:<17} {cell.first_us:8.2f} {rest}"


def _ratio(cell: Cell, other: float | None) -> str:
    return f"{cell.cpu_us / other:7.2f}" if other else f"{'-':>7}"


def _footprint_lines(footprints: list[Footprint]) -> list[str]:
    """Start and memory, and what a Service more takes, by data plane."""
    if not footprints:
        return []
    lines = ["", "Start and memory, from etcd", *map(_footprint_line, footprints)]
    for server, octets in bytes_a_service(footprints).items():
        lines.append(f"  {server}: {octets} bytes a Service")
    return lines


def bytes_a_service(footprints: list[Footprint]) -> dict[str, int]:
    """Resident memory that a Service more takes, by data plane, where two sizes were measured."""
    found = {}
    for server in dict.fromkeys(each.server for each in footprints):
        sizes = sorted((f.services, f.rss_bytes) for f in footprints if f.server == server)
        (few, little), (many, much) = sizes[0], sizes[-1]
        if many > few:
            found[server] = round((much - little) / (many - few))
    return found


def _footprint_line(print_: Footprint) -> str:
    megabytes = f"{print_.rss_bytes / 1e6:.0f} MB resident, {print_.peak_rss_bytes / 1e6:.0f} MB at its peak"
    if print_.loaded_rss_bytes:
        megabytes += f", {print_.loaded_rss_bytes / 1e6:.0f} MB after the queries"
    ready = (
        f"ready after {print_.ready_seconds:.2f} s with {print_.cpu_seconds:.2f} s of CPU,"
        f" last Service answered after {print_.answer_seconds:.2f} s"
    )
    return f"  {print_.server:<12}{print_.services:>7} Services: {megabytes}; {ready}"


def machine_line(facts: dict[str, str] | None = None) -> str:
    """Date, commit, processor, kernel and Python, and how busy the machine was, in one line."""
    facts = facts or machine()
    where = f"{facts['cpu']} ({facts['cores']} cores), Linux {facts['kernel']}, Python {facts['python']}"
    return f"{facts['date']}, commit {facts['commit']}, {where}, load {facts['load']}"


def machine() -> dict[str, str]:
    """Date, commit, processor, kernel and Python of this run, and the system's load in this minute."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
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
