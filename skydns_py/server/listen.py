"""Opening the sockets: each address for UDP and TCP, with one line that says what to mend where it fails."""

import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.protocol import Factory

from skydns_py.errors import ConfigError
from skydns_py.server.udp import WILDCARDS, open_socket

log = logging.getLogger(__name__)

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
T = TypeVar("T")
_HINTS = {
    errno.EADDRINUSE: "something else listens there; stop it, or choose another address with {key}",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another with {key}",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
_TRIES = 8
"""Ports the system may choose that are free for UDP and turn out to be taken for TCP."""
STREAM_BUFFER = 1 << 16
"""Octets asked for either of a connection's buffers in the kernel, which doubles them: a whole message fits.
Left to itself it keeps up to 4 MB for a client that does not read, and a thousand can be connected."""
_STREAM_OPTIONS = {
    socket.SO_REUSEADDR: 1,
    socket.SO_SNDBUF: STREAM_BUFFER,
    socket.SO_RCVBUF: STREAM_BUFFER,
}
"""What connections inherit from the socket that listens for them; see socket(7)."""
_SOMEWHERE = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True, slots=True)
class Pair:
    """UDP sockets, one for each thread, and a TCP listening port on one address; ``port`` is theirs all."""

    host: str
    port: int
    udp: tuple[socket.socket, ...]
    tcp: Any


def open_pairs(
    addresses: list[tuple[str, int]], factory: Factory, reactor: Any, backlog: int, threads: int = 1
) -> list[Pair]:
    """Open every address, (host, port) each, with as many UDP sockets as there are ``threads``.

    An IPv6 address that the machine does not have is passed over with a warning as long as another is left.
    Raises ConfigError, with all sockets closed again.
    """
    how = _Opening(factory, reactor, backlog, threads)
    return _open_each(addresses, lambda host, port: _open(host, port, how), _close, "--listen")


def open_streams(
    addresses: Sequence[tuple[str, int]], factory: Any, reactor: Any, backlog: int, key: str
) -> list[Any]:
    """TCP listening ports alone, otherwise as ``open_pairs``; ``key`` is the setting that names them."""

    def open_one(host: str, port: int) -> Any:
        with _open_stream(host, port, backlog) as sock:
            return reactor.adoptStreamPort(sock.fileno(), sock.family, factory)

    return _open_each(addresses, open_one, lambda port: port.stopListening(), key)


def _open_each(
    addresses: Sequence[tuple[str, int]],
    open_one: Callable[[str, int], T],
    close_one: Callable[[T], object],
    key: str,
) -> list[T]:
    opened: list[T] = []
    try:
        for host, port in addresses:
            try:
                opened.append(open_one(host, port))
            except OSError as error:
                if error.errno not in _ABSENT or ":" not in host or len(addresses) == 1:
                    raise ConfigError(_complaint(host, port, error, key)) from None
                log.warning("not listening on [%s]:%d: this machine has no such address", host, port)
    except ConfigError:
        for each in opened:
            close_one(each)
        raise
    if not opened:
        raise ConfigError(f"no address to listen on is left; give one with {key} ADDR:PORT")
    return opened


def _close(pair: Pair) -> None:
    pair.tcp.stopListening()
    for udp in pair.udp:
        udp.close()


@dataclass(frozen=True, slots=True)
class _Opening:
    """How each address is opened."""

    factory: Factory
    reactor: Any
    backlog: int
    threads: int


def _open(host: str, port: int, how: _Opening) -> Pair:
    """All sockets; with port 0 the system chooses one that is free for UDP, and TCP takes the same."""
    for tries_left in reversed(range(_TRIES)):
        udp = _open_datagram(host, port, how.threads)
        chosen = udp[0].getsockname()[1]
        try:
            with _open_stream(host, chosen, how.backlog) as tcp:
                port_made = how.reactor.adoptStreamPort(tcp.fileno(), tcp.family, how.factory)
                return Pair(host, chosen, udp, port_made)
        except OSError as error:
            for sock in udp:
                sock.close()
            if port or error.errno != errno.EADDRINUSE or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _open_datagram(host: str, port: int, count: int) -> tuple[socket.socket, ...]:
    """``count`` UDP sockets on one port; an address that somebody else serves is not shared with him."""
    first = open_socket(host, port)
    if count == 1:
        return (first,)
    chosen = first.getsockname()[1]
    first.close()
    return tuple(open_socket(host, chosen, shared=True) for _ in range(count))


def _open_stream(host: str, port: int, backlog: int) -> socket.socket:
    """A listening, non-blocking TCP socket for one address family; raises OSError.

    The reactor's own would take IPv4 as well on ``::``, and so keep ``0.0.0.0`` from being listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, value in _STREAM_OPTIONS.items():
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        sock.bind((host, port))
        sock.setblocking(False)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _complaint(host: str, port: int, error: OSError, key: str) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    hint = _HINTS.get(error.errno or 0, error.strerror or "").format(key=key)
    return f"cannot listen on {place}: {hint}"


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
