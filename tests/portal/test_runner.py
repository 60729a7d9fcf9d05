"""One synchronisation at a time, whatever happens around it; time and processes are the test's."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred

from skydns_py.portal.backend import Command
from skydns_py.portal.plan.model import Portal, ServiceKey, Target
from skydns_py.portal.process import CommandFailed
from skydns_py.portal.runner import GUARD_SECONDS, Runner
from skydns_py.portal.stale import Fronts
from tests.builders import packed

INVENTORY = Command(("list",))
KEY = ("a", "one")


class Kernel:
    """A backend whose whole text is what is wanted, and the kernel that takes it."""

    name = "kernel"
    untidy = False

    def __init__(self) -> None:
        self.wanted: dict[ServiceKey, tuple[Portal, ...]] = {}
        self.known: str | None = None
        self._sent = ""
        self.holds = ""

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        self.wanted[service] = tuple(portals)

    @property
    def text(self) -> str:
        return repr(sorted(item for item in self.wanted.items() if item[1]))

    def inventory(self) -> tuple[Command, ...]:
        return (INVENTORY,)

    def adopt(self, outputs: Sequence[str]) -> None:
        self.known = None

    def pending(self) -> tuple[Command, ...]:
        self._sent = self.text
        return () if self.known == self.text else (Command(("apply",), self.text),)

    def committed(self) -> None:
        self.known = self._sent

    def cleanup(self, outputs: Sequence[str]) -> tuple[Command, ...]:
        return ()


@dataclass(order=True)
class Timer:
    due: float
    function: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)
    called: bool = field(default=False, compare=False)

    def active(self) -> bool:
        return not (self.cancelled or self.called)

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """Processes that end when the test says, a clock that it moves, and the guard's answer."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.running: list[tuple[Command, Deferred[str]]] = []
        self.most_at_once = 0
        self.flushed: list[tuple[Fronts, ...]] = []
        self.tampered = False
        self.looks = 0
        self._now = 0.0
        self._timers: list[Timer] = []

    def run(self, command: Command) -> "Deferred[str]":
        ended: Deferred[str] = Deferred()
        self.running.append((command, ended))
        self.most_at_once = max(self.most_at_once, len(self.running))
        return ended

    def later(self, seconds: float, function: Callable[[], object]) -> Timer:
        timer = Timer(self._now + seconds, function)
        heapq.heappush(self._timers, timer)
        return timer

    def seconds(self) -> float:
        return self._now

    def flush(self, stale: Sequence[Fronts]) -> int:
        self.flushed.append(tuple(stale))
        return len(stale)

    def remember(self, commands: int = 0) -> None:
        self.tampered = False

    def disturbed(self) -> bool:
        self.looks += 1
        return self.tampered

    def end(self, *, well: bool = True) -> Command:
        """The process that runs ends."""
        command, ended = self.running.pop(0)
        if not well:
            ended.errback(CommandFailed("it failed"))
            return command
        if command != INVENTORY:
            self.kernel.holds = command.stdin
        ended.callback("")
        return command

    def pass_time(self, seconds: float) -> None:
        until = self._now + seconds
        while self._timers and self._timers[0].due <= until:
            timer = heapq.heappop(self._timers)
            self._now = timer.due
            if timer.active():
                timer.called = True
                timer.function()
        self._now = until


def portal(protocol: str = "TCP", targets: str = "10.1.0.1", address: str = "10.0.0.1") -> Portal:
    found = tuple(Target(packed(each), 8080) for each in targets.split())
    return Portal("a", "one", "", 4, protocol, 80, (packed(address),), cluster=found)


class Rig:
    def __init__(self) -> None:
        self.kernel = Kernel()
        self.world = World(self.kernel)
        self.ends: list[bool] = []
        self.runner = Runner(
            self.kernel,
            self.world,
            self.world,
            lambda news: self.ends.append(True),
            lambda: self.ends.append(False),
        )

    def settle(self) -> None:
        while self.world.running:
            self.world.end()

    def programmed(self, *portals: Portal) -> None:
        self.runner.want(KEY, portals)
        self.runner.sync()
        self.settle()


def test_what_comes_while_a_transaction_runs_is_one_more_transaction_after_it() -> None:
    rig = Rig()
    rig.programmed(portal())
    for last in (2, 3, 4):
        rig.runner.want(KEY, [portal(targets=f"10.1.0.{last}")])
        rig.runner.sync()
    rig.world.end()
    rig.world.end()
    assert (rig.world.running, rig.kernel.holds) == ([], rig.kernel.text)


def test_nothing_is_run_where_nothing_changed() -> None:
    rig = Rig()
    rig.programmed(portal())
    rig.runner.sync()
    assert rig.world.running == []


def test_after_a_failure_all_is_read_and_written_anew() -> None:
    rig = Rig()
    rig.programmed(portal())
    rig.runner.want(KEY, [portal(targets="10.1.0.2")])
    rig.runner.sync()
    rig.world.end(well=False)
    rig.world.pass_time(1.0)
    assert [rig.world.end() == INVENTORY, rig.world.end().argv] == [True, ("apply",)]
    assert rig.kernel.holds == rig.kernel.text
    assert rig.ends == [True, False, True]


def test_pauses_between_failures_grow_and_a_change_does_not_wait_for_them() -> None:
    rig = Rig()
    rig.runner.want(KEY, [portal()])
    rig.runner.sync()
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        rig.world.end()
        rig.world.end(well=False)
        rig.world.pass_time(pause - 0.1)
        assert rig.world.running == []
        rig.world.pass_time(0.1)
        assert len(rig.world.running) == 1
    rig.world.end()
    rig.world.end(well=False)
    rig.runner.sync()
    assert len(rig.world.running) == 1


def test_what_somebody_else_changed_is_repaired() -> None:
    rig = Rig()
    rig.programmed(portal())
    rig.world.tampered = True
    rig.kernel.holds = "nothing"
    rig.world.pass_time(GUARD_SECONDS)
    rig.settle()
    assert (rig.kernel.holds, rig.runner.syncs.repairs) == (rig.kernel.text, 1)


def test_the_guard_is_asked_for_as_long_as_it_runs() -> None:
    rig = Rig()
    rig.programmed(portal())
    before = rig.world.looks
    rig.world.pass_time(10 * GUARD_SECONDS)
    assert rig.world.looks == before + 10
    rig.runner.stop()
    rig.world.pass_time(10 * GUARD_SECONDS)
    assert rig.world.looks == before + 10


def keeps(world: World) -> list[list[int]]:
    """For each flush: the last octets of the targets that the fronts' flows may keep."""
    return [[t.address[-1] for fronts in flush for t in sorted(fronts.keep)] for flush in world.flushed]


def test_flows_are_looked_at_after_the_commit_and_only_for_protocols_without_connections() -> None:
    rig = Rig()
    rig.programmed(portal("UDP"))
    rig.runner.want(KEY, [portal("UDP", "10.1.0.2")])
    rig.runner.sync()
    assert keeps(rig.world) == [[1]]
    rig.settle()
    assert keeps(rig.world) == [[1], [2]]
    rig.programmed(portal("TCP"))
    assert keeps(rig.world) == [[1], [2], []]
    rig.programmed(portal("TCP", "10.1.0.9"))
    assert len(rig.world.flushed) == 3


@pytest.mark.parametrize("after", [(), (portal("UDP", ""),)], ids=["deleted", "without endpoints"])
def test_flows_of_a_service_that_has_nothing_left_are_all_ended(after: tuple[Portal, ...]) -> None:
    rig = Rig()
    rig.programmed(portal("UDP"))
    rig.programmed(*after)
    assert keeps(rig.world) == [[1], []]


def test_a_front_that_moves_to_another_service_keeps_the_flows_to_that_ones_targets() -> None:
    rig = Rig()
    rig.programmed(portal("UDP"))
    rig.runner.want(("b", "two"), [portal("UDP", "10.1.0.7")])
    rig.programmed()
    assert keeps(rig.world)[-1] == [7]


def test_flows_that_were_not_looked_at_because_of_a_failure_are_looked_at_later() -> None:
    rig = Rig()
    rig.programmed(portal("UDP"))
    rig.runner.want(KEY, [portal("UDP", "10.1.0.2")])
    rig.runner.sync()
    rig.world.end(well=False)
    assert len(rig.world.flushed) == 1
    rig.world.pass_time(1.0)
    rig.settle()
    assert keeps(rig.world) == [[1], [2]]


class Machine(RuleBasedStateMachine):
    """Any order of wishes, endings, failures, time and tampering."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()

    @rule(last=st.integers(1, 3), protocol=st.sampled_from(["TCP", "UDP"]))
    def want(self, last: int, protocol: str) -> None:
        self.rig.runner.want(KEY, [portal(protocol, f"10.1.0.{last}")])
        self.rig.runner.sync()

    @rule()
    def drop(self) -> None:
        self.rig.runner.want(KEY, [])
        self.rig.runner.sync()

    @precondition(lambda self: self.rig.world.running)
    @rule(well=st.booleans())
    def end(self, well: bool) -> None:
        self.rig.world.end(well=well)

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.rig.world.pass_time(seconds)

    @precondition(lambda self: not self.rig.world.running)
    @rule()
    def tamper(self) -> None:
        self.rig.world.tampered = True
        self.rig.kernel.holds = "nothing"

    @invariant()
    def never_two_at_once(self) -> None:
        assert self.rig.world.most_at_once <= 1

    def teardown(self) -> None:
        for _ in range(8):
            self.rig.settle()
            self.rig.world.pass_time(40)
        if self.rig.kernel.wanted:
            assert self.rig.kernel.holds == self.rig.kernel.text


class TestMachine(Machine.TestCase):  # type: ignore[misc]  # Hypothesis makes the class at run time
    settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
