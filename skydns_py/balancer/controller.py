"""Sees to it that every Service that asks for a load balancer has one, while this node has the controller's
seat.

1. Nothing is decided before the source's first list and the balancer's own keys are complete: a Service that
   is not known *yet* would lose what it has.
2. One Service at a time is worked on by one task, ``Provider.parallel`` of them at once.  What changes
   meanwhile is looked at afterwards.
3. What failed is tried again after 1 s, what was overtaken by a change at once; each time after twice as
   long, 60 s at most.  What no address was left for waits until one is given back.  Each reason is logged
   once.
"""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from skydns_py.balancer.book import AT_ONCE, Outcome
from skydns_py.balancer.choose import NoAddress, NotOurs
from skydns_py.balancer.link import Worker
from skydns_py.balancer.provider import Provider
from skydns_py.balancer.store import News
from skydns_py.cluster.objects import Service
from skydns_py.errors import SkydnsError

log = logging.getLogger("skydns")

CHUNK = 200
"""Services looked at before the reactor has its turn."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0


class Controller:
    """Owners are ``my-ns/web``. ``wanting`` gives those whose Service asks for a balancer.

    ``tell`` is given what was written, before the watch brings it.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it joins, each once
        self,
        provider: Provider,
        worker: Worker,
        service: Callable[[str], Service | None],
        wanting: Callable[[], Iterable[str]],
        tell: Callable[[News], None],
        reactor: Any,
    ) -> None:
        self._provider = provider
        self._worker = worker
        self._service = service
        self._wanting = wanting
        self._tell = tell
        self._reactor = reactor
        self._due: dict[str, None] = {}
        self._running: set[str] = set()
        self._waits: dict[str, float] = {}
        self._pending: Any = None
        self._leads = False
        self.ready: Callable[[], bool] = lambda: True
        self.refused: dict[str, str] = {}
        self.settled = 0

    @property
    def leads(self) -> bool:
        """Whether this node allocates."""
        return self._leads

    def lead(self, leads: bool) -> None:
        """This node allocates from now on, or no longer."""
        self._leads = leads
        self._due.clear()
        self.refused.clear()
        if leads:
            log.info("this node gives addresses now")
            self.review_all()

    def review_all(self) -> None:
        """Look at everything that asks for something or has it."""
        for owner in (*self._wanting(), *self._provider.owners()):
            self.review(owner)

    def review(self, owner: str) -> None:
        """Look at a Service soon: it, or what it has, has changed."""
        if self._leads:
            self._due[owner] = None
            self._schedule()

    def freed(self) -> None:
        """Something was given back: whoever waits for an address may have luck now."""
        for owner in tuple(self.refused):
            self.review(owner)

    def stop(self) -> None:
        """Begin nothing more."""
        self.lead(False)
        if self._pending is not None and self._pending.active():
            self._pending.cancel()

    def _schedule(self) -> None:
        if self._pending is None or not self._pending.active():
            self._pending = self._reactor.callLater(0, self._work)

    def _work(self) -> None:
        self._pending = None
        if not self._leads or not self.ready():
            return
        for owner in [each for each in self._due if each not in self._running][:CHUNK]:
            if len(self._running) >= self._provider.parallel:
                return
            del self._due[owner]
            self._settle(owner)
        if self._due.keys() - self._running:
            self._schedule()

    def _settle(self, owner: str) -> None:
        service = self._service(owner)
        try:
            if service is not None and service.exposure.wants_balancer:
                task = self._provider.ensure(service)
            else:
                task = self._provider.release(owner)
        except NotOurs:
            task = None
        except NoAddress as error:
            self._refuse(owner, str(error))
            return
        if task is None:
            self._done(owner)
            return
        self._running.add(owner)
        self._worker.run(task, partial(self._ended, owner))

    def _ended(self, owner: str, outcome: Outcome | SkydnsError) -> None:
        self._running.discard(owner)
        if isinstance(outcome, SkydnsError):
            self._refuse(owner, str(outcome))
            self._again(owner, self._wait(owner, FIRST_WAIT))
        else:
            self._tell(outcome.news)
            if outcome.again is not None:
                once = outcome.again == AT_ONCE
                self._again(owner, self._wait(owner, AT_ONCE) if once else outcome.again)
            else:
                self.settled += 1
                self._done(owner)
        if self._due:
            self._schedule()

    def _done(self, owner: str) -> None:
        self._waits.pop(owner, None)
        self.refused.pop(owner, None)

    def _refuse(self, owner: str, reason: str) -> None:
        if self.refused.get(owner) != reason:
            log.warning("service/%s: %s", owner, reason)
        self.refused[owner] = reason

    def _again(self, owner: str, seconds: float) -> None:
        self._reactor.callLater(seconds, self.review, owner)

    def _wait(self, owner: str, first: float) -> float:
        wait = self._waits.get(owner, first)
        self._waits[owner] = min(wait * 2, LONGEST_WAIT)
        return wait
