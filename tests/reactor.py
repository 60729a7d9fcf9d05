"""Twisted's real reactor under plain pytest: it runs in a background thread from first use to the end.

``run_in_reactor`` calls a function on the reactor's thread and returns its result, so that a test reads
from top to bottom and the code under test still lives where it will live.
"""

import atexit
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from twisted.internet import defer, reactor

SECONDS = 30.0


def run_in_reactor(function: Callable[..., Any], *args: Any, timeout: float = SECONDS) -> Any:
    """The function's result, or its Deferred's; raises what it raised, or TimeoutError."""
    _running()
    outcome: Future[Any] = Future()

    def call() -> None:
        defer.maybeDeferred(function, *args).addCallbacks(
            outcome.set_result, lambda failure: outcome.set_exception(failure.value)
        )

    reactor.callFromThread(call)
    return outcome.result(timeout)


@functools.cache
def _running() -> threading.Thread:
    started = threading.Event()
    reactor.callWhenRunning(started.set)
    thread = threading.Thread(target=_run, name="test-reactor", daemon=True)
    thread.start()
    if not started.wait(SECONDS):
        raise TimeoutError("the reactor did not start")
    atexit.register(_stop, thread)
    return thread


def _run() -> None:
    reactor.run(installSignalHandlers=False)


def _stop(thread: threading.Thread) -> None:
    reactor.callFromThread(reactor.stop)
    thread.join(SECONDS)
