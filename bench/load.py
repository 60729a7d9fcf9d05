"""dnsperf, the load generator: as many queries as the server takes, 100 of them outstanding."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.process import LOAD_CORE, BenchError, Process, require

OUTSTANDING = 100
CLIENTS = 4
"""Sockets that share the outstanding queries, so that no server depends on one client's address."""
_LOST_AFTER_SECONDS = 1
EDNS = ("-e",)
TCP = ("-m", "tcp")
"""As many connections as there are clients, the outstanding queries pipelined over them (RFC 7766)."""


@dataclass(frozen=True)
class Load:
    """One run of dnsperf: queries answered, queries that were not, wall-clock seconds, octets of a reply."""

    completed: int
    lost: int
    seconds: float
    reply_octets: int = 0


@dataclass(frozen=True)
class Sample:
    """One round of one server: microseconds of its CPU per query answered, rate per second, queries lost."""

    cpu_us: float
    rate: float
    lost: int
    reply_octets: int = 0


@dataclass(frozen=True)
class How:
    """For how long dnsperf asks: ``seconds``, and no more than ``passes`` through the queries where not 0.

    ``flags`` are more of its own: ``EDNS``, ``TCP``.
    """

    seconds: float
    passes: int = 0
    flags: tuple[str, ...] = ()


def measure(server: Process, port: int, queries: Path, how: How) -> Sample:
    """Load the server and charge the CPU it used to the queries it answered."""
    before = server.cpu_seconds()
    load = run(port, queries, how)
    spent = server.cpu_seconds() - before
    rate = load.completed / load.seconds
    return Sample(spent / load.completed * 1e6, rate, load.lost, load.reply_octets)


def run(port: int, queries: Path, how: How) -> Load:
    """Run dnsperf against 127.0.0.1:port, pinned to the other core; BenchError where nothing was answered."""
    wait = how.seconds + 30
    done = subprocess.run(
        command(port, queries, how), capture_output=True, text=True, timeout=wait, check=False
    )
    load = parse(done.stdout)
    if load is None or not load.completed:
        raise BenchError(
            f"dnsperf got no answer from port {port}: {(done.stderr or done.stdout).strip()[-200:]}"
        )
    return load


def latencies(port: int, queries: Path, how: How, rate: float, output: Path) -> tuple[Load, list[float]]:
    """Ask ``rate`` queries a second; the statistics, and the seconds each reply took, in order of size.

    dnsperf prints a line for each reply to ``output``, which costs its own core something, not the server's.
    Where it may, it goes before all else on that core (chrt): without, half the latency measured while others
    write was dnsperf waiting for its turn.
    """
    first = ["chrt", "--fifo", "10"] if may_go_first() else []
    asking = [*first, *command(port, queries, how), "-v", "-Q", str(round(rate))]
    with output.open("w") as stream:
        subprocess.run(asking, stdout=stream, stderr=stream, timeout=how.seconds + 30, check=False)
    times, rest = [], []
    with output.open(errors="replace") as lines:
        for line in lines:
            if not line.startswith("> "):
                rest.append(line)
            elif not line.startswith("> T "):
                times.append(float(line.rpartition(" ")[2]))
    load = parse("".join(rest))
    if load is None or not times:
        raise BenchError(f"dnsperf got no answer from port {port}: {''.join(rest).strip()[-200:]}")
    return load, sorted(times)


def may_go_first() -> bool:
    """Whether this process may give another a real-time priority (sched(7))."""
    if not shutil.which("chrt"):
        return False
    return subprocess.run(["chrt", "--fifo", "10", "true"], check=False, capture_output=True).returncode == 0


def command(port: int, queries: Path, how: How) -> list[str]:
    """The command that ``run`` runs."""
    limits = ["-l", f"{how.seconds:g}", *(["-n", str(how.passes)] if how.passes else [])]
    return [
        *("taskset", "-c", str(LOAD_CORE), require("dnsperf", "dnsperf")),
        *("-s", "127.0.0.1", "-p", str(port), "-d", str(queries), *limits),
        *("-q", str(OUTSTANDING), "-c", str(CLIENTS), "-T", "1", "-t", str(_LOST_AFTER_SECONDS)),
        *how.flags,
    ]


def parse(output: str) -> Load | None:
    """The statistics that dnsperf prints at its end; None where they are missing."""
    completed = re.search(r"Queries completed:\s+(\d+)", output)
    lost = re.search(r"Queries lost:\s+(\d+)", output)
    seconds = re.search(r"Run time \(s\):\s+([\d.]+)", output)
    octets = re.search(r"Average packet size:.*response (\d+)", output)
    if not (completed and lost and seconds):
        return None
    return Load(int(completed[1]), int(lost[1]), float(seconds[1]), int(octets[1]) if octets else 0)
