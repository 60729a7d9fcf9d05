"""What the transports count; plain integers, read by the metrics page."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Totals since the start. ``rcodes`` is indexed by response code, 0..15."""

    rcodes: list[int] = field(default_factory=lambda: [0] * 16)
    udp: int = 0
    tcp: int = 0
    misses: int = 0
    silent: int = 0
    failures: int = 0
    send_errors: int = 0
    tcp_connections: int = 0
    tcp_evicted: int = 0
