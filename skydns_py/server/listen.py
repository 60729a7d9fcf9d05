"""Opening the sockets: each address for UDP and TCP, with one line that says what to mend where it fails."""

import errno
import ipaddress
import logging
import socket
from dataclasses import dataclass
from typing import Any

from twisted.internet.protocol import Factory

from skydns_py.errors import ConfigError
from skydns_py.server.udp import WILDCARDS, open_socket

log = logging.getLogger(__name__)

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_HINTS = {
    errno.EADDRINUSE: "something else listens there; stop it, or choose another address with --listen",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another with --listen",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
_TRIES = 8
"""Ports the system may choose that are free for UDP and turn out to be taken for TCP."""
_SOMEWHERE = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True, slots=True)
class Pair:
    """A UDP socket and a TCP listening port on one address; ``port`` is the number both have."""

    host: str
    port: int
    udp: socket.socket
    tcp: Any


def open_pairs(addresses: list[tuple[str, int]], factory: Factory, reactor: Any, backlog: int) -> list[Pair]:
    """Open every address, (host, port) each.

    An IPv6 address that the machine does not have is passed over with a warning as long as another is left.
    Raises ConfigError, with all sockets closed again.
    """
    opened: list[Pair] = []
    try:
        for host, port in addresses:
            try:
                opened.append(_open(host, port, factory, reactor, backlog))
            except OSError as error:
                if error.errno not in _ABSENT or ":" not in host or len(addresses) == 1:
                    raise ConfigError(_complaint(host, port, error)) from None
                log.warning("not listening on [%s]:%d: this machine has no such address", host, port)
    except ConfigError:
        for pair in opened:
            pair.udp.close()
            pair.tcp.stopListening()
        raise
    if not opened:
        raise ConfigError("no address to listen on is left; give one with --listen ADDR:PORT")
    return opened


def _open(host: str, port: int, factory: Factory, reactor: Any, backlog: int) -> Pair:
    """Both sockets; with port 0 the system chooses one that is free for UDP, and TCP takes the same."""
    for tries_left in reversed(range(_TRIES)):
        udp = open_socket(host, port)
        chosen = udp.getsockname()[1]
        try:
            with _open_stream(host, chosen, backlog) as tcp:
                return Pair(host, chosen, udp, reactor.adoptStreamPort(tcp.fileno(), tcp.family, factory))
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _open_stream(host: str, port: int, backlog: int) -> socket.socket:
    """A listening, non-blocking TCP socket for one address family; raises OSError.

    The reactor's own would take IPv4 as well on ``::``, and so keep ``0.0.0.0`` from being listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _complaint(host: str, port: int, error: OSError) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"cannot listen on {place}: {_HINTS.get(error.errno or 0, error.strerror)}"


def own_addresses(hosts: list[str]) -> tuple[bytes, ...]:
    """Where clients reach these listening addresses, packed; a wildcard stands for the way to the world."""
    found = (_outward(host) if host in WILDCARDS else host for host in hosts)
    bare = (host.partition("%")[0] for host in found if host)
    return tuple(dict.fromkeys(ipaddress.ip_address(host).packed for host in bare))


def _outward(wildcard: str) -> str:
    """The source address of a packet to nowhere in particular; a connected UDP socket sends none."""
    family = socket.AF_INET6 if ":" in wildcard else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_SOMEWHERE[wildcard], 53))
        except OSError:
            return ""
        return str(probe.getsockname()[0])
