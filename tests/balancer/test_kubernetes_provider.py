"""Addresses given without transactions: wherever controllers are stopped, and whoever goes on, none is
shown by a Service that does not have it, and all of it is put right by the next look."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancer.kube import SERVICES
from tests.balancer.kube_stage import Controller, User, reserved, services, shown
from tests.kube.store import Store

BALANCER = {"type": "LoadBalancer", "ports": [{"port": 80}]}
OTHER_PORT = {"type": "LoadBalancer", "ports": [{"port": 81}]}
WISHES: list[tuple[dict[str, Any] | None, str]] = [
    (BALANCER, ""),
    ({**BALANCER, "loadBalancerIP": "192.0.2.1"}, ""),
    ({**BALANCER, "loadBalancerIP": "192.0.2.2"}, "k"),
    ({**OTHER_PORT, "loadBalancerIP": "192.0.2.2"}, "k"),
    (OTHER_PORT, "k"),
    ({"type": "ClusterIP", "ports": [{"port": 80}]}, ""),
    (None, ""),
]
WHO = st.integers(0, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), WHO, st.integers(1, 6)),
        st.tuples(st.just("wants"), st.sampled_from("abc"), st.sampled_from(WISHES)),
        st.tuples(st.just("fault"), WHO, st.sampled_from(["before", "after"])),
        st.tuples(st.just("lags"), WHO, st.none()),
    ),
    max_size=40,
)
POOLS = st.sampled_from(
    [("192.0.2.1-192.0.2.3", "192.0.2.1-192.0.2.3"), ("192.0.2.1-192.0.2.2", "192.0.2.2-192.0.2.4")]
)


class Play:
    """Two controllers, a user, and what must hold all the while."""

    def __init__(self, pools: tuple[str, str]) -> None:
        self.objects = Store()
        self.user = User(self.objects)
        for name in "ab":
            self.user.wants(name, BALANCER)
        self.controllers = [Controller(self.objects, each) for each in pools]

    def check(self) -> None:
        found = reserved(self.objects)
        for owner, address in shown(self.objects):
            assert address in found, f"{owner} shows {address}, which nobody has"
            assert owner in found[address].services, f"{owner} shows {address} of {found[address].services}"
        for address, each in found.items():
            assert len(each.services) == 1 or each.sharing, f"{address} is given to {each.services}"

    def do(self, what: str, which: Any, how: Any) -> None:
        if what == "wants":
            self.user.wants(which, *how)
        elif what == "fault":
            self.controllers[which].fault = how
        elif what == "lags":
            self.controllers[which].lags = True
        else:
            for _ in range(how):
                self.controllers[which].step()
                self.check()
        self.check()

    def close(self) -> None:
        for each in self.controllers:
            each.close()


def settle(play: Play, controller: Controller) -> None:
    """Let one controller go on until it finds nothing to do."""
    controller.fault, controller.lags, controller.idle = "", False, False
    for _ in range(400):
        controller.step()
        play.check()
        if controller.idle:
            return
    raise AssertionError("it does not come to an end")


def check_settled(play: Play, refused: set[str]) -> None:
    """Who asks has what it shows, or is refused and has nothing; nothing is left over."""
    found = reserved(play.objects)
    has = {(owner, address) for address, each in found.items() for owner in each.services}
    assert has == set(shown(play.objects))
    for owner, service in services(play.objects).items():
        given = [address for each, address in has if each == owner]
        wants = service.exposure.wants_balancer and owner not in refused
        assert len(given) == wants, f"{owner} has {given}"
    assert {owner for owner, _ in has} <= services(play.objects).keys()


@settings(deadline=None, max_examples=200)
@given(POOLS, STEPS)
def test_whoever_is_stopped_between_two_requests_no_service_shows_what_it_does_not_have(
    pools: tuple[str, str], steps: list[tuple[str, Any, Any]]
) -> None:
    play = Play(pools)
    try:
        for each in steps:
            play.do(*each)
        for controller in play.controllers:
            settle(play, controller)
        check_settled(play, play.controllers[1].refused)
    finally:
        play.close()


def test_one_that_was_stopped_before_the_status_comes_too_late_when_the_address_was_taken_back() -> None:
    play = Play(("192.0.2.1-192.0.2.2", "192.0.2.3-192.0.2.4"))
    try:
        play.user.wants("b", None)
        play.user.wants("a", {**BALANCER, "loadBalancerIP": "192.0.2.1"})
        slow, other = play.controllers
        while not reserved(play.objects):
            slow.step()
        assert list(shown(play.objects)) == []
        settle(play, other)
        assert reserved(play.objects) == {}
        before = [each["metadata"]["resourceVersion"] for each in play.objects.find(SERVICES, "my-ns")]
        slow.step()
        play.check()
        assert [
            each["metadata"]["resourceVersion"] for each in play.objects.find(SERVICES, "my-ns")
        ] == before
        assert other.refused == {"my-ns/a"}
    finally:
        play.close()


def test_two_that_both_give_come_to_one_end() -> None:
    play = Play(("192.0.2.1-192.0.2.3", "192.0.2.1-192.0.2.3"))
    try:
        for _ in range(60):
            for each in play.controllers:
                each.step()
                play.check()
        settle(play, play.controllers[0])
        check_settled(play, set())
        assert len(set(shown(play.objects))) == 2
    finally:
        play.close()
