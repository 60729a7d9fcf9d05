"""dnsperf, the load generator: as many queries as the server takes, 100 of them outstanding."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.process import LOAD_CORE, BenchError, Process, require

OUTSTANDING = 100
CLIENTS = 4
"""Sockets that share the outstanding queries, so that no server depends on one client's address."""
_LOST_AFTER_SECONDS = 1


@dataclass(frozen=True)
class Load:
    """One run of dnsperf: queries answered, queries that were not, and wall-clock seconds."""

    completed: int
    lost: int
    seconds: float


@dataclass(frozen=True)
class Sample:
    """One round of one server: microseconds of its CPU per query answered, rate per second, queries lost."""

    cpu_us: float
    rate: float
    lost: int


def measure(server: Process, port: int, queries: Path, seconds: float, passes: int = 0) -> Sample:
    """Load the server and charge the CPU it used to the queries it answered.

    It ends after ``seconds``, or where ``passes`` is not 0 after as many passes through the file if that
    comes first.
    """
    before = server.cpu_seconds()
    load = run(port, queries, seconds, passes)
    spent = server.cpu_seconds() - before
    return Sample(spent / load.completed * 1e6, load.completed / load.seconds, load.lost)


def run(port: int, queries: Path, seconds: float, passes: int) -> Load:
    """Run dnsperf against 127.0.0.1:port, pinned to the other core; BenchError where nothing was answered."""
    limits = ["-l", f"{seconds:g}", *(["-n", str(passes)] if passes else [])]
    command = [
        *("taskset", "-c", str(LOAD_CORE), require("dnsperf", "dnsperf")),
        *("-s", "127.0.0.1", "-p", str(port), "-d", str(queries), *limits),
        *("-q", str(OUTSTANDING), "-c", str(CLIENTS), "-T", "1", "-t", str(_LOST_AFTER_SECONDS)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    load = parse(done.stdout)
    if load is None or not load.completed:
        raise BenchError(
            f"dnsperf got no answer from port {port}: {(done.stderr or done.stdout).strip()[-200:]}"
        )
    return load


def parse(output: str) -> Load | None:
    """The statistics that dnsperf prints at its end; None where they are missing."""
    completed = re.search(r"Queries completed:\s+(\d+)", output)
    lost = re.search(r"Queries lost:\s+(\d+)", output)
    seconds = re.search(r"Run time \(s\):\s+([\d.]+)", output)
    if not (completed and lost and seconds):
        return None
    return Load(int(completed[1]), int(lost[1]), float(seconds[1]))
