"""Programming portals: ``python -m bench.portal``, as root.

For each number of Services, two endpoints each, and each backend, in a network namespace of its own with an
etcd in it: how long ``skydns portal`` takes from nothing, and then one changed endpoint after the other.

1. Cold: from the moment the first list of the source was complete to the committed transaction, and from the
   start of the process.
2. One change: from etcd's acknowledgement of the put to the line in the log that follows the commit.
3. CPU counts the programs it starts; memory is its own, after the changes, and at its peak.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from bench import cluster, portal_packets, registry, report, store
from bench.process import SERVER_CORE, BenchError, compile_package

BACKENDS = {
    "nftables": {"backend": "nftables"},
    "iptables-nft": {"backend": "iptables", "iptables": "nft"},
    "iptables-legacy": {"backend": "iptables", "iptables": "legacy"},
}
_READY_SECONDS = 120.0
_SPARE = "10.192.{}.{}"


@dataclass(frozen=True)
class Programmed:
    """One backend at one size; times in seconds, memory in octets."""

    backend: str
    services: int
    cold: float
    start_to_ready: float
    cpu: float
    change_median: float
    change_most: float
    rss: int
    peak_rss: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print the table; 1 where something failed."""
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("bench: run it as root: it makes network namespaces and programmes rules", file=sys.stderr)
        return 1
    if not options.inside:
        again = [sys.executable, "-m", "bench.portal", "--inside", *(sys.argv[1:] if argv is None else argv)]
        return subprocess.run(["unshare", "--net", "--", *again], check=False).returncode
    try:
        return _inside(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.portal", description="Programming portals.")
    parser.add_argument("--services", type=int, nargs="+", default=[1000, 5000, 20000], metavar="N")
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--changes", type=int, default=50, help="endpoints changed, one at a time (50)")
    parser.add_argument("--packets", action="store_true", help="measure connections through the portals too")
    parser.add_argument("--connections", type=int, default=3000, help="for --packets, of each kind (3000)")
    parser.add_argument("--save", action="store_true", help="write JSON and a plot below bench/results")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


def _inside(options: argparse.Namespace) -> int:
    """In the namespace: everything, and the report."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    compile_package()
    print(report.machine_line(), flush=True)
    programmed, connected = [], []
    with (
        tempfile.TemporaryDirectory(prefix="skydns-bench-") as temporary,
        store.running(Path(temporary)) as etcd,
        portal_packets.laid(options.packets) as net,
    ):
        for services in sorted(options.services):
            etcd.grow(services)
            for backend in options.backends:
                with Programmer(Path(temporary), etcd.url, backend) as programmer:
                    programmed.append(_measure(programmer, etcd, services, options.changes))
                    print(_line(programmed[-1]), flush=True)
                    if net is not None:
                        connected.append(net.measure(backend, services, options.connections))
                        print(connected[-1].line(), flush=True)
    if options.save:
        kept: dict[str, object] = {
            "programmed": [asdict(p) for p in programmed],
            "connected": [asdict(c) for c in connected],
        }
        path = report.save(kept, "portal")
        print(f"saved as {path}\n{portal_packets.plot(path) if connected else 'no connections to plot'}")
    return 0


class Programmer:
    """A running ``skydns portal``; what it programmed is cleaned up when the ``with`` ends."""

    def __init__(self, folder: Path, url: str, backend: str) -> None:
        self.backend = backend
        self.config = folder / f"{backend}.yaml"
        http = dict.fromkeys(("health", "ready", "metrics"), "")
        portal = {"node_name": "node-0", "cluster_cidr": ["10.128.0.0/9"], "http": http, **BACKENDS[backend]}
        self.config.write_text(yaml.safe_dump({"source": {"etcd": {"endpoints": [url]}}, "portal": portal}))
        self._log: list[str] = []

    def __enter__(self) -> "Programmer":
        self.started = time.monotonic()
        command = ["taskset", "-c", str(SERVER_CORE), *_skydns("-c", str(self.config))]
        self._popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.terminate()
        self._popen.wait()
        subprocess.run(_skydns("-c", str(self.config), "--cleanup"), check=True, capture_output=True)

    def wait_for(self, text: str) -> str:
        """The next line of its log that contains ``text``."""
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            self._log.append(line)
            if text in line:
                return line
        raise BenchError(f"skydns portal ended: {''.join(self._log[-3:])}")

    def cpu(self) -> float:
        """Seconds of its own and of the programs it has started (fields 14 to 17 of /proc/PID/stat)."""
        fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str) -> int:
        """A field of /proc/PID/status in octets: VmRSS or VmHWM."""
        status = Path(f"/proc/{self._popen.pid}/status").read_text()
        found = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0


def _skydns(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "skydns_py", "portal", *arguments]


def _measure(programmer: Programmer, etcd: store.Store, services: int, changes: int) -> Programmed:
    line = programmer.wait_for("ready: ")
    ready, cpu = time.monotonic() - programmer.started, programmer.cpu()
    cold = float(line.rpartition(", ")[2].split()[0])
    took = [
        _change(programmer, etcd, index) for index in random.Random(1).choices(range(services), k=changes)
    ]
    return Programmed(
        programmer.backend,
        services,
        cold,
        ready,
        cpu,
        statistics.median(took),
        max(took),
        programmer.memory("VmRSS"),
        programmer.memory("VmHWM"),
    )


def _change(programmer: Programmer, etcd: store.Store, index: int) -> float:
    """Exchange one endpoint of a Service; the seconds until that is in the kernel."""
    kept, _ = cluster.endpoints(index)
    chance = random.randrange(1 << 14)
    etcd.client.put(*registry.slice_pair(index, (kept, _SPARE.format(chance >> 8, chance & 255))))
    put = time.monotonic()
    programmer.wait_for("programmed: ")
    return time.monotonic() - put


def _line(found: Programmed) -> str:
    return (
        f"  {found.backend:<16}{found.services:>6} Services: cold {found.cold:6.2f} s"
        f" ({found.start_to_ready:.2f} s from the start, {found.cpu:.2f} s of CPU),"
        f" one change {found.change_median * 1e3:.0f} ms (most {found.change_most * 1e3:.0f}),"
        f" {found.rss / 1e6:.0f} MB (peak {found.peak_rss / 1e6:.0f})"
    )


if __name__ == "__main__":
    sys.exit(main())
