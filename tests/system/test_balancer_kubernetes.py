"""``skydns balancer --kubeconfig`` on a segment: the claims of tests/balancer/test_segment.py, with an API
server for a store, the stand-in or a real one."""

from collections.abc import Iterator
from functools import partial

import pytest

from bench.segment import Segment, segment, wait_for
from tests import needs
from tests.balancer.test_segment import (
    POOLS,
    _clean,
    reserved,
    test_a_balancer_outlives_a_restart_of_etcd,
    test_a_second_balancer_of_a_name_waits_for_the_first,
    test_a_service_that_asks_gets_the_lowest_address_written_and_one_node_announces_it,
    test_a_service_that_goes_or_asks_no_more_gives_its_address_back,
    test_addresses_spread_over_the_nodes,
    test_an_address_moves_in_time_and_is_never_at_two_nodes,
    test_an_address_that_is_asked_for_is_given_and_one_that_is_taken_is_refused_in_one_line,
    test_services_with_one_key_and_different_ports_share_an_address,
    test_the_controllers_death_stops_no_allocation,
    test_the_local_policy_announces_only_where_a_backend_is_ready,
)
from tests.kube_server import servers
from tests.system.kube_segment import ApiStore, stand_in

__all__ = [
    "_clean",
    "test_a_balancer_outlives_a_restart_of_etcd",
    "test_a_second_balancer_of_a_name_waits_for_the_first",
    "test_a_service_that_asks_gets_the_lowest_address_written_and_one_node_announces_it",
    "test_a_service_that_goes_or_asks_no_more_gives_its_address_back",
    "test_addresses_spread_over_the_nodes",
    "test_an_address_moves_in_time_and_is_never_at_two_nodes",
    "test_an_address_that_is_asked_for_is_given_and_one_that_is_taken_is_refused_in_one_line",
    "test_services_with_one_key_and_different_ports_share_an_address",
    "test_the_controllers_death_stops_no_allocation",
    "test_the_local_policy_announces_only_where_a_backend_is_ready",
]

pytestmark = [needs.netns(), needs.program("nft")]


@pytest.fixture(scope="module", params=[pytest.param(stand_in, id="stand-in"), *servers()[1:]])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segment]:
    store = partial(ApiStore, server=request.param)
    folder = tmp_path_factory.mktemp("segment")
    with segment(folder, 3, store=store, pools=POOLS) as found:
        found.start()
        yield found


def test_a_reservation_that_somebody_deletes_is_made_again(lab: Segment) -> None:
    (address,) = lab.given(lab.service("web"))
    lab.holder(address)
    lab.etcd.delete(f"/skydns.balancer/ip/{address}")
    wait_for("it is not made again", lambda: reserved(lab) == {address: ["my-ns/web"]})
    lab.holder(address)


def test_a_service_that_is_no_balancer_any_more_loses_its_status(lab: Segment) -> None:
    key = lab.service("web")
    lab.given(key)
    lab.service("web", type="ClusterIP")
    wait_for("its status stays", lambda: lab.ingress(key) == [])
    wait_for("it is still reserved", lambda: not reserved(lab))
