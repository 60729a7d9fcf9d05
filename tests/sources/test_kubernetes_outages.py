"""The Kubernetes source against a stand-in API server that refuses, forgets, breaks off, restarts or lies."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from skydns_py.cluster.objects import Kind
from skydns_py.sources.kubernetes import Timing
from skydns_py.sources.kubernetes_follow import Follower
from tests.kube.store import Store
from tests.kube_api import KubeApi
from tests.sources.kubernetes_following import QUICK, Writer, following, is_on, kubeconfig, ref
from tests.sources.recording import Recorder

LISTS, WATCHES, PROBES = "limit=500", "watch=1", "limit=1"
BOTH = (Kind.SERVICE, Kind.SLICE)


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as made:
        yield made


@pytest.fixture
def writer(api: KubeApi) -> Iterator[Writer]:
    made = Writer(api.access)
    yield made
    made.close()


@pytest.fixture
def path(api: KubeApi, tmp_path: Path) -> str:
    return kubeconfig(tmp_path, api.access)


def count(api: KubeApi, what: str) -> int:
    """Requests of Services with this among the words of their query."""
    found = [each.partition("?")[2].split("&") for each in list(api.requests) if "/services?" in each]
    return len([words for words in found if what in words])


def names(sink: Recorder) -> set[str]:
    return {each.name for each in sink.state}


def told(sink: Recorder, mark: int) -> list[tuple[str, str]]:
    return [(call[0], call[1].name) for call in sink.since(mark) if call[0] in ("upsert", "removal")]


def lines(api: KubeApi, *reasons: str) -> list[tuple[str]]:
    return [(f"Kubernetes API at {api.url}: {reason}",) for reason in reasons]


def test_a_broken_watch_goes_on_where_it_broke_without_another_list(
    api: KubeApi, path: str, writer: Writer
) -> None:
    writer.service("web")
    with following(path, timing=Timing(short=0.0)) as sink:
        sink.wait_call("synced")
        for number in range(5):
            api.wait_watches(1)
            api.break_watches()
            writer.service("web", 100 + number)
            sink.wait(is_on("web", 100 + number))
        assert count(api, LISTS) == 1
        assert count(api, PROBES) == 5
        assert len(sink.named("upsert")) == 6
        assert not sink.named("lost")


def test_a_watch_that_ends_is_followed_by_another_and_is_no_loss(
    api: KubeApi, path: str, writer: Writer
) -> None:
    with following(path, timing=Timing(short=0.0)) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.end_watches()
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)
        assert count(api, LISTS) == 1
        assert len(sink.named("synced")) == 1
        assert not sink.named("lost")


def test_a_watch_that_says_nothing_is_opened_anew_and_is_no_loss(
    api: KubeApi, path: str, writer: Writer
) -> None:
    with following(path, timing=Timing(silence=0.1)) as sink:
        sink.wait_call("synced")
        while count(api, WATCHES) < 4:
            api.wait_watches(1)
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)
        assert count(api, LISTS) == 1
        assert not sink.named("lost")


def test_watches_that_end_at_once_are_told_and_asked_for_more_and_more_seldom(
    api: KubeApi, path: str, writer: Writer
) -> None:
    api.refuse(200, only=WATCHES, body="\n")
    with following(path) as sink:
        sink.wait_call("synced")
        sink.wait_call("lost")
        time.sleep(1.5)  # that nothing more is asked has no event to wait for
        assert count(api, WATCHES) < 25
        assert sink.named("lost") == lines(api, "the watch of services ends at once")
        api.accept()
        sink.wait_call("synced", 2)
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)


@pytest.mark.parametrize("as_status", [False, True], ids=["event", "status"])
def test_410_lists_again_and_tells_the_difference(
    api: KubeApi, path: str, writer: Writer, as_status: bool
) -> None:
    api.gone_as_status = as_status
    for name in ("kept", "gone"):
        writer.service(name)
    with following(path) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.stop()
        sink.wait_call("lost")
        mark = sink.mark()
        api.remove("v1", "Service", "default", "gone")
        api.compact()
        api.start()
        sink.wait_call("synced", 2)
        assert names(sink) == {"kept"}
        assert told(sink, mark) == [("removal", "gone")]
        assert count(api, LISTS) == 2


def test_410_in_the_middle_of_a_watch_lists_again(api: KubeApi, path: str, writer: Writer) -> None:
    with following(path) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.expire_watches()
        sink.wait_call("synced", 2)
        assert count(api, LISTS) == 2
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)
        assert not sink.named("lost")


def test_a_server_that_has_forgotten_every_revision_is_not_listed_in_a_loop(api: KubeApi, path: str) -> None:
    gone = '{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired"}}\n'
    api.refuse(200, only=WATCHES, body=gone)
    with following(path) as sink:
        sink.wait_call("synced", 3)
        time.sleep(1.5)  # as above
        assert count(api, LISTS) < 25


def test_a_list_whose_token_has_expired_begins_anew(api: KubeApi, path: str, writer: Writer) -> None:
    for number in range(6):
        writer.service(f"s{number}")
    api.refuse(410, times=1, only="continue=")
    with following(path, timing=Timing(page=2)) as sink:
        sink.wait_call("synced")
        assert names(sink) == {f"s{number}" for number in range(6)}
        assert len(sink.named("upsert")) == 6
        assert not sink.named("lost")


def test_a_list_that_fails_on_the_way_goes_on_with_the_same_page(
    api: KubeApi, path: str, writer: Writer
) -> None:
    for number in range(6):
        writer.service(f"s{number}")
    api.refuse(500, times=1, only="continue=")
    with following(path, timing=Timing(page=2)) as sink:
        sink.wait_call("synced")
        assert len(sink.named("upsert")) == 6
        assert sink.named("lost") == lines(api, "500 InternalError: refused")
    assert len([each for each in api.requests if "limit=2" in each]) == 4


def test_bookmarks_let_a_watch_go_on_after_a_compaction(api: KubeApi, path: str, writer: Writer) -> None:
    with following(path, timing=Timing(short=0.0)) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.compact()
        api.bookmark()
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)
        api.break_watches()
        writer.service("web", 81)
        sink.wait(is_on("web", 81))
        assert count(api, LISTS) == 1


def test_a_bookmark_alone_moves_the_revision(api: KubeApi, path: str) -> None:
    with following(path, timing=Timing(short=0.0)) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.compact()
        revision = api.bookmark()
        api.end_watches()
        while f"resourceVersion={revision}" not in api.requests[-1]:
            api.wait_watches(1)
        assert count(api, LISTS) == 1


def test_a_server_that_restarts_is_followed_on_with_all_that_happened(
    api: KubeApi, path: str, writer: Writer
) -> None:
    for name in ("web", "gone"):
        writer.service(name)
    with following(path, BOTH) as sink:
        sink.wait_call("synced")
        api.wait_watches(2)
        mark = sink.mark()
        api.stop()
        sink.wait(lambda s: any("connection refused" in reason for (reason,) in s.named("lost")))
        api.remove("v1", "Service", "default", "gone")
        api.start()
        sink.wait_call("synced", 2)
        assert told(sink, mark) == [("removal", "gone")]
        assert count(api, LISTS) == 1
        assert len(sink.named("lost")) == len(set(sink.named("lost"))), "one line a reason, not one a kind"


def test_after_a_loss_synced_comes_once_all_that_was_missed_has_been_told(
    api: KubeApi, path: str, writer: Writer
) -> None:
    with following(path, BOTH) as sink:
        sink.wait_call("synced")
        api.wait_watches(2)
        api.stop()
        sink.wait_call("lost")
        for number in range(50):
            meta = {"name": f"s{number}", "namespace": "default"}
            api.apply(
                {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"clusterIP": "None"}}
            )
        api.start()
        sink.wait_call("synced", 2)
        assert len(sink.state) == 50


def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    late = KubeApi()
    late._address = ("127.0.0.1", free_port())
    with following(kubeconfig(tmp_path, late.access, late.url)) as sink:
        assert sink.wait_call("lost") == lines(late, "connection refused")
        assert not sink.named("synced")
        with late:
            sink.wait_call("synced")


FORBIDDEN = (
    "GET /api/v1/services: 403 Forbidden: services is forbidden:"
    ' User "system:serviceaccount:kube-system:skydns" cannot {verb} resource "services" in API group ""'
    " at the cluster scope;"
    " allow list and watch, as manifests/kubernetes/rbac.yaml does"
)


def test_a_list_that_is_forbidden_is_one_line_that_names_the_permission(api: KubeApi, path: str) -> None:
    api.refuse(403, only="/services?")
    with following(path, BOTH) as sink:
        assert sink.wait_call("lost") == lines(api, FORBIDDEN.format(verb="list"))
        while len([each for each in api.requests if "/services?" in each]) < 4:
            time.sleep(0.01)  # retries go on; that no line comes of them has no event to wait for
        assert len(sink.named("lost")) == 1
        assert not sink.named("synced")
        api.accept()
        sink.wait_call("synced")


def test_a_watch_that_alone_is_forbidden_stays_lost_until_it_is_allowed(
    api: KubeApi, path: str, writer: Writer
) -> None:
    api.refuse(403, only=WATCHES)
    with following(path) as sink:
        sink.wait_call("synced")
        assert sink.wait_call("lost") == lines(api, FORBIDDEN.format(verb="watch"))
        while count(api, WATCHES) < 4:
            time.sleep(0.01)  # as above
        assert (len(sink.named("lost")), len(sink.named("synced"))) == (1, 1)
        writer.service("web")
        api.accept()
        sink.wait_call("synced", 2)
        assert names(sink) == {"web"}


def test_who_is_not_known_is_told_so_once_for_all_kinds(api: KubeApi, path: str) -> None:
    api.refuse(401)
    with following(path, (*BOTH, Kind.POD, Kind.NAMESPACE)) as sink:
        reason = "401 Unauthorized: the server does not know this token or certificate, or it has expired"
        sink.wait_call("lost")
        while len(api.requests) < 12:
            time.sleep(0.01)  # as above
        assert sink.named("lost") == lines(api, reason)
        api.accept()
        sink.wait_call("synced")


def test_a_kubeconfig_that_was_renewed_is_read_again(api: KubeApi, tmp_path: Path, writer: Writer) -> None:
    path = kubeconfig(tmp_path, api.access, f"http://127.0.0.1:{free_port()}")
    writer.service("web")
    with following(path) as sink:
        sink.wait_call("lost")
        Path(path).write_text("{}")
        sink.wait(lambda s: any(f"{path}: " in reason for (reason,) in s.named("lost")))
        kubeconfig(tmp_path, api.access)
        sink.wait_call("synced")
        assert names(sink) == {"web"}


def test_retry_after_is_waited_for(api: KubeApi, path: str) -> None:
    api.refuse(429, times=1, headers={"Retry-After": "1"})
    begun = time.monotonic()
    with following(path) as sink:
        sink.wait_call("synced")
        assert time.monotonic() - begun >= 1
        assert sink.named("lost") == lines(
            api, "429 TooManyRequests: too many requests, please try again later."
        )


def test_a_cluster_restored_from_an_older_state_is_told_as_a_difference(
    api: KubeApi, path: str, writer: Writer
) -> None:
    """Its revisions begin lower, so a watch from the last one seen would stay silent."""
    for name in ("a", "b", "c"):
        writer.service(name)
    with following(path) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        api.stop()
        api.store = Store()
        meta = {"name": "b", "namespace": "default"}
        spec = {"clusterIP": "None", "ports": [{"port": 81}]}
        api.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        api.start()
        sink.wait(lambda s: names(s) == {"b"} and is_on("b", 81)(s))
        sink.wait_call("synced", 2)


NO_NUMBER = "has a resourceVersion that is no number: None; such a server cannot be followed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"kind":"ServiceList","metadata":{"resourceVersion":"a1"},"items":[]}',
         "the list of services has a resourceVersion that is no number: 'a1'; "
         "such a server cannot be followed"),
        ('{"metadata":{"resourceVersion":"1"},"items":[{}]}', "one of the services has no name"),
        ('{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"}}]}',
         f"/a {NO_NUMBER}"),
        ('{"metadata":7}', f"the list of services {NO_NUMBER}"),
        ('{"metadata":{"resourceVersion":"1"},"items":7}', "the list of services is none"),
        ('{"metadata":{"resourceVersion":"1"},"items":{"a":1}}', "the list of services is none"),
        ('{"metadata":{"resourceVersion":"1","continue":7}}', "the list of services is none"),
        ("no JSON", "answered no JSON: is this the API server's address?"),
        ("{}", f"the list of services {NO_NUMBER}"),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_list_is_told_in_one_line(
    api: KubeApi, path: str, body: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    api.refuse(200, body=body)
    with following(path) as sink:
        assert sink.wait_call("lost") == lines(api, reason)
        api.accept()
        sink.wait_call("synced")
    assert caplog.records == []


@pytest.mark.parametrize(
    "line",
    ["7", "{}", '{"type":"ADDED"}', '{"type":"ADDED","object":7}', '{"type":"BOOKMARK","object":{}}',
     '{"type":"ERROR","object":{"code":500,"message":"etcd\\nfailed"}}', '{"type":"ERROR","object":7}', "{"],
)  # fmt: skip
def test_a_line_of_a_watch_that_is_no_event_is_told_in_one_line(
    api: KubeApi, path: str, writer: Writer, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    api.refuse(200, times=2, only=WATCHES, body=f"{line}\n")
    with following(path) as sink:
        [(reason,)] = sink.wait_call("lost")
        assert "\n" not in reason
        sink.wait_call("synced", 2)
        writer.service("web")
        sink.wait(lambda s: ref("web") in s.state)
    assert caplog.records == []


def test_an_event_of_a_kind_not_known_yet_is_passed_over(api: KubeApi, path: str) -> None:
    api.refuse(200, times=1, only=WATCHES, body='{"type":"NEWS","object":{}}\n')
    with following(path, timing=Timing(short=0.0)) as sink:
        sink.wait_call("synced")
        api.wait_watches(1)
        assert not sink.named("lost")


def test_a_bug_in_the_thread_lists_everything_again(
    api: KubeApi, path: str, writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer.service("web")
    deliver = Follower._deliver
    failures = iter([RuntimeError("a bug")])

    def failing(self: Follower, changes: Any) -> None:
        for failure in failures if changes else ():
            raise failure
        deliver(self, changes)

    monkeypatch.setattr(Follower, "_deliver", failing)
    with following(path) as sink, caplog.at_level(logging.ERROR):
        sink.wait_call("synced")
        assert sink.named("lost") == lines(api, "RuntimeError: a bug")
        assert names(sink) == {"web"}


def test_synced_waits_for_the_last_kind(api: KubeApi, path: str, writer: Writer) -> None:
    writer.service("web")
    api.refuse(500, only="endpointslices")
    with following(path, BOTH, timing=QUICK) as sink:
        sink.wait(lambda s: ref("web") in s.state)
        sink.wait_call("lost")
        assert not sink.named("synced")
        api.accept()
        sink.wait_call("synced")
        assert len(sink.named("synced")) == 1
