"""The servers side by side: each gets a configuration for the same names, on loopback, with one worker.

Every function writes what its server needs below ``folder`` and returns the command that runs it in the
foreground.  Where a server can, it is told to answer with no more than was asked for, as ours does.
"""

import getpass
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cluster
from bench.process import require

ZONE_ROWS = tuple(row for row in cluster.ROWS if row not in cluster.SHORT_ROWS)
HOSTS_ROWS = tuple(row for row in ZONE_ROWS if row != "SRV")

Setup = Callable[[Path, int, int], Sequence[str]]
"""(folder, port, number of Services) to the command."""


@dataclass(frozen=True)
class Peer:
    """Another server: the program to look for, how to set it up, and the rows it can answer."""

    name: str
    program: str
    setup: Setup
    rows: tuple[str, ...]


def echo(folder: Path, port: int) -> Sequence[str]:
    """The bare echo, compiled on the spot; it takes every row."""
    program = folder / "echo"
    source = Path(__file__).with_name("echo.c")
    compiler = require("cc", "gcc")
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], check=True, timeout=60)
    return [str(program), str(port)]


def knot(folder: Path, port: int, count: int) -> Sequence[str]:
    """Knot DNS."""
    zone = _zone_file(folder, count)
    config = f"""
server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: {folder}
zone:
  - domain: {cluster.ZONE}
    file: {zone}
"""
    return [require("knotd", "knot"), "-c", _write(folder / "knot.conf", config)]


def bind(folder: Path, port: int, count: int) -> Sequence[str]:
    """BIND 9."""
    config = f"""
options {{
    directory "{folder}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    recursion no;
    minimal-responses yes;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
zone "{cluster.ZONE}" {{ type primary; file "{_zone_file(folder, count)}"; }};
"""
    return [
        require("named", "bind9"),
        "-n",
        "1",
        "-U",
        "1",
        "-g",
        "-c",
        _write(folder / "named.conf", config),
    ]


def dnsmasq(folder: Path, port: int, count: int) -> Sequence[str]:
    """dnsmasq, from a hosts file. It walks its SRV records one by one, so it is left out of that row."""
    hosts = _write(folder / "hosts", "".join(cluster.hosts_lines(count)))
    return [
        *(require("dnsmasq", "dnsmasq-base"), "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="),
        *(f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", f"--user={getpass.getuser()}"),
        *("--no-resolv", "--no-hosts", f"--addn-hosts={hosts}", f"--local=/{cluster.ZONE}/"),
        *(f"--local-ttl={cluster.TTL}", f"--auth-ttl={cluster.TTL}"),
    ]


def nsd(folder: Path, port: int, count: int) -> Sequence[str]:
    """NSD."""
    config = f"""
server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: ""
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    minimal-responses: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "{cluster.ZONE}"
    zonefile: "{_zone_file(folder, count)}"
"""
    return [require("nsd", "nsd"), "-d", "-c", _write(folder / "nsd.conf", config)]


def unbound(folder: Path, port: int, count: int) -> Sequence[str]:
    """Unbound, with the zone as an authority zone."""
    config = f"""
server:
    interface: 127.0.0.1@{port}
    num-threads: 1
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    module-config: "iterator"
    minimal-responses: yes
    max-udp-size: 1232
remote-control:
    control-enable: no
auth-zone:
    name: "{cluster.ZONE}"
    zonefile: "{_zone_file(folder, count)}"
    for-upstream: no
"""
    return [require("unbound", "unbound"), "-d", "-c", _write(folder / "unbound.conf", config)]


PEERS = (
    Peer("knot", "knotd", knot, ZONE_ROWS),
    Peer("bind", "named", bind, ZONE_ROWS),
    Peer("dnsmasq", "dnsmasq", dnsmasq, HOSTS_ROWS),
    Peer("nsd", "nsd", nsd, ZONE_ROWS),
    Peer("unbound", "unbound", unbound, ZONE_ROWS),
)


def _zone_file(folder: Path, count: int) -> str:
    return _write(folder / "zone", "".join(cluster.zone_lines(count)))


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)
