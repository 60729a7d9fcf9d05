"""The contract between the runner, which has processes and timers, and what prints rules, which has neither.

1. ``want`` says what a Service's portals should be from now on; nothing else changes them.
2. ``pending`` gives the commands that bring the kernel from what was last committed to what is wanted, ()
   where there is nothing to do.  They run in order, each one an atomic transaction.  ``want`` may be called
   while they run; that belongs to the next ``pending``.
3. ``committed`` says that all of them succeeded.  After a failure, and at the start, the runner runs
   ``inventory`` and hands the outputs to ``adopt``: from then on nothing is known to be programmed, and the
   next ``pending`` is complete.  It replaces what is there without a moment in between at which a portal
   that stays is missing, and removes what the inventory showed and nobody wants.
4. ``untidy`` is true while something unreferenced waits for a later transaction to be deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from skydns_py.portal.plan.model import Portal, ServiceKey


@dataclass(frozen=True, slots=True)
class Command:
    """A program, its arguments and what it reads on standard input."""

    argv: tuple[str, ...]
    stdin: str = ""


class Backend(Protocol):
    """What prints the rules; see the module's rules."""

    name: str

    @property
    def untidy(self) -> bool:
        """Whether another ``pending`` is due soon although nothing new is wanted."""

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        """From now on these are the Service's portals; none where it has none or is gone."""

    def inventory(self) -> tuple[Command, ...]:
        """Commands that only read, and list what stands in the kernel under our name."""

    def adopt(self, outputs: Sequence[str]) -> None:
        """What ``inventory`` printed ("" where a command failed because there was nothing)."""

    def pending(self) -> tuple[Command, ...]:
        """The next transactions; () if there is nothing to do."""

    def committed(self) -> None:
        """The last ``pending`` is in the kernel."""

    def cleanup(self, outputs: Sequence[str]) -> tuple[Command, ...]:
        """Commands that remove exactly what is ours, given what ``inventory`` printed."""
