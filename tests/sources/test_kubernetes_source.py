"""The Kubernetes source, in the real reactor, against a stand-in API server and, where there is one, a real.

A real one is the program that SKYDNS_KUBE_APISERVER names; ``test_kubernetes_outages`` mistreats a stand-in.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor

from skydns_py.app import make_source
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref
from skydns_py.settings import KubernetesSource as KubernetesSettings
from skydns_py.sources.kubernetes import KubernetesSource, Timing
from tests.conformance import recording
from tests.kube_api import KubeApi
from tests.kube_server import KubeServer, servers
from tests.proxy import Proxy
from tests.reactor import run_in_reactor
from tests.sources.kubernetes_following import (
    QUICK,
    SERVICES,
    Writer,
    following,
    is_on,
    kubeconfig,
    ref,
)
from tests.sources.recording import Recorder


@contextmanager
def without_token() -> Iterator[KubeServer]:
    """The stand-in over http, where no kubeconfig's credentials are sent."""
    with KubeApi() as api:
        yield KubeServer(api.access, api.compact, api)


def each_server() -> list[object]:
    _, real = servers()
    return [pytest.param(without_token, id="stand-in"), real]


@pytest.fixture(scope="module", params=each_server())
def server(request: pytest.FixtureRequest) -> Iterator[KubeServer]:
    """A server that tests leave running."""
    make: Callable[[], AbstractContextManager[KubeServer]] = request.param
    with make() as made:
        yield made


@pytest.fixture
def writer(server: KubeServer) -> Iterator[Writer]:
    """A client of that server, without Services in ``default``."""
    made = Writer(server.access)
    made.delete_all()
    yield made
    made.close()


@pytest.fixture
def path(server: KubeServer, tmp_path: Path) -> str:
    """A kubeconfig for that server."""
    return kubeconfig(tmp_path, server.access)


def known(sink: Recorder, namespace: str = "default") -> set[str]:
    """The names of the Services of one namespace, but the API server's own."""
    found = {each.name for each in sink.state if each.kind is Kind.SERVICE and each.namespace == namespace}
    return found - {"kubernetes"}


def told(sink: Recorder, mark: int) -> list[tuple[str, str]]:
    """What changed after ``mark``, as (call, name)."""
    return [(call[0], call[1].name) for call in sink.since(mark) if call[0] in ("upsert", "removal")]


def test_what_is_there_comes_before_synced_and_what_changes_after(path: str, writer: Writer) -> None:
    writer.service("web")
    with following(path) as sink:
        sink.wait_call("synced")
        assert known(sink) == {"web"}
        writer.service("web", 81)
        writer.service("api")
        sink.wait(lambda s: is_on("web", 81)(s) and ref("api") in s.state)
        writer.delete("web")
        sink.wait(lambda s: known(s) == {"api"})
        assert not sink.named("lost")
        assert not sink.named("refused")
        assert len(sink.named("synced")) == 1


@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_many_pages_make_one_list(path: str, writer: Writer, page: int) -> None:
    names = {f"s{number}" for number in range(6)}
    for name in names:
        writer.service(name)
    with following(path, timing=Timing(page=page)) as sink:
        sink.wait_call("synced")
        assert known(sink) == names
        assert sorted(name for _, name in told(sink, 0) if name != "kubernetes") == sorted(names)


def test_rapid_changes_come_in_order_and_none_is_lost(path: str, writer: Writer) -> None:
    written = [(f"s{number % 3}", 1000 + number) for number in range(200)]
    with following(path) as sink:
        sink.wait_call("synced")
        mark = sink.mark()
        for name, port in written:
            writer.service(name, port)
        sink.wait(lambda s: len(told(s, mark)) >= len(written))
        assert [(obj.name, obj.ports[0].port) for _, obj in sink.since(mark)] == written


@pytest.mark.parametrize("compacted", [False, True], ids=["resumed", "compacted"])
def test_who_was_cut_off_gets_exactly_the_difference(
    server: KubeServer, writer: Writer, tmp_path: Path, compacted: bool
) -> None:
    """The network swallows everything for a while, and nobody is told."""
    if compacted and server.api is None:
        pytest.skip("a real server has to restart for that; the next test has it")
    for name in ("kept", "changed", "gone"):
        writer.service(name)
    scheme, port = server.access.server.split(":")[0], urlsplit(server.access.server).port or 0
    with Proxy(port) as proxy:
        path = kubeconfig(tmp_path, server.access, f"{scheme}://127.0.0.1:{proxy.port}")
        timing = Timing(request=1, short=0.2, silence=0.5, settle=0.1)
        with following(path, timing=timing) as sink:
            sink.wait_call("synced")
            proxy.cut()
            sink.wait_call("lost")
            mark = sink.mark()
            writer.service("changed", 81)
            writer.service("new")
            writer.service("fleeting")
            writer.delete("fleeting")
            writer.delete("gone")
            if compacted:
                server.compact()
            proxy.mend()
            sink.wait_call("synced", 2)
            assert known(sink) == {"kept", "changed", "new"}
            assert is_on("changed", 81)(sink)
            fleeting = [("upsert", "fleeting"), ("removal", "fleeting")]
            difference = [("upsert", "changed"), ("upsert", "new"), ("removal", "gone")]
            if not compacted:
                difference += fleeting
            assert sorted(told(sink, mark)) == sorted(difference)


def test_a_compacted_server_is_listed_again_and_only_the_difference_told(
    server: KubeServer, writer: Writer, tmp_path: Path
) -> None:
    """A real server restarts for it, as compaction alone does not reach its cache of events."""
    for name in ("kept", "gone"):
        writer.service(name)
    with following(kubeconfig(tmp_path, server.access)) as sink:
        sink.wait_call("synced")
        mark = sink.mark()
        writer.delete("gone")
        sink.wait(lambda s: "gone" not in known(s))
        server.compact()
        if server.api:
            server.api.break_watches()
        sink.wait(lambda s: len(s.named("synced")) >= 2)
        late = Writer(server.access)
        late.service("new")
        late.close()
        sink.wait(lambda s: known(s) == {"kept", "new"})
        assert told(sink, mark) == [("removal", "gone"), ("upsert", "new")]


def test_only_the_namespaces_that_are_named_are_looked_at(path: str, writer: Writer) -> None:
    for namespace in ("shop", "other"):
        writer.namespace(namespace)
        writer.delete_all(namespace)
        writer.service("web", namespace=namespace)
    kinds = (Kind.SERVICE, Kind.NAMESPACE)
    with following(path, kinds, namespaces=("shop", "none-such")) as sink:
        sink.wait_call("synced")
        assert set(sink.state) == {ref("web", "shop"), Ref(Kind.NAMESPACE, "", "shop")}
        writer.service("api", namespace="other")
        writer.service("api", namespace="shop")
        sink.wait(lambda s: ref("api", "shop") in s.state)
        assert known(sink, "other") == set()


def test_services_that_gain_or_lose_the_label_come_and_go(path: str, writer: Writer) -> None:
    writer.service("web", tier="web")
    writer.service("db", tier="db")
    writer.service("plain")
    with following(path, label_selector="tier in (web,front)") as sink:
        sink.wait_call("synced")
        assert known(sink) == {"web"}
        writer.service("db", tier="front")
        sink.wait(lambda s: known(s) == {"web", "db"})
        writer.service("web", 81, tier="db")
        sink.wait(lambda s: known(s) == {"db"})


def test_after_stop_nothing_is_told_and_no_thread_is_left(path: str, writer: Writer) -> None:
    sink = Recorder()
    source = KubernetesSource(KubernetesSettings(path), sink, reactor, SERVICES, QUICK)
    run_in_reactor(source.start)
    sink.wait_call("synced")
    ours = [each for each in threading.enumerate() if each.name.startswith("skydns-services")]
    run_in_reactor(source.stop)
    mark = sink.mark()
    writer.service("web")
    for thread in ours:
        thread.join(10)
        assert not thread.is_alive()
    assert ours
    assert sink.since(mark) == []


# What one server must be a stand-in for


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as made:
        yield made


def load(api: KubeApi) -> None:
    """The recorded cluster."""
    lists = json.loads((recording.DATA / "api-lists.json").read_text())
    for listed in lists.values():
        head = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        for item in listed["items"]:
            api.apply({**head, **item})


def test_the_recorded_cluster_is_the_same_through_the_api_as_through_etcd(
    api: KubeApi, tmp_path: Path
) -> None:
    load(api)
    with following(kubeconfig(tmp_path, api.access), kinds=None) as sink:
        sink.wait_call("synced")
        state = dict(sink.state)
    compared = 0
    for key, value in recording.registry():
        found = registry.parse_key(key, "/registry")
        assert found is not None
        if found.kind is not Kind.ENDPOINTS:  # slices stand for them
            assert state[found] == registry.decode(found, value)
            compared += 1
    assert compared == 44
    assert not any(each.kind is Kind.ENDPOINTS for each in state)


def test_without_slices_endpoints_are_followed_and_one_line_says_so(
    api: KubeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(api)
    api.without = {"discovery.k8s.io"}
    with following(kubeconfig(tmp_path, api.access), kinds=None) as sink:
        sink.wait_call("synced")
        endpoints = {each for each in sink.state if each.kind is Kind.ENDPOINTS}
        assert len(endpoints) == 10
        assert not any(each.kind is Kind.SLICE for each in sink.state)
        api.remove("v1", "Endpoints", "dev-alpha", "web")
        sink.wait(lambda s: Ref(Kind.ENDPOINTS, "dev-alpha", "web") not in s.state)
        assert not sink.named("lost")
    lines = [each.getMessage() for each in caplog.records]
    assert lines == ["this API server has no discovery.k8s.io/v1: following Endpoints, not EndpointSlices"]


def test_several_namespaces_say_so_once(
    api: KubeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(api)
    api.without = {"discovery.k8s.io"}
    place = kubeconfig(tmp_path, api.access)
    with following(place, kinds=None, namespaces=("dev-alpha", "dev-beta")) as sink:
        sink.wait_call("synced")
    assert [each.getMessage()[:15] for each in caplog.records] == ["this API server"]


def test_a_server_that_does_not_know_endpoints_either_is_asked_for_slices_again(
    api: KubeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy in front of it, say, that answers 404 for a while."""
    load(api)
    api.refuse(404, only="GET /apis/discovery", times=2)
    api.refuse(404, only="GET /api/v1/endpoints", times=2)
    with following(kubeconfig(tmp_path, api.access), kinds=None) as sink:
        sink.wait_call("synced")
        assert len(sink.named("lost")) == 1
        assert any(each.kind is Kind.SLICE for each in sink.state)
        assert not any(each.kind is Kind.ENDPOINTS for each in sink.state)
    assert not caplog.records


def asked(api: KubeApi, *words: str) -> list[str]:
    """The requests that contain all these words."""
    return [each for each in list(api.requests) if all(word in each for word in words)]


def test_slices_are_listed_before_services(api: KubeApi, tmp_path: Path) -> None:
    api.refuse(503, times=1, only="endpointslices")
    with following(kubeconfig(tmp_path, api.access), (Kind.SERVICE, Kind.SLICE)) as sink:
        sink.wait_call("synced")
    first = [urlsplit(each).path.rpartition("/")[2] for each in asked(api)]
    assert first[0] == "endpointslices"
    mark = len(api.requests)
    with following(kubeconfig(tmp_path, api.access), (Kind.SERVICE, Kind.SLICE)) as sink:
        sink.wait_call("synced")
    lists = [each for each in api.requests[mark:] if "watch" not in each]
    assert [urlsplit(each).path.rpartition("/")[2] for each in lists[:2]] == ["endpointslices", "services"]


@pytest.mark.parametrize("pods", [True, False])
def test_pods_are_asked_for_where_they_are_needed(api: KubeApi, tmp_path: Path, pods: bool) -> None:
    sink = Recorder()
    source = make_source(KubernetesSettings(kubeconfig(tmp_path, api.access)), sink, reactor, pods=pods)
    run_in_reactor(source.start)
    sink.wait_call("synced")
    run_in_reactor(source.stop)
    lists = {urlsplit(each).path.rpartition("/")[2] for each in asked(api, "limit=500")}
    assert lists == {"namespaces", "services", "endpointslices", *(["pods"] if pods else [])}


def test_a_source_without_a_kind_of_the_api_is_refused(api: KubeApi, tmp_path: Path) -> None:
    found = KubernetesSettings(kubeconfig(tmp_path, api.access))
    with pytest.raises(ValueError, match="none of the kinds wanted is kept in the Kubernetes API"):
        KubernetesSource(found, Recorder(), reactor, (Kind.RECORD,))


def test_a_bad_object_is_refused_alone_and_keeps_its_last_good_form(api: KubeApi, tmp_path: Path) -> None:
    writer = Writer(api.access)
    writer.service("web")
    writer.service("never-good", 0)
    with following(kubeconfig(tmp_path, api.access)) as sink:
        sink.wait_call("synced")
        assert known(sink) == {"web"}
        writer.service("web", 70000)
        writer.service("api")
        sink.wait(lambda s: ref("api") in s.state)
        assert is_on("web", 80)(sink)
        assert sink.named("refused") == [
            ("Service default/never-good", "spec.ports[0].port: must be from 1 to 65535, not 0"),
            ("Service default/web", "spec.ports[0].port: must be from 1 to 65535, not 70000"),
        ]
        writer.delete("web")
        sink.wait(lambda s: known(s) == {"api"})


def test_the_watch_asks_for_five_to_ten_minutes_and_bookmarks(api: KubeApi, tmp_path: Path) -> None:
    with following(kubeconfig(tmp_path, api.access), timing=Timing()) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
    [watch] = asked(api, "watch=1")
    assert "allowWatchBookmarks=true" in watch
    seconds = re.search(r"timeoutSeconds=(\d+)", watch)
    assert seconds
    assert 300 <= int(seconds[1]) <= 600


# Any sequence of events

NAMES = ("a", "b", "c")
CHANGES = st.tuples(st.just("put"), st.sampled_from(NAMES), st.integers(1, 5)) | st.tuples(
    st.just("delete"), st.sampled_from(NAMES)
)
MISHAPS = st.sampled_from(
    [("break",), ("end",), ("expire",), ("compact",), ("bookmark",), ("refuse",), ("restart",)]
)
STEPS = st.lists(st.tuples(CHANGES | CHANGES | MISHAPS, st.booleans()), min_size=5, max_size=25)
"""What happens, and whether the source catches up with it before the next."""


class Mistreated:
    """A stand-in that does what a step says."""

    def __init__(self, api: KubeApi) -> None:
        self.api = api
        self.services: dict[str, int] = {}

    def put(self, name: str, port: int) -> None:
        meta = {"name": name, "namespace": "default"}
        spec = {"clusterIP": "None", "ports": [{"port": port}]}
        self.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        self.services[name] = port

    def delete(self, name: str) -> None:
        if self.services.pop(name, None):
            self.api.remove("v1", "Service", "default", name)

    def do(self, step: tuple[Any, ...]) -> None:
        word, *arguments = step
        if word == "restart":
            self.api.stop()
            self.api.start()
        elif word == "refuse":
            self.api.refuse(500, times=1)
        elif word in ("put", "delete"):
            getattr(self, word)(*arguments)
        elif word in ("compact", "bookmark"):
            getattr(self.api, word)()
        else:
            getattr(self.api, f"{word}_watches")()

    def is_known(self, sink: Recorder) -> bool:
        found = {name: sink.state[ref(name)].ports[0].port for name in known(sink)}  # type: ignore[union-attr]  # Services all
        return found == self.services


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_the_picture_ends_as_a_fresh_list_has_it(
    tmp_path: Path, steps: list[tuple[tuple[Any, ...], bool]]
) -> None:
    timing = Timing(request=2, short=0.0, silence=0.3, settle=0.02, page=2)
    with ExitStack() as stack:
        api = stack.enter_context(KubeApi())
        mistreated = Mistreated(api)
        path = kubeconfig(tmp_path, api.access)
        sink = stack.enter_context(following(path, timing=timing))
        sink.wait_call("synced")
        for step, catch_up in steps:
            mistreated.do(step)
            if catch_up:
                sink.wait(mistreated.is_known)
        sink.wait(mistreated.is_known)
        with following(path, timing=timing) as fresh:
            fresh.wait_call("synced")
            assert fresh.state == sink.state
