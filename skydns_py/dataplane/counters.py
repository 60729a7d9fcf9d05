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
    tls: int = 0
    """Queries over TLS, and ``https`` over HTTPS; ``tcp`` counts them too."""
    https: int = 0
    https_statuses: dict[int, int] = field(default_factory=dict)
    certificate_ends: float = 0.0
    """Unix time; 0 without a certificate."""
