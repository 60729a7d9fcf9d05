"""The world as the runner sees it: the real one, and one in which everything is only printed."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from skydns_py.portal.backend import Command
from skydns_py.portal.flows import flush
from skydns_py.portal.process import run as run_command
from skydns_py.portal.stale import Fronts


class World:
    """Processes, timers and connection tracking, for the runner."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def run(self, command: Command) -> "Deferred[str]":
        """What the command prints."""
        return run_command(command, self._reactor)

    def later(self, seconds: float, function: Callable[[], object]) -> Any:
        """Call it then."""
        return self._reactor.callLater(seconds, function)

    def seconds(self) -> float:
        """A clock that only goes forward."""
        return time.monotonic()

    def flush(self, stale: Sequence[Fronts]) -> int:
        """End such flows."""
        return flush(stale)


class Rehearsal(World):
    """Reads what is there, and prints what it would run."""

    def __init__(self, reactor: Any, inventory: Sequence[Command]) -> None:
        super().__init__(reactor)
        self._reads = frozenset(inventory)

    def run(self, command: Command) -> "Deferred[str]":
        """As ``World.run`` for what only reads; anything else is printed."""
        if command in self._reads:
            return super().run(command)
        print("#", *command.argv)  # noqa: T201 -- the output that was asked for
        print(command.stdin, end="")  # noqa: T201 -- likewise
        done: Deferred[str] = Deferred()
        done.callback("")
        return done

    def flush(self, stale: Sequence[Fronts]) -> int:  # noqa: ARG002 -- nothing is ended
        """Nothing."""
        return 0
