"""Endpoints where nobody writes any: from the Pods that a Service selects."""

from collections import UserDict
from collections.abc import ItemsView, Iterable
from typing import Any

import pytest

from skydns_py.cluster.endpoints import Selectors, derive
from skydns_py.cluster.objects import (
    ClusterObject,
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Kind,
    Pod,
    Ref,
    Removal,
    Service,
    ServicePort,
    Subset,
    Upsert,
)
from skydns_py.cluster.state import Cluster, ServiceView
from tests.builders import all_packed, endpoints, packed, pod, service, slice_of

KEY = ("my-ns", "my-service")
SERVICE = Ref(Kind.SERVICE, *KEY)
WEB = (("app", "web"),)
BACKEND = (("app", "web"), ("tier", "backend"))


def web(name: str = "web-1", addresses: str = "10.1.0.1", **fields: Any) -> Pod:
    """A ready Pod labelled ``app=web``."""
    usual: dict[str, Any] = {"ready": True, "labels": WEB}
    return pod(name, addresses, **(usual | fields))


def selecting(selector: tuple[tuple[str, str], ...] | None = WEB, *ports: ServicePort) -> Service:
    """The Service that these tests look at."""
    return service(selector=selector) if not ports else Service(*KEY, ports, selector=selector)


def holding(*news: ClusterObject) -> Cluster:
    """A cluster of these objects, whose changes have been taken."""
    cluster = Cluster()
    cluster.apply(map(Upsert, news))
    cluster.take()
    return cluster


def subsets(*news: ClusterObject) -> tuple[Subset, ...]:
    """What stands behind the Service where these objects are all there is."""
    view = holding(*news).view(KEY)
    assert view is not None
    return view.subsets


def found(*news: ClusterObject) -> list[Endpoint]:
    """Its endpoints."""
    return [endpoint for subset in subsets(*news) for endpoint in subset.endpoints]


def addresses(cluster: Cluster) -> list[bytes]:
    """The addresses of its endpoints."""
    view = cluster.view(KEY)
    assert view is not None
    return [endpoint.address for subset in view.subsets for endpoint in subset.endpoints]


# Which Pods


def test_a_ready_pod_that_carries_the_selector_is_an_endpoint() -> None:
    assert found(selecting(), web(node="n1")) == [Endpoint(packed("10.1.0.1"), node="n1")]


@pytest.mark.parametrize("labels", [(), (("app", "db"),), (("application", "web"),), (("tier", "backend"),)])
def test_a_pod_without_a_pair_of_the_selector_is_none(labels: tuple[tuple[str, str], ...]) -> None:
    assert found(selecting(BACKEND), web(labels=labels)) == []


def test_labels_beside_those_selected_do_not_matter() -> None:
    labels = (("app", "web"), ("release", "7"), ("tier", "backend"))
    assert len(found(selecting(BACKEND), web(labels=labels))) == 1


def test_a_pod_of_another_namespace_is_none() -> None:
    assert found(selecting(), web(ns="other")) == []


def test_an_empty_selector_means_every_pod_of_the_namespace() -> None:
    pods = (web("a", "10.1.0.1"), web("b", "10.1.0.2", labels=()), web("c", "10.1.0.3", ns="other"))
    assert [each.address for each in found(selecting(()), *pods)] == list(all_packed("10.1.0.1 10.1.0.2"))


def test_a_label_without_a_name_is_a_label_like_others() -> None:
    nameless = (("", ""), ("app", "web"))
    cluster = holding(selecting((("", ""),)), web("a", labels=nameless), web("b"))
    assert len(addresses(cluster)) == 1
    cluster.apply([Removal(web("a").ref)])
    assert addresses(cluster) == []


def test_a_service_without_a_selector_has_no_endpoints_but_those_written() -> None:
    assert found(selecting(None), web(), web("bare", "10.1.0.2", labels=())) == []


def test_a_finished_pod_and_one_without_an_address_are_none() -> None:
    assert found(selecting(), web("done", finished=True), web("pending", "")) == []


def test_a_pod_on_its_nodes_network_counts() -> None:
    assert len(found(selecting(), web(host_network=True))) == 1


# What an endpoint says


@pytest.mark.parametrize(
    ("ready", "terminating", "expected"),
    [
        (True, False, (True, True, False)),
        (False, False, (False, False, False)),
        (True, True, (False, True, True)),
        (False, True, (False, False, True)),
    ],
)
def test_readiness_ends_with_deletion_and_serving_does_not(
    ready: bool, terminating: bool, expected: tuple[bool, bool, bool]
) -> None:
    (each,) = found(selecting(), web(ready=ready, terminating=terminating))
    assert (each.ready, each.serving, each.terminating) == expected


@pytest.mark.parametrize(("subdomain", "expected"), [("my-service", "web-0"), ("other", ""), ("", "")])
def test_a_hostname_counts_where_the_subdomain_is_the_service(subdomain: str, expected: str) -> None:
    assert found(selecting(), web(hostname="web-0", subdomain=subdomain))[0].hostname == expected


def test_every_address_of_a_pod_is_an_endpoint_in_the_order_of_the_pods_names() -> None:
    pods = (web("b", "10.1.0.1"), web("a", "fd00::2 10.1.0.2"))
    assert [each.address for each in found(selecting(), *pods)] == list(
        all_packed("fd00::2 10.1.0.2 10.1.0.1")
    )


# Ports


def test_a_port_goes_to_its_number_or_to_the_same_where_it_has_no_target() -> None:
    ports = (ServicePort("http", "TCP", 80, 8080), ServicePort("dns", "UDP", 53))
    expected = (EndpointPort("http", "TCP", 8080), EndpointPort("dns", "UDP", 53))
    assert [each.ports for each in subsets(selecting(WEB, *ports), web())] == [expected]


def test_a_service_without_ports_has_endpoints_without_ports() -> None:
    assert subsets(selecting(), web()) == (Subset((Endpoint(packed("10.1.0.1")),), ()),)


def test_a_named_port_is_the_pods_container_port_of_that_name_and_protocol() -> None:
    own = (EndpointPort("www", "UDP", 1), EndpointPort("www", "TCP", 8080), EndpointPort("www", "TCP", 2))
    (subset,) = subsets(selecting(WEB, ServicePort("http", "TCP", 80, "www")), web(ports=own))
    assert subset.ports == (EndpointPort("http", "TCP", 8080),)


def test_pods_with_other_numbers_for_a_name_make_another_subset() -> None:
    pods = (
        web("a", "10.1.0.1", ports=(EndpointPort("www", "TCP", 8080),)),
        web("b", "10.1.0.2", ports=(EndpointPort("www", "TCP", 9090),)),
        web("c", "10.1.0.3", ports=(EndpointPort("www", "TCP", 8080),)),
    )
    first, second = subsets(selecting(WEB, ServicePort("http", "TCP", 80, "www")), *pods)
    assert [each.address for each in first.endpoints] == list(all_packed("10.1.0.1 10.1.0.3"))
    assert first.ports == (EndpointPort("http", "TCP", 8080),)
    assert second == Subset((Endpoint(packed("10.1.0.2")),), (EndpointPort("http", "TCP", 9090),))


def test_a_pod_without_a_named_port_is_left_out_of_that_port_alone() -> None:
    ports = (ServicePort("http", "TCP", 80, "www"), ServicePort("admin", "TCP", 81, 9000))
    (subset,) = subsets(selecting(WEB, *ports), web())
    assert subset.ports == (EndpointPort("admin", "TCP", 9000),)
    (bare,) = subsets(selecting(WEB, ports[0]), web())
    assert bare.ports == ()


# When they are derived


@pytest.mark.parametrize("own", [Endpoints(*KEY), EndpointSlice("my-ns", "s", "my-service")])
def test_endpoints_of_its_own_count_even_when_empty_until_they_are_gone(
    own: Endpoints | EndpointSlice,
) -> None:
    cluster = holding(selecting(), web(), own)
    assert addresses(cluster) == []
    cluster.apply([Removal(own.ref)])
    assert addresses(cluster) == [packed("10.1.0.1")]
    (change,) = cluster.take()
    assert (change.ref, change.after) == (SERVICE, cluster.view(KEY))
    cluster.apply([Upsert(own)])
    assert addresses(cluster) == []
    assert [change.ref for change in cluster.take()] == [SERVICE]


def test_endpoints_give_way_to_slices_and_both_to_pods() -> None:
    cluster = holding(selecting(), web(), endpoints(hosts="10.1.0.2"), slice_of(hosts="10.1.0.3"))
    assert addresses(cluster) == [packed("10.1.0.3")]
    cluster.apply([Removal(slice_of().ref)])
    assert addresses(cluster) == [packed("10.1.0.2")]
    cluster.apply([Removal(endpoints().ref)])
    assert addresses(cluster) == [packed("10.1.0.1")]


def test_a_slice_that_changes_hands_gives_its_service_back_to_the_pods() -> None:
    cluster = holding(selecting(), web(), slice_of(hosts="10.1.0.2"))
    cluster.apply([Upsert(slice_of("other", "10.1.0.2", name=slice_of().name))])
    assert addresses(cluster) == [packed("10.1.0.1")]


def test_written_endpoints_that_equal_the_derived_ones_are_no_change() -> None:
    cluster = holding(selecting(), web())
    view = cluster.view(KEY)
    assert view is not None
    cluster.apply([Upsert(Endpoints(*KEY, view.subsets))])
    assert cluster.take() == []


def test_a_selector_that_changes_selects_other_pods() -> None:
    cluster = holding(selecting(), web(), web("db-1", "10.1.0.2", labels=(("app", "db"),)))
    cluster.apply([Upsert(selecting((("app", "db"),)))])
    assert addresses(cluster) == [packed("10.1.0.2")]
    cluster.take()
    cluster.apply([Removal(web().ref)])
    assert [change.ref for change in cluster.take()] == [web().ref]


# What a Pod changes


def changed(cluster: Cluster, *events: Upsert | Removal) -> list[str]:
    """The Services that these events changed, by name."""
    cluster.apply(events)
    return sorted(change.ref.name for change in cluster.take() if change.ref.kind is Kind.SERVICE)


def test_a_pod_changes_the_services_that_it_matches_or_matched_and_no_others() -> None:
    selectors = {"web": WEB, "back": BACKEND, "db": (("app", "db"),), "all": ()}
    cluster = holding(*(service(name, selector=each) for name, each in selectors.items()))
    assert changed(cluster, Upsert(web())) == ["all", "web"]
    assert changed(cluster, Upsert(web(labels=BACKEND))) == ["back"]
    assert changed(cluster, Upsert(web(labels=(("app", "db"),)))) == ["back", "db", "web"]
    assert changed(cluster, Upsert(web(labels=(("app", "db"),), ready=False))) == ["all", "db"]
    assert changed(cluster, Removal(web().ref)) == ["all", "db"]


def test_a_pod_that_is_told_again_changes_nothing() -> None:
    cluster = holding(selecting(), web())
    cluster.apply([Upsert(web())])
    assert cluster.take() == []


def test_what_a_pod_was_at_the_last_take_is_what_it_is_compared_with() -> None:
    cluster = holding(selecting(), web())
    before = cluster.view(KEY)
    cluster.apply([Upsert(web(ready=False)), Upsert(web(addresses="10.1.0.9")), Upsert(web(finished=True))])
    (change,) = (each for each in cluster.take() if each.ref == SERVICE)
    assert (change.before, change.after) == (before, ServiceView(selecting(), ()))


def test_a_pod_that_never_had_an_address_changes_no_service() -> None:
    cluster = holding(selecting())
    assert changed(cluster, Upsert(web(addresses="")), Upsert(web(addresses="", finished=True))) == []


# What it costs


class Counted(UserDict[tuple[str, str], object]):
    """All Pods, and how often somebody went through them."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        super().__init__({(each.namespace, each.name): each for each in pods})
        self.walks = 0

    def items(self) -> ItemsView[tuple[str, str], object]:
        self.walks += 1
        return super().items()


def test_pods_are_gone_through_once_for_all_services_that_wait() -> None:
    pods = Counted([web(), web("db-1", labels=(("name", "db"),), ns="other")])
    selectors = Selectors(pods)
    selectors.hold(KEY, WEB)
    selectors.hold(("other", "db"), (("name", "db"),))
    assert pods.walks == 0
    assert [each.name for each in selectors.pods(KEY)] == ["web-1"]
    assert [each.name for each in selectors.pods(("other", "db"))] == ["db-1"]
    selectors.hold(("my-ns", "second"), (("app", "another"),))
    assert selectors.pods(("my-ns", "second")) == []
    assert pods.walks == 1


def test_nothing_is_kept_for_services_with_endpoints_of_their_own() -> None:
    pods = Counted([web()])
    selectors = Selectors(pods)
    for walks in (1, 2):
        selectors.hold(KEY, WEB)
        assert len(selectors.pods(KEY)) == 1
        assert pods.walks == walks, "kept after the last Service had gone"
        selectors.hold(KEY, None)
        assert (selectors.pods(KEY), selectors.services(web())) == ([], [])


def test_a_pod_reaches_few_services_through_a_label_that_all_of_them_select() -> None:
    compared = []

    class Value(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            compared.append(other)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    selectors = Selectors({})
    for number in range(100):
        selectors.hold(("my-ns", f"s{number}"), (("a-tier", "backend"), ("app", f"app-{number}")))
    labels = (("a-tier", Value("backend")), ("app", Value("app-7")))
    assert selectors.services(web(labels=labels)) == [("my-ns", "s7")]
    assert len(compared) < 20


def test_deriving_for_no_pods_gives_no_subset() -> None:
    assert derive(selecting(), []) == ()
