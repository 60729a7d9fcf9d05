"""Follows the keys below a prefix in a thread, and tells the reactor; lists again after each interruption."""

import threading
from collections.abc import Callable
from typing import Any

from skydns_py.balancer.link import Connect, Link
from skydns_py.balancer.store import News
from skydns_py.errors import StoreError

FIRST_WAIT, LONGEST_WAIT = 0.1, 1.0


class Watcher:
    """``tell`` and ``lost`` are called on the reactor's thread."""

    def __init__(
        self,
        connect: Connect,
        prefix: str,
        tell: Callable[[News], None],
        lost: Callable[[str], None],
        reactor: Any,
    ) -> None:
        self._link = Link(connect)
        self._prefix = prefix
        self._tell = tell
        self._lost = lost
        self._reactor = reactor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="skydns-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def restart(self) -> None:
        """Do not trust the stream that is open: list again, from another endpoint if there is one."""
        self._link.lose()

    def stop(self) -> None:
        """End; the thread follows soon."""
        self._stopping.set()
        self._link.close()

    def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            try:
                for news in self._link.store().follow(self._prefix):
                    wait = FIRST_WAIT
                    self._reactor.callFromThread(self._tell, news)
            except StoreError as error:
                self._reactor.callFromThread(self._lost, str(error))
            self._link.lose()
            self._stopping.wait(wait)
            wait = min(wait * 2, LONGEST_WAIT)
