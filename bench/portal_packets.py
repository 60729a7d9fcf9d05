"""Connections through portals: a client, this node and a backend, each a network namespace.

The backend has every endpoint's address (a local route for their whole network), so that any Service can be
asked.  One process connects and closes, one connection after the other, to portal IPs drawn at random, and
in turns straight to endpoints, which is what the ratios are to.  A connection is over when the handshake is.
"""

import importlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import LOAD_CORE

CLIENT, NODE, BACKEND = "192.0.2.2", "192.0.2.1", "198.51.100.2"
_ENDPOINTS = "10.128.0.0/9"
_PORTALS = "10.96.0.0/11"
_SERVER = """
import socket, sys
listening = socket.create_server(("0.0.0.0", 8080), backlog=4096)
print("ready", flush=True)
while True:
    listening.accept()[0].close()
"""
_ASK = """
import ipaddress, json, random, socket, sys, time
services, connections = map(int, sys.argv[1:])
first, backend = (int(ipaddress.IPv4Address(text)) for text in ("10.96.0.1", "10.128.0.1"))
chance, took = random.Random(3), {"portal": [], "direct": []}
def connect(kind, address, port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        began = time.perf_counter()
        sock.connect((str(ipaddress.IPv4Address(address)), port))
        took[kind].append(time.perf_counter() - began)
for kind, address, port in [("direct", backend, 8080), ("portal", first, 80)] * 200:
    connect(kind, address, port)
took = {"portal": [], "direct": []}
for batch in range(10):
    for kind in ("portal", "direct"):
        for _ in range(connections // 10):
            index = chance.randrange(services)
            connect(kind, *((first + index, 80) if kind == "portal" else (backend + 2 * index, 8080)))
print(json.dumps(took))
"""


@dataclass(frozen=True)
class Connected:
    """Handshakes at one size: median and 99th percentile in seconds, and how many fit into a second."""

    backend: str
    services: int
    portal_median: float
    portal_p99: float
    portal_rate: float
    direct_median: float
    direct_p99: float
    direct_rate: float

    def line(self) -> str:
        """For a person."""
        return (
            f"  {'':<22} connecting: {self.portal_median * 1e6:.0f} µs (p99 {self.portal_p99 * 1e6:.0f},"
            f" {self.portal_rate:.0f}/s); straight to the endpoint {self.direct_median * 1e6:.0f} µs"
            f" (p99 {self.direct_p99 * 1e6:.0f}, {self.direct_rate:.0f}/s)"
        )


class Net:
    """The links are up and the backend answers."""

    def measure(self, backend: str, services: int, connections: int) -> Connected:
        """Connect to that many Services' portals, and to their endpoints."""
        command = ["ip", "netns", "exec", _name("client"), "taskset", "-c", str(LOAD_CORE)]
        ask = [sys.executable, "-c", _ASK, str(services), str(connections)]
        done = subprocess.run([*command, *ask], capture_output=True, text=True, check=True, timeout=300)
        took = json.loads(done.stdout)
        return Connected(backend, services, *_figures(took["portal"]), *_figures(took["direct"]))


def _figures(took: list[float]) -> tuple[float, float, float]:
    return statistics.median(took), statistics.quantiles(took, n=100)[98], len(took) / sum(took)


@contextmanager
def laid(wanted: bool) -> Iterator[Net | None]:
    """Namespaces and links around this one; None where they are not ``wanted``."""
    if not wanted:
        yield None
        return
    try:
        _lay()
        server = subprocess.Popen(
            ["ip", "netns", "exec", _name("backend"), sys.executable, "-c", _SERVER], stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        server.stdout.readline()
        yield Net()
        server.kill()
        server.wait()
    finally:
        for name in ("client", "backend"):
            subprocess.run(["ip", "netns", "delete", _name(name)], check=False, capture_output=True)


def _lay() -> None:
    for name, ours, theirs in (("client", NODE, CLIENT), ("backend", "198.51.100.1", BACKEND)):
        space = _name(name)
        _ip("netns", "add", space)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("address", "add", f"{ours}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "address", "add", f"{theirs}/30", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "route", "add", "default", "via", ours)
    _ip("-n", _name("backend"), "route", "add", "local", _ENDPOINTS, "dev", "lo")
    _ip("route", "add", _ENDPOINTS, "via", BACKEND)
    _ip("route", "add", _PORTALS, "via", BACKEND)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _name(name: str) -> str:
    return f"skydns-bench-{name}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def plot(path: Path) -> str:
    """Draw the figures kept in the JSON file ``path`` beside it, as PNG; returns a line of what was done."""
    try:
        importlib.import_module("matplotlib").use("Agg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        return "no plot: matplotlib is missing (pip install 'skydns-py[bench]')"
    kept = json.loads(path.read_text())["connected"]
    figure, (first, rate) = pyplot.subplots(1, 2, figsize=(9, 3.5))
    for backend in dict.fromkeys(each["backend"] for each in kept):
        rows = [each for each in kept if each["backend"] == backend]
        sizes = [each["services"] for each in rows]
        first.plot(sizes, [each["portal_median"] * 1e6 for each in rows], marker="o", label=backend)
        rate.plot(
            sizes, [each["portal_rate"] / each["direct_rate"] for each in rows], marker="o", label=backend
        )
    first.set(xscale="log", xlabel="Services", ylabel="µs, median handshake", ylim=(0, None))
    rate.set(xscale="log", xlabel="Services", ylabel="connections a second ÷ direct", ylim=(0, 1.1))
    rate.legend(fontsize=8)
    figure.tight_layout()
    picture = path.with_suffix(".png")
    figure.savefig(picture, dpi=120)
    return f"plotted as {picture}"
