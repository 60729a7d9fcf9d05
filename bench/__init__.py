"""What the server costs, beside a bare echo and other servers: ``bench.run`` and ``bench.propagation``."""
