"""Acts on this node's seats: takes what is free, holds what is its own, and lets go in time.

1. Everything here runs on the reactor's thread, and every entry begins with ``_enter``: where the lease is
   not sure to last, all that is held is dropped before anything else is looked at.  A process that was
   stopped and goes on passes through it first, whatever it was about to do.
2. After an address was put on, or prolonged, the clock is read once more: had the process been stopped in
   between, the address is dropped at once.  What is left is a stop in the microseconds between the first
   look at the clock and the kernel's call; the address is then there until the second look, not longer.
3. Giving up: first the address goes, then the owner key.  Taking: first the owner key, then the address.
4. An address is announced when it is put on, and 0.2, 1, 2 and 4 s later, for frames get lost and a switch
   may be slow; then every 30 s.
5. A node that cannot put an address on gives the seat up and leaves it to others for a while.
6. A seat that is seen to be free while the lease is not sure to last is looked at again with the next
   renewal: nothing else may ever change about it.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from ipaddress import ip_address
from typing import Any, Protocol

from skydns_py.balancer.election import Election, Verdict
from skydns_py.balancer.link import Worker
from skydns_py.balancer.store import CONTROLLER, Held, Keys, News, Store, Write
from skydns_py.balancer.view import View
from skydns_py.cluster.objects import Address
from skydns_py.errors import SkydnsError

log = logging.getLogger("skydns")

ANNOUNCE_AT = (0.0, 0.2, 1.0, 2.0, 4.0)
ANNOUNCE_EVERY = 30.0
TRY_AGAIN = 0.5
UNFIT_SECONDS = 30.0


class Network(Protocol):
    """What ``layer2.Layer2`` does; without one (a webhook announces) only the controller's seat is taken."""

    def hold(self, address: Address, validity: int) -> None:
        """Put it on for so many seconds; SkydnsError where that cannot be."""

    def prolong(self, addresses: list[Address], validity: int) -> list[Address]:
        """``validity`` more seconds from now; those that failed."""

    def drop(self, addresses: list[Address]) -> None:
        """Take them off."""

    def announce(self, address: Address) -> None:
        """Tell the neighbours, once."""

    def overheard(self) -> set[Address]:
        """Addresses that somebody else has claimed."""


class Announcer:
    """A ``session.Sessions``. ``eligible`` says which nodes may have a seat; ``lead`` is told of the
    controller's.

    ``reopened`` is called when the store answers again after it did not; ``clock`` gives the seconds in
    which the session counts.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what it joins, each once
        self,
        node: str,
        view: View,
        keys: Keys,
        network: Network | None,
        worker: Worker,
        clock: Callable[[], float],
        reactor: Any,
    ) -> None:
        self._node = node
        self._view = view
        self._keys = keys
        self._network = network
        self._worker = worker
        self._clock = clock
        self._reactor = reactor
        self._election = Election(node, view)
        self._tries: dict[str, Any] = {}
        self._under_way: set[str] = set()
        self._rounds: dict[str, Any] = {}
        self._unfit: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._there_until: dict[str, float] = {}
        self._timer: Any = None
        self._stopped = False
        self.eligible: Callable[[str], Collection[str]] = lambda _: ()
        self.lead: Callable[[bool], None] = lambda _: None
        self.reopened: Callable[[], None] = lambda: None
        self.held: set[str] = set()
        self.gained = 0
        self.fenced = 0
        self.failure = ""
        self.waiting_for = ""

    # What the session says

    def opened(self, lease: int, seconds: float, sent: float) -> None:
        """See ``Sessions``."""
        self._election.opened(lease, seconds, sent)
        self._enter()
        self.failure = ""
        if self._view.synced:
            self.register()

    def confirmed(self, lease: int, sent: float) -> None:
        """See ``Sessions``."""
        self._election.confirmed(lease, sent)
        if self.failure:  # whatever cut the lease off has cut off the watch as well
            self.failure = ""
            self.reopened()
        if self._enter():
            self._prolong()
            waiting, self._waiting = self._waiting, set()
            for seat in (self._ours() - self.held) | waiting:
                self.review(seat)
            self._contradict()

    def ended(self) -> None:
        """See ``Sessions``."""
        self._election.ended()
        self._enter()
        log.warning("the lease of this node has ended; asking for another")

    def failing(self, reason: str) -> None:
        """See ``Sessions``."""
        self._enter()
        if not self.failure:
            log.warning("the lease cannot be renewed: %s", reason)
        self.failure = reason

    # What changes around it

    def changed(self, kind: str, name: str) -> None:
        """A key changed in the view."""
        self._enter()
        if kind in ("owner", "ip"):
            self.review(name)
        elif kind == "node":
            if name == self._node:
                self.register()
            self.review_all()

    def review_all(self) -> None:
        """Look at every seat there is."""
        for seat in {CONTROLLER, *self._view.reservations, *self._view.owners, *self.held}:
            self.review(seat)

    def review(self, seat: str) -> None:
        """Do what is to be done about a seat."""
        sure = self._enter()
        if self._stopped or not self._view.synced or (self._network is None and seat != CONTROLLER):
            return
        eligible = self._eligible(seat)
        verdict = self._election.verdict(seat, eligible)
        if verdict is Verdict.HOLD and sure:
            self._gain(seat)
        elif verdict is not Verdict.HOLD:
            self._lose([seat])
        if verdict is Verdict.YIELD:
            self._give_up(seat)
        if verdict is Verdict.TRY and not sure:
            self._waiting.add(seat)
        if verdict is Verdict.TRY and sure:
            self._try_later(seat, self._election.delay(seat, eligible))
        elif seat in self._tries:
            self._tries.pop(seat).cancel()

    def register(self) -> None:
        """Enter this node among those that are alive, unless another process has."""
        other = self._view.nodes.get(self._node)
        if other == self._election.lease or not self._election.lease:
            return
        self.waiting_for = f"another skydns balancer runs as {self._node}" if other else ""
        if other:
            log.warning("%s, or did until a moment ago; waiting for its lease to end", self.waiting_for)
            return
        self._create(self._keys.node(self._node), {})

    def stop(self) -> None:
        """Hold nothing any more; the lease is to be revoked next."""
        self._stopped = True
        self._lose(list(self.held))
        for call in (self._timer, *self._tries.values(), *self._rounds.values()):
            if call is not None and call.active():
                call.cancel()

    @property
    def ready(self) -> bool:
        """Whether this node takes part."""
        registered = self._view.nodes.get(self._node) == self._election.lease
        return self._view.synced and registered and self._election.sure(self._clock())

    # The fence

    def _enter(self) -> bool:
        """Rule 1; whether seats may be acted on."""
        if self._election.sure(self._clock()):
            self._set_timer()
            return True
        if self.held:
            self.fenced += 1
            log.warning("the lease is not sure to last: withdrawing %s", ", ".join(sorted(self.held)))
            self._lose(list(self.held))
        return False

    def _set_timer(self) -> None:
        wait = max(0.0, self._election.deadline - self._clock()) + 0.001
        if self._timer is None or not self._timer.active():
            self._timer = self._reactor.callLater(wait, self._enter)
        else:
            self._timer.reset(wait)

    # Seats

    def _eligible(self, seat: str) -> Collection[str]:
        nodes = set(self.eligible(seat))
        if self._view.nodes.get(self._node) != self._election.lease:  # another process has this name
            nodes.discard(self._node)
        if self._unfit.get(seat, 0.0) > self._clock():
            nodes.discard(self._node)
        return nodes

    def _ours(self) -> set[str]:
        lease = self._election.lease
        return {seat for seat, owner in self._view.owners.items() if lease and owner.lease == lease}

    def _gain(self, seat: str) -> None:
        if seat in self.held:
            return
        if seat != CONTROLLER and not self._put_on(seat):
            return
        self.held.add(seat)
        if not self._enter():
            return
        self.gained += 1
        log.info("this node has %s now", seat)
        if seat == CONTROLLER:
            self.lead(True)
        else:
            self._announce(seat, 0)

    def _put_on(self, seat: str) -> bool:
        """Whether it is on; where the lease is too near its end, the next renewal asks again."""
        assert self._network is not None, "addresses are seats only where there is a network"
        if not self._election.may_prolong(self._clock()):
            return False
        try:
            self._network.hold(ip_address(seat).packed, self._election.validity)
        except (SkydnsError, OSError) as error:
            log.warning("%s; leaving it to other nodes", error)
            self._unfit[seat] = self._clock() + UNFIT_SECONDS
            self._reactor.callLater(UNFIT_SECONDS + 0.1, self.review, seat)
            self._give_up(seat)
            return False
        self._there_until[seat] = self._clock() + self._election.validity
        return True

    def _lose(self, seats: Iterable[str]) -> None:
        mine = [seat for seat in seats if seat in self.held]
        self.held.difference_update(mine)
        addresses = [ip_address(seat).packed for seat in mine if seat != CONTROLLER]
        if addresses and self._network is not None:
            self._network.drop(addresses)
        for seat in mine:
            if (call := self._rounds.pop(seat, None)) is not None and call.active():
                call.cancel()
        if CONTROLLER in mine:
            self.lead(False)
        if mine:
            log.info("this node has no longer %s", ", ".join(sorted(mine)))

    def _prolong(self) -> None:
        addresses = [ip_address(seat).packed for seat in self.held if seat != CONTROLLER]
        if not addresses or self._network is None or not self._election.may_prolong(self._clock()):
            return
        until = self._clock() + self._election.validity
        failed = self._network.prolong(addresses, self._election.validity)
        self._there_until.update(dict.fromkeys(self.held, until))
        if self._enter():
            self._lose([str(ip_address(each)) for each in failed])

    def _announce(self, seat: str, turn: int) -> None:
        if not self._enter() or seat not in self.held or self._network is None:
            return
        if self._clock() < self._there_until[seat]:  # the kernel has it still
            self._network.announce(ip_address(seat).packed)
        last = turn + 1 == len(ANNOUNCE_AT)
        wait = ANNOUNCE_EVERY if last else ANNOUNCE_AT[turn + 1] - ANNOUNCE_AT[turn]
        turn = turn if last else turn + 1
        self._rounds[seat] = self._reactor.callLater(wait, self._announce, seat, turn)

    def _contradict(self) -> None:
        for address in self._network.overheard() if self._network is not None else ():
            if (seat := str(ip_address(address))) in self.held:
                log.warning("another machine claims %s; announcing it again", seat)
                self._network.announce(address)  # type: ignore[union-attr]  # it has just been asked

    # The store

    def _try_later(self, seat: str, wait: float) -> None:
        if seat not in self._tries and seat not in self._under_way:
            self._tries[seat] = self._reactor.callLater(wait, self._try, seat)

    def _try(self, seat: str) -> None:
        del self._tries[seat]
        if self._election.verdict(seat, self._eligible(seat)) is not Verdict.TRY:
            return
        if not self._enter():
            self._waiting.add(seat)
            return
        seen = {} if seat == CONTROLLER else {self._keys.ip(seat): self._view.revision(self._keys.ip(seat))}
        self._create(self._keys.owner(seat), seen, seat)

    def _create(self, key: str, seen: dict[str, int], seat: str = "") -> None:
        write = Write(key, self._node.encode(), self._election.lease)
        self._submit(write, {**seen, key: 0}, seat)

    def _give_up(self, seat: str) -> None:
        key = self._keys.owner(seat)
        if seat not in self._under_way and (revision := self._view.revision(key)):
            self._submit(Write(key), {key: revision}, seat)

    def _submit(self, write: Write, seen: dict[str, int], seat: str) -> None:
        self._under_way.add(seat)

        def work(store: Store) -> int:
            return store.write([write], seen).get(write.key, 0)

        self._worker.run(work, partial(self._submitted, write, seat))

    def _submitted(self, write: Write, seat: str, revision: int | SkydnsError) -> None:
        self._under_way.discard(seat)
        if isinstance(revision, int) and revision:
            for kind, name in self._view.take(
                News({write.key: Held(write.value or b"", revision, write.lease)})
            ):
                self.changed(kind, name)
        elif not self._stopped:
            again = partial(self.review, seat) if seat else self.register
            self._reactor.callLater(TRY_AGAIN, again)
