"""Ports of 127.0.0.1 for the servers that a measurement or a test starts."""

import random
import socket

BELOW_CLIENTS = range(12_000, 30_000)
"""No kernel gives one of these to a client by itself (ip_local_port_range), and no Service as a node port."""

_given: set[int] = set()


def free_port() -> int:
    """One that was free for UDP and TCP a moment ago, and that this process was not given before.

    A port that the kernel chooses may be a client's a moment later, such as etcd's own to a peer.
    """
    while True:
        port = random.choice(BELOW_CLIENTS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
