"""How long an external address is away when its node fails: ``python -m bench.failover``, as root.

Three nodes, a store and a client on a segment of network namespaces (``bench.segment``).  A client asks the
address every 10 ms and has every node say every 20 ms whether it has it.  Each way to fail is repeated:

    kill    the announcer is killed (SIGKILL); its node goes on
    power   the announcer is killed and its node's links are down
    cut     its node is cut off from the store, and from nothing else
    freeze  the announcer is stopped (SIGSTOP) for 6 s and goes on
    exit    the announcer is asked to end (SIGTERM)

``away``: from the last answer before to the first one after.  ``moved``: from the failure to the first time
that another node says it has the address.  ``margin``: between the last claim of the old node and the first
of the new one.  ``doubles``: claims of the old node after that; any is a fault.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import report
from bench.process import BenchError
from bench.segment import Etcd, Node, Seen, Segment, segment

_FREEZE_SECONDS = 6.0
_AFTER_SECONDS = 4.0
MODES = ("kill", "power", "cut", "freeze", "exit")


@dataclass(frozen=True)
class Outcome:
    """One failure; seconds."""

    away: float
    moved: float
    margin: float
    doubles: int


def _kill(node: Node) -> Callable[[], None]:
    node.end(signal.SIGKILL)
    return node.start


def _power(node: Node) -> Callable[[], None]:
    node.links("down")
    node.end(signal.SIGKILL)

    def mend() -> None:
        node.links("up")
        node.start()

    return mend


def _cut(node: Node) -> Callable[[], None]:
    node.cut()
    return node.mend


def _freeze(node: Node) -> Callable[[], None]:
    node.send(signal.SIGSTOP)
    time.sleep(_FREEZE_SECONDS)
    node.send(signal.SIGCONT)
    return lambda: None


def _exit(node: Node) -> Callable[[], None]:
    node.end(signal.SIGTERM)
    return node.start


_WAYS: dict[str, Callable[[Node], Callable[[], None]]] = {
    "kill": _kill,
    "power": _power,
    "cut": _cut,
    "freeze": _freeze,
    "exit": _exit,
}


def fail(lab: Segment, address: str, mode: str, after: float = _AFTER_SECONDS) -> Outcome:
    """Have the node that has the address fail, and be well again; BenchError where nobody takes over."""
    node = lab.holder(address)
    with lab.watched(address) as seen:
        time.sleep(1.0)
        begun = time.monotonic()
        mend = _WAYS[mode](node)
        time.sleep(after)
        found = seen()
    mend()
    lab.start()
    return outcome(found, address, node.mac, begun)


def outcome(seen: Seen, address: str, old: str, begun: float) -> Outcome:
    """What became of an address that ``old``, a MAC, had until ``begun``."""
    claims = seen.claims(address)
    taken = next((when for when, mac in claims if mac != old), None)
    if taken is None:
        raise BenchError(f"nobody took over {address}")
    before = [when for when, mac in claims if mac == old and when < taken]
    doubles = sum(mac == old for when, mac in claims if when > taken)
    return Outcome(seen.longest_gap()[0], taken - begun, taken - max(before), doubles)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the table, and with --save keep it; 1 where something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.failover", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=20, help="of each way to fail (default 20)")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--lease", type=int, default=2, help="balancer.lease_seconds (default 2)")
    parser.add_argument("--kube-apiserver", metavar="PROGRAM", default="", help="the API as the store")
    parser.add_argument("--save", action="store_true", help="write the results as JSON below bench/results")
    options = parser.parse_args(argv)
    if os.geteuid() != 0:
        print("bench: needs root, to make network namespaces", file=sys.stderr)
        return 1
    try:
        store = _store(options.kube_apiserver)
        found = {mode: _repeat(mode, options.runs, options.lease, store) for mode in options.modes}
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"{report.machine_line()}\nlease {options.lease} s, {options.runs} runs each, seconds\n")
    print("\n".join(lines(found)))
    if options.save:
        body = {
            "lease_seconds": options.lease,
            "store": "kube-apiserver" if options.kube_apiserver else "etcd",
            "outcomes": {mode: [asdict(each) for each in every] for mode, every in found.items()},
        }
        print(f"\nsaved as {report.save(body, 'failover')}")
    return 0 if not any(each.doubles for every in found.values() for each in every) else 1


def _store(kube_apiserver: str) -> Callable[[str, Path], Any]:
    if not kube_apiserver:
        return Etcd
    from tests.kube_server import real  # noqa: PLC0415  # tests are there in a checkout only
    from tests.system.kube_segment import ApiStore  # noqa: PLC0415  # the same

    return partial(ApiStore, server=partial(real, kube_apiserver))


def _repeat(mode: str, runs: int, lease: int, store: Callable[[str, Path], Any]) -> list[Outcome]:
    with (
        tempfile.TemporaryDirectory(prefix="skydns-bench-") as folder,
        segment(Path(folder), 3, store=store, lease_seconds=lease) as lab,
    ):
        lab.start()
        (address,) = lab.given(lab.service("web"))
        return [fail(lab, address, mode, _AFTER_SECONDS + lease) for _ in range(runs)]


def lines(found: dict[str, list[Outcome]]) -> list[str]:
    """The table."""
    rows = [f"{'':<8}{'away':>16}{'moved':>18}{'margin':>12}{'doubles':>10}"]
    rows.append(f"{'':<8}{'median':>9}{'worst':>8}{'median':>10}{'worst':>8}{'least':>11}")
    for mode, every in found.items():
        cells: list[Any] = [
            *_middle_and_worst([each.away for each in every]),
            *_middle_and_worst([each.moved for each in every]),
            min(each.margin for each in every),
        ]
        text = "{:9.2f}{:8.2f}{:10.2f}{:8.2f}{:11.2f}".format(*cells)
        rows.append(f"{mode:<8}{text}{sum(each.doubles for each in every):10}")
    return rows


def _middle_and_worst(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), max(values)


if __name__ == "__main__":
    sys.exit(main())
