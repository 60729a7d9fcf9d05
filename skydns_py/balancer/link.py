"""Threads that wait for etcd, so that the reactor does not: a link each, and one that works off requests."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from skydns_py.balancer.store import Store
from skydns_py.errors import SkydnsError, StoreError

log = logging.getLogger("skydns")
T = TypeVar("T")
Connect = Callable[[int], Store]
"""A new connection to the n-th endpoint, counted round; it may raise StoreError."""


class Link:
    """The connection of one thread; after a failure the next one goes to the next endpoint."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._turn = 0
        self._store: Store | None = None
        self._lock = threading.Lock()
        self._closed = False

    def store(self) -> Store:
        """Connected; StoreError where that fails, or after ``close``. For one thread."""
        with self._lock:
            if self._store is not None:
                return self._store
        made = self._connect(self._turn)  # takes a while: others must not wait for the lock
        with self._lock:
            if not self._closed:
                self._store = made
                return made
        made.close()
        raise StoreError("the connection was closed")

    def lose(self) -> None:
        """Leave this endpoint; wakes a thread that waits for it. For any thread; does not block."""
        with self._lock:
            store, self._store = self._store, None
            self._turn += 1
        if store is not None:
            store.close()

    def close(self) -> None:
        """Connect no more."""
        self._closed = True
        self.lose()


class Worker:
    """Runs functions of a store in threads of its own, and tells the reactor what came of each."""

    def __init__(self, connect: Connect, reactor: Any, name: str, threads: int = 1) -> None:
        self._reactor = reactor
        self._waiting: queue.SimpleQueue[Callable[[Link], None] | None] = queue.SimpleQueue()
        self._links = [Link(connect) for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._run, args=(link,), name=name, daemon=True) for link in self._links
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing more; what is under way is broken off."""
        for link in self._links:
            link.close()
            self._waiting.put(None)

    def run(self, function: Callable[[Store], T], done: Callable[[T | SkydnsError], None]) -> None:
        """Have ``function`` called in a thread, and ``done`` with its result or error on the reactor's."""

        def job(link: Link) -> None:
            result: T | SkydnsError
            try:
                result = function(link.store())
            except StoreError as error:
                link.lose()
                result = error
            except SkydnsError as error:
                result = error
            except Exception as error:
                log.exception("the balancer failed in an unforeseen way")
                result = SkydnsError(f"{type(error).__name__}: {error}")
            self._reactor.callFromThread(done, result)

        self._waiting.put(job)

    def _run(self, link: Link) -> None:
        while (job := self._waiting.get()) is not None:
            job(link)
