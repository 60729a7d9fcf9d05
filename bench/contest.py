"""Servers side by side: the echo, the peers and this server, loaded in turns, so that a slow minute hits all.

1. Every server is pinned to one core and the load generator to the other, in the same run.
2. A server that answers a row wrongly is not measured on it, and the report says so.
3. One pass through the queries comes first: what a server pays when a name is asked for the first time.
   Then short rounds take turns (A B C A B C ...), and the median of a server's rounds is reported.
4. CPU is user and system time of the server's process over the queries that were answered.  It depends
   on how many queries wait when the server looks, so all are driven alike, as fast as they go.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import ask, servers, subject
from bench.load import How, Sample, measure
from bench.ports import free_port
from bench.process import Process, find
from bench.report import FLOOR, Cell

_START_SECONDS = 60
_PASS_SECONDS = 60


@dataclass(frozen=True)
class Contender:
    """A running server; ``rows`` are those it has shown to answer rightly."""

    name: str
    process: Process
    port: int
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """What is asked: writes its queries to a file; dnsperf's ``flags``; whether a port answers it rightly."""

    write: Callable[[Path], None]
    is_right: Callable[[int], bool]
    flags: tuple[str, ...] = ()


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all contests share."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds per server and row (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round (default 2)")
    parser.add_argument("--no-peers", action="store_true", help="only this server and the echo")
    parser.add_argument("--save", action="store_true", help="keep the results below bench/results")


def ours(folder: Path, url: str, services: int, names: Iterable[str], stack: ExitStack) -> list[Contender]:
    """This server with each of the data planes ``names``."""
    running = [(name, stack.enter_context(subject.running(folder, url, services, name))) for name in names]
    return [Contender(name, each.process, each.port) for name, each in running]


def echo(folder: Path, stack: ExitStack) -> Contender:
    """The floor."""
    port = free_port()
    process = stack.enter_context(Process(servers.echo(folder, port), folder / "echo.log"))
    process.wait_until(lambda: ask.replies(port), _START_SECONDS)
    return Contender(FLOOR, process, port)


def peers(folder: Path, services: int, stack: ExitStack, wanted: Sequence[str] = ()) -> list[Contender]:
    """Every peer that this machine has, or those of ``wanted``."""
    found = [each for each in servers.PEERS if find(each.program) and (not wanted or each.name in wanted)]
    return [_peer(folder / each.name, each, services, stack) for each in found]


def _peer(folder: Path, peer: servers.Peer, services: int, stack: ExitStack) -> Contender:
    folder.mkdir()
    port = free_port()
    process = stack.enter_context(Process(peer.setup(folder, port, services), folder / "log"))
    process.wait_until(lambda: ask.serves(port, "A", services - 1, services), _START_SECONDS)
    return Contender(peer.name, process, port, peer.rows)


def judged(contender: Contender, rows: dict[str, Row]) -> Contender:
    """The same with those of ``rows`` that it can be measured on; the echo takes all."""
    asked = [row for row in rows if not contender.rows or row in contender.rows]
    right = [row for row in asked if contender.name == FLOOR or rows[row].is_right(contender.port)]
    for row in (row for row in asked if row not in right):
        print(f"bench: {contender.name} does not answer {row!r} rightly: left out", file=sys.stderr)
    return Contender(contender.name, contender.process, contender.port, tuple(right))


def take_turns(
    folder: Path, contenders: Sequence[Contender], rows: dict[str, Row], rounds: int, seconds: float
) -> list[Cell]:
    """Measure every contender on every row that it answers rightly."""
    known = [judged(contender, rows) for contender in contenders]
    cells: list[Cell] = []
    for title, row in rows.items():
        queries = folder / "queries"
        row.write(queries)
        takers = [contender for contender in known if title in contender.rows]
        cells += _row(title, takers, queries, rounds, How(seconds, flags=row.flags))
        print(f"bench: {title}: {rounds} rounds of {len(takers)} servers done", file=sys.stderr)
    return cells


def _row(title: str, takers: list[Contender], queries: Path, rounds: int, how: How) -> list[Cell]:
    once = replace(how, seconds=_PASS_SECONDS, passes=1)
    first = {t.name: measure(t.process, t.port, queries, once) for t in takers}
    samples: dict[str, list[Sample]] = {taker.name: [] for taker in takers}
    for _ in range(rounds):
        for taker in takers:
            samples[taker.name].append(measure(taker.process, taker.port, queries, how))
    return [cell(title, taker.name, first[taker.name], samples[taker.name]) for taker in takers]


def cell(row: str, server: str, first: Sample, rounds: list[Sample]) -> Cell:
    """What one server's rounds on one row come to."""
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
        reply_octets=first.reply_octets,
    )
