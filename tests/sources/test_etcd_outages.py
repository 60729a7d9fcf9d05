"""The etcd source against a real etcd that is absent, killed, cut off, compacted, stopped or restored."""

import time
from pathlib import Path

import pytest
from twisted.internet import reactor

from skydns_py.sources import etcd_client
from skydns_py.sources.etcd import EtcdSettings, EtcdSource
from tests.etcd_server import EtcdServer
from tests.proxy import Proxy
from tests.reactor import run_in_reactor
from tests.sources.following import PINGS, QUICK, SPECS, be_watching, following, is_at, put, ref
from tests.sources.recording import Recorder


def test_an_etcd_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path / "late")
    with following(server.url) as sink:
        [(reason,)] = sink.wait_call("lost")
        assert reason == f"etcd at {server.url} cannot be reached: Connection refused"
        assert not sink.named("synced")
        with server, server.client() as client:
            put(client, "web")
            sink.wait(is_at("web", "10.0.0.1"))
            sink.wait_call("synced")


def test_a_killed_etcd_is_resumed_after_its_restart_with_all_that_happened(own: EtcdServer) -> None:
    with own.client() as client:
        put(client, "web")
    with following(own.url) as sink:
        sink.wait_call("synced")
        mark = sink.mark()
        own.kill()
        sink.wait_call("lost")
        assert is_at("web", "10.0.0.1")(sink)
        own.start()
        with own.client() as client:
            put(client, "web", "10.0.0.2")
            client.delete(f"{SPECS}/shop/web")
            put(client, "api")
        sink.wait(lambda s: set(s.state) == {ref("api")})
        sink.wait_call("synced", 2)
    told = [call for call in sink.since(mark) if call[0] in ("upsert", "removal")]
    assert [kind for kind, _ in told] == ["upsert", "removal", "upsert"]


def test_an_etcd_that_answers_no_progress_request_is_synced_again_all_the_same(
    own: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with etcd 3.5.8 to 3.5.12 where a prefix has no news; here none is asked for."""
    monkeypatch.setattr(etcd_client, "PROGRESS_REQUESTS", 0)
    with own.client() as client, Proxy(own.port) as proxy, following(proxy.url) as sink:
        be_watching(sink, client)
        proxy.cut()
        sink.wait_call("lost")
        put(client, "web")
        proxy.mend()
        sink.wait_call("synced", 2)
        put(client, "api")
        sink.wait(lambda s: {ref("web"), ref("api")} <= set(s.state))


def test_a_restart_without_changes_tells_none_and_is_synced_again(own: EtcdServer) -> None:
    with own.client() as client:
        put(client, "web")
    with following(own.url) as sink:
        sink.wait_call("synced")
        mark = sink.mark()
        own.restart()
        sink.wait_call("synced", 2)
    assert {call[0] for call in sink.since(mark)} == {"lost", "synced"}


def test_a_reason_is_told_once_however_often_it_is_met(own: EtcdServer) -> None:
    with following(own.url) as sink:
        sink.wait_call("synced")
        own.kill()
        sink.wait(lambda s: any("refused" in reason for (reason,) in s.named("lost")))
        time.sleep(1)  # several retries; that nothing is told has no event to wait for
        reasons = sink.named("lost")
        assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize("compacted", [True, False])
def test_a_watcher_cut_off_gets_exactly_the_difference(own: EtcdServer, compacted: bool) -> None:
    with own.client() as client, Proxy(own.port) as proxy:
        for name in ("kept", "changed", "gone"):
            put(client, name)
        client.put(f"{SPECS}/shop/bad", "{}")
        with following(proxy.url) as sink:
            be_watching(sink, client)
            proxy.cut()
            sink.wait_call("lost")
            mark = sink.mark()
            put(client, "changed", "10.0.0.2")
            put(client, "new")
            put(client, "fleeting")
            client.delete(f"{SPECS}/shop/fleeting")
            client.delete(f"{SPECS}/shop/gone")
            if compacted:
                own.compact(client)
            proxy.mend()
            sink.wait_call("synced", 2)
            sink.wait(lambda s: set(s.state) == {ref("kept"), ref("changed"), ref("new")})
            assert is_at("changed", "10.0.0.2")(sink)
        told = [call for call in sink.since(mark) if call[0] in ("upsert", "removal")]
        changes = [(call[0], call[1].name) for call in told]
        fleeting = [] if compacted else [("upsert", "fleeting"), ("removal", "fleeting")]
        difference = [("upsert", "changed"), ("upsert", "new"), *fleeting, ("removal", "gone")]
        assert sorted(changes) == sorted(difference)
        assert len(sink.named("refused")) == 1, "an unchanged bad value is refused once"


def test_a_deletion_at_exactly_the_compacted_revision_is_not_missed(own: EtcdServer) -> None:
    """The revision after the last one seen is a tombstone, and everything up to it is compacted."""
    with own.client() as client, Proxy(own.port) as proxy:
        put(client, "gone")
        with following(proxy.url) as sink:
            sink.wait_call("synced")
            proxy.cut()
            sink.wait_call("lost")
            client.delete(f"{SPECS}/shop/gone")
            own.compact(client)
            proxy.mend()
            sink.wait(lambda s: s.state == {})


def test_an_etcd_that_stands_still_is_noticed_and_resumed(own: EtcdServer) -> None:
    with own.client() as client:
        put(client, "web")
        with following(own.url) as sink:
            be_watching(sink, client)
            own.pause()
            [(reason,)] = sink.wait_call("lost")
            assert own.url in reason
            own.resume()
            put(client, "api")
            sink.wait(lambda s: ref("api") in s.state)
            sink.wait_call("synced", 2)


def test_a_cluster_restored_from_older_data_is_told_as_a_difference(own: EtcdServer) -> None:
    with own.client() as client:
        for name in ("a", "b", "c"):
            put(client, name)
    with following(own.url) as sink:
        sink.wait_call("synced")
        own.erase()
        own.start()
        with own.client() as client:
            put(client, "b", "10.0.0.9")
        sink.wait(lambda s: set(s.state) == {ref("b")} and is_at("b", "10.0.0.9")(s))


def test_another_endpoint_takes_over(own: EtcdServer, tmp_path: Path) -> None:
    """The second is no member of the first's cluster: what it holds then counts."""
    with EtcdServer(tmp_path / "second", *PINGS) as second, second.client() as client:
        put(client, "second")
        sink = Recorder()
        settings = EtcdSettings(endpoints=(own.url, second.url))
        source = EtcdSource(settings, sink, reactor, QUICK)
        run_in_reactor(source.start)
        sink.wait_call("synced")
        assert sink.state == {}
        own.kill()
        sink.wait(lambda s: set(s.state) == {ref("second")})
        run_in_reactor(source.stop)
