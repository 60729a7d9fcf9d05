"""Latency while Services change: ``python -m bench.churn``.

1. The most the server answers is measured first, then dnsperf asks half as much and prints each reply's time.
2. Three phases take turns: nothing is written; the writer writes to keys that the server does not follow;
   it writes to those that it follows.  Writer, etcd and dnsperf share a core, and the second phase tells what
   that alone does to the latency.
3. Afterwards the last change must be served: a server that only drops changes does not look fast.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ask, cluster, load, report, store, subject, writer
from bench.process import LOAD_CORE, BenchError

_PHASES = {"quiet": "", "written elsewhere": "/elsewhere", "churn": writer.FOLLOWED}
_MARGIN_SECONDS = 2.0
_CONVERGED_SECONDS = 10.0


@dataclass(frozen=True)
class Round:
    """One round of one phase: percentiles in microseconds, queries lost, changes a second."""

    p50: float
    p99: float
    p999: float
    most: float
    lost: int
    rate: float
    changes: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the phases and their ratios; 1 where something failed."""
    options = _parser().parse_args(argv)
    try:
        runs = [_run(options, name) for name in subject.names(pure_too=options.pure_too)]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.machine_line())
    for each in runs:
        print(_text(each))
    if options.save:
        print(f"saved as {report.save({'runs': runs}, 'churn')}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.churn", description="Latency while Services change in etcd."
    )
    parser.add_argument("--services", type=int, default=10_000, help="Services in the zone (default 10000)")
    parser.add_argument("--changes", type=int, default=1000, help="Services changed a second (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per phase (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default 5)")
    parser.add_argument("--pure-too", action="store_true", help="measure the pure data plane as well")
    parser.add_argument("--save", action="store_true", help="write the results as JSON below bench/results")
    return parser


def _run(options: argparse.Namespace, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary:
        folder = Path(temporary)
        queries = folder / "queries"
        cluster.write_queries(queries, "A", options.services)
        with store.running(folder) as etcd:
            etcd.grow(options.services)
            with subject.running(folder, etcd.url, options.services, name) as ours:
                most = load.run(ours.port, queries, load.How(3.0))
                half = most.completed / most.seconds / 2
                rounds: dict[str, list[Round]] = {phase: [] for phase in _PHASES}
                for _ in range(options.rounds):
                    for phase, prefix in _PHASES.items():
                        found = _round(folder, etcd.url, ours, options, (queries, prefix, half))
                        rounds[phase].append(found)
                        print(f"bench: {name}, {phase}: {found}", file=sys.stderr)
    return {"server": name, "services": options.services, "rate": round(half), **figures(rounds)}


def _round(
    folder: Path, url: str, ours: subject.Subject, options: argparse.Namespace, how: tuple[Path, str, float]
) -> Round:
    """One phase once; where Services changed, the last change must be served in the end."""
    queries, prefix, rate = how
    writing = _start_writer(url, prefix, options) if prefix else None
    try:
        found, times = load.latencies(
            ours.port, queries, load.How(options.seconds), rate, folder / "latencies"
        )
        made: dict[str, Any] = _finish(writing) if writing else {"made": 0, "seconds": 1.0}
    finally:
        if writing:
            writing.kill()
            writing.wait()
    if prefix == writer.FOLLOWED:
        _await(ours, *made["last"])
    p50, p99, p999 = (round(at(times, share) * 1e6, 1) for share in (0.5, 0.99, 0.999))
    changes = round(made["made"] / made["seconds"])
    answered = round(found.completed / found.seconds)
    return Round(p50, p99, p999, round(times[-1] * 1e6), found.lost, answered, changes)


def _start_writer(url: str, prefix: str, options: argparse.Namespace) -> "subprocess.Popen[str]":
    numbers = (str(options.services), str(options.changes), str(options.seconds + _MARGIN_SECONDS))
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.writer", url, prefix, *numbers]
    writing = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if not writing.stdout or writing.stdout.readline().strip() != "started":
        writing.kill()
        raise BenchError("the writer did not start")
    return writing


def _finish(writing: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = writing.communicate(timeout=30)
    if writing.returncode:
        raise BenchError(f"the writer ended with {writing.returncode}")
    made: dict[str, Any] = json.loads(output)
    return made


def _await(ours: subject.Subject, index: int, address: str) -> None:
    """The last change is served, soon."""

    def is_served() -> bool:
        message = ask.ask(ours.port, f"{cluster.fqdn(index)} A")
        return bool(message and any(str(rdata) == address for rrset in message.answer for rdata in rrset))

    ours.process.wait_until(is_served, ours.process.age() + _CONVERGED_SECONDS)


def at(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the ordered ones do not pass."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def figures(rounds: dict[str, list[Round]]) -> dict[str, Any]:
    """Medians over the rounds by phase, queries lost in all of them, and the ratios to quiet."""
    phases = {phase: _median(found) for phase, found in rounds.items()}
    quiet = phases["quiet"]
    ratios = {
        phase: {key: round(found[key] / quiet[key], 2) for key in ("p50", "p99", "p999")}
        for phase, found in phases.items()
    }
    return {"microseconds": phases, "ratios": ratios}


def _median(rounds: list[Round]) -> dict[str, float]:
    keys = ("p50", "p99", "p999", "rate", "changes")
    found = {key: round(statistics.median(getattr(each, key) for each in rounds), 1) for key in keys}
    return found | {"most": max(each.most for each in rounds), "lost": sum(each.lost for each in rounds)}


def _text(run: dict[str, Any]) -> str:
    lines = [f"{run['server']}, {run['services']} Services, asked {run['rate']} times a second"]
    for phase, found in run["microseconds"].items():
        ratio = run["ratios"][phase]
        lines.append(
            f"  {phase:<18} p50 {found['p50']:7.1f} µs ({ratio['p50']:.2f})"
            f"  p99 {found['p99']:7.1f} ({ratio['p99']:.2f})  p99.9 {found['p999']:7.1f}"
            f"  most {found['most']:.0f}  {found['lost']} lost"
            f"  {found['rate']:.0f} answers/s, {found['changes']:.0f} changes/s"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
