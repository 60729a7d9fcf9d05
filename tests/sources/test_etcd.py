"""The etcd source against a real etcd, in the real reactor."""

import json
import threading
import time
from typing import Any

import pytest
from twisted.internet import reactor

from bench.ports import free_port
from skydns_py.cluster.objects import Kind, Record, Ref
from skydns_py.sources import etcd_client
from skydns_py.sources.etcd import EtcdSettings, EtcdSource, Timing
from skydns_py.sources.handover import CHUNK_SECONDS, LARGEST_CHUNK
from tests.etcd_server import EtcdServer
from tests.proxy import Proxy
from tests.reactor import run_in_reactor
from tests.sources.following import QUICK, SPECS, following, is_at, put, ref, service
from tests.sources.recording import Recorder


def test_what_is_there_comes_before_synced_and_what_changes_after(shared: EtcdServer, client: Any) -> None:
    put(client, "web")
    client.put("/skydns/local/cluster/a", '{"host": "1.2.3.4"}')
    client.put("/registry/configmaps/shop/other", "no kind that is served")
    with following(shared.url) as sink:
        sink.wait_call("synced")
        assert {str(known) for known in sink.state} == {"Service shop/web", "Record local/cluster/a"}
        put(client, "web", "10.0.0.2")
        put(client, "api")
        sink.wait(lambda s: is_at("web", "10.0.0.2")(s) and ref("api") in s.state)
        client.delete(f"{SPECS}/shop/web")
        client.delete("/skydns/local/cluster/a")
        sink.wait(lambda s: set(s.state) == {ref("api")})
        assert not sink.named("lost")
        assert not sink.named("refused")


def test_a_list_longer_than_a_page_is_told_whole(shared: EtcdServer, client: Any) -> None:
    names = [f"s{number}" for number in range(1300)]
    for at in range(0, len(names), 100):
        batch = [client.transactions.put(f"{SPECS}/shop/{n}", service(n)) for n in names[at : at + 100]]
        client.transaction(compare=[], success=batch, failure=[])
    with following(shared.url) as sink:
        sink.wait_call("synced")
        assert len(sink.state) == len(names)
        assert len(sink.named("upsert")) == len(names)


def test_2000_rapid_puts_come_in_order_and_none_is_lost(shared: EtcdServer, client: Any) -> None:
    """Each key counts upwards; every value written is told, in the order of writing."""
    written = [(f"s{number % 7}", f"10.{number // 250}.0.{number % 250}") for number in range(2000)]

    def write_all() -> None:
        for name, address in written:
            put(client, name, address)

    with following(shared.url) as sink:
        sink.wait_call("synced")
        writer = threading.Thread(target=write_all)
        writer.start()
        told = sink.wait_call("upsert", len(written))
        writer.join(30)
    assert [(obj.name, ".".join(map(str, obj.addresses[0]))) for (obj,) in told] == written


def test_events_of_one_transaction_over_several_kinds_all_come(shared: EtcdServer, client: Any) -> None:
    with following(shared.url) as sink:
        sink.wait_call("synced")
        puts = [
            client.transactions.put(f"{SPECS}/shop/web", service("web")),
            client.transactions.put(
                "/registry/namespaces/shop",
                '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}',
            ),
            client.transactions.put("/skydns/local/cluster/a", '{"host": "1.2.3.4"}'),
        ]
        client.transaction(compare=[], success=puts, failure=[])
        sink.wait(lambda s: len(s.state) == 3)


def test_a_bad_value_is_refused_alone_and_once_and_keeps_the_object(shared: EtcdServer, client: Any) -> None:
    put(client, "web")
    client.put(f"{SPECS}/shop/never-good", "{}")
    with following(shared.url) as sink:
        sink.wait_call("synced")
        [(where, reason)] = sink.named("refused")
        assert where == f"{SPECS}/shop/never-good"
        assert reason
        client.put(f"{SPECS}/shop/web", service("web", "10.0.0"))
        put(client, "api")
        sink.wait(lambda s: ref("api") in s.state)
        assert is_at("web", "10.0.0.1")(sink)
        assert [where for where, _ in sink.named("refused")][1:] == [f"{SPECS}/shop/web"]
        assert sink.named("refused")[1][1].startswith("spec.clusterIP: ")
        client.delete(f"{SPECS}/shop/web")
        sink.wait(lambda s: ref("web") not in s.state)


def test_a_key_that_is_no_text_is_refused(shared: EtcdServer, client: Any) -> None:
    client.put(SPECS.encode() + b"/shop/\xff", service("web"))
    with following(shared.url) as sink:
        sink.wait_call("synced")
        [(where, reason)] = sink.named("refused")
        assert where == rf"{SPECS}/shop/\xff"
        assert reason == "the key is not UTF-8 text"


def test_a_lease_is_told_as_the_seconds_it_was_granted(shared: EtcdServer, client: Any) -> None:
    lease = client.lease(120)
    client.put("/skydns/local/cluster/a", '{"host": "1.2.3.4"}', lease=lease)
    with following(shared.url) as sink:
        sink.wait_call("synced")
        other = client.lease(60)
        client.put("/skydns/local/cluster/b", '{"host": "1.2.3.4"}', lease=other)
        client.put("/skydns/local/cluster/c", '{"host": "1.2.3.4"}')
        sink.wait(lambda s: len(s.state) == 3)
        seconds = {k.name: r.lease_seconds for k, r in sink.state.items() if isinstance(r, Record)}
        assert seconds == {"local/cluster/a": 120, "local/cluster/b": 60, "local/cluster/c": 0}
        other.revoke()
        sink.wait(lambda s: len(s.state) == 2)


def test_many_leases_are_asked_for_once_each(
    shared: EtcdServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = etcd_client.Connection._ask_lease
    monkeypatch.setattr(
        etcd_client.Connection, "_ask_lease", lambda self, lease: (asked.append(lease), ask(self, lease))[1]
    )
    leases = [client.lease(100 + number) for number in range(250)]
    for number, lease in enumerate(leases):
        client.put(f"/skydns/local/l{number}", '{"host": "1.2.3.4"}', lease=lease)
    with following(shared.url) as sink:
        sink.wait_call("synced")
        client.put("/skydns/local/l0", '{"host": "1.2.3.5"}', lease=leases[0])
        sink.wait(lambda s: s.state[Ref(Kind.RECORD, "", "local/l0")].host == "1.2.3.5")
        for number in range(250):
            found = sink.state[Ref(Kind.RECORD, "", f"local/l{number}")]
            assert isinstance(found, Record)
            assert found.lease_seconds == 100 + number
    assert sorted(asked) == sorted(lease.id for lease in leases)


def test_a_lease_that_has_ended_counts_as_none(shared: EtcdServer) -> None:
    connection = etcd_client.Connection(EtcdSettings(), shared.url, QUICK)
    assert connection.lease_seconds([12345]) == {}
    connection.close()


def test_leases_that_cannot_be_asked_for_count_as_none() -> None:
    connection = etcd_client.Connection(EtcdSettings(), f"http://127.0.0.1:{free_port()}", QUICK)
    assert connection.lease_seconds([1, 2]) == {}
    connection.close()


def test_a_prefix_left_empty_is_not_followed(shared: EtcdServer, client: Any) -> None:
    put(client, "web")
    client.put("/skydns/local/a", '{"host": "1.2.3.4"}')
    with following(shared.url, registry_prefix="") as sink:
        sink.wait_call("synced")
        assert [str(known) for known in sink.state] == ["Record local/a"]
    with following(shared.url, skydns_prefix="") as sink:
        sink.wait_call("synced")
        assert [str(known) for known in sink.state] == ["Service shop/web"]


def test_other_prefixes_can_be_followed(shared: EtcdServer, client: Any) -> None:
    client.put("/prod/registry/services/specs/shop/web", service("web"))
    client.put("/prod/dns/local/a", '{"host": "1.2.3.4"}')
    put(client, "elsewhere")
    with following(shared.url, registry_prefix="/prod/registry", skydns_prefix="/prod/dns") as sink:
        sink.wait_call("synced")
        assert {str(known) for known in sink.state} == {"Service shop/web", "Record local/a"}


def test_only_the_kinds_asked_for_are_listed_and_watched(shared: EtcdServer, client: Any) -> None:
    def write(name: str) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        client.put(f"/registry/namespaces/{name}", json.dumps(namespace))
        client.put(f"/skydns/local/{name}", '{"host": "1.2.3.4"}')
        put(client, name)

    write("listed")
    with following(shared.url, kinds={Kind.SERVICE, Kind.NODE}) as sink:
        sink.wait_call("synced")
        write("watched")
        sink.wait(lambda s: ref("watched") in s.state)
        assert sink.state.keys() == {ref("listed"), ref("watched")}
    with following(shared.url, kinds=[Kind.RECORD]) as sink:
        sink.wait_call("synced")
        assert [str(known) for known in sink.state] == ["Record local/listed", "Record local/watched"]


@pytest.mark.parametrize(("prefix", "kinds"), [("/registry", []), ("", [Kind.SERVICE])])
def test_kinds_that_no_prefix_holds_are_refused(prefix: str, kinds: list[Kind]) -> None:
    settings = EtcdSettings(registry_prefix=prefix)
    with pytest.raises(ValueError, match="none of the kinds wanted"):
        EtcdSource(settings, Recorder(), reactor, kinds=kinds)


def thread_of(source: EtcdSource) -> threading.Thread:
    return source._thread


@pytest.mark.parametrize("state", ["following", "waiting", "dialling a silent host"])
def test_stop_ends_the_thread_within_a_second_and_nothing_is_told_after(
    shared: EtcdServer, client: Any, state: str
) -> None:
    put(client, "web")
    with Proxy(shared.port) as silent:
        silent.cut()
        urls = {"following": shared.url, "waiting": f"http://127.0.0.1:{free_port()}"}
        sink = Recorder()
        settings = EtcdSettings(endpoints=(urls.get(state, silent.url),))
        source = EtcdSource(settings, sink, reactor, Timing())
        run_in_reactor(source.start)
        if state != "dialling a silent host":
            sink.wait(lambda s: s.named("synced") or len(s.named("lost")) > 0)
        run_in_reactor(source.stop)
        told = sink.mark()
        thread_of(source).join(1)
        assert not thread_of(source).is_alive()
        put(client, "web", "10.0.0.9")
        run_in_reactor(lambda: None)
        assert sink.since(told) == []


def test_the_thread_waits_while_the_reactor_is_behind(shared: EtcdServer, client: Any) -> None:
    """With a sink that stands still, only so much is read ahead; then all comes, in order."""
    names = [f"s{number:05}" for number in range(8000)]
    for at in range(0, len(names), 100):
        batch = [client.transactions.put(f"{SPECS}/shop/{n}", service(n)) for n in names[at : at + 100]]
        client.transaction(compare=[], success=batch, failure=[])
    sink, go_on = Recorder(), threading.Event()
    apply = sink.apply
    sink.apply = lambda events: (go_on.wait(30), apply(events))[1]  # type: ignore[method-assign]
    source = EtcdSource(EtcdSettings(endpoints=(shared.url,)), sink, reactor, QUICK)
    run_in_reactor(source.start)
    waiting = source._handover._items
    deadline = time.monotonic() + 30
    while len(waiting) < 5000 and time.monotonic() < deadline:
        time.sleep(0.01)  # the reactor stands still by design
    time.sleep(0.3)  # long enough to read all the rest, if it did not wait
    assert 5000 <= len(waiting) < 6000
    go_on.set()
    sink.wait_call("synced")
    assert [obj.name for (obj,) in sink.named("upsert")] == names
    run_in_reactor(source.stop)


def test_a_slow_sink_gets_smaller_chunks_so_that_the_reactor_has_its_turn(
    shared: EtcdServer, client: Any
) -> None:
    names = [f"s{number:05}" for number in range(2000)]
    for at in range(0, len(names), 100):
        batch = [client.transactions.put(f"{SPECS}/shop/{n}", service(n)) for n in names[at : at + 100]]
        client.transaction(compare=[], success=batch, failure=[])
    sizes: list[int] = []

    class Slow(Recorder):
        def apply(self, events: Any) -> None:
            sizes.append(len(events))
            time.sleep(0.0002 * len(events))
            super().apply(events)

    sink = Slow()
    source = EtcdSource(EtcdSettings(endpoints=(shared.url,)), sink, reactor, QUICK)
    run_in_reactor(source.start)
    sink.wait_call("synced")
    run_in_reactor(source.stop)
    assert max(sizes) <= 4 * CHUNK_SECONDS / 0.0002 < LARGEST_CHUNK
    assert [obj.name for (obj,) in sink.named("upsert")] == names


def test_a_sink_that_fails_does_not_end_the_source(shared: EtcdServer, client: Any) -> None:
    put(client, "web")

    class Failing(Recorder):
        def synced(self) -> None:
            super().synced()
            raise RuntimeError("a bug")

    sink = Failing()
    source = EtcdSource(EtcdSettings(endpoints=(shared.url,)), sink, reactor, QUICK)
    run_in_reactor(source.start)
    sink.wait_call("synced")
    put(client, "api")
    sink.wait(lambda s: ref("api") in s.state)
    run_in_reactor(source.stop)


def test_a_bug_in_the_thread_lists_everything_again(
    shared: EtcdServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, "web")
    deliver = EtcdSource._deliver
    failures = iter([RuntimeError("a bug")])

    def failing(self: EtcdSource, changes: Any) -> None:
        for failure in failures if changes else ():
            raise failure
        deliver(self, changes)

    monkeypatch.setattr(EtcdSource, "_deliver", failing)
    with following(shared.url) as sink:
        sink.wait_call("synced")
        assert sink.named("lost") == [(f"etcd at {shared.url}: RuntimeError: a bug",)]
        assert is_at("web", "10.0.0.1")(sink)


def test_the_size_of_a_response_has_no_limit_that_would_stop_the_list(
    shared: EtcdServer, client: Any
) -> None:
    """Values of a megabyte each, more of them in one page than the 4 MB that gRPC takes by default."""
    for number in range(6):
        big = json.loads(service(f"s{number}"))
        big["metadata"]["annotations"] = {"filler": "x" * 1_000_000}
        client.put(f"{SPECS}/shop/s{number}", json.dumps(big))
    with following(shared.url) as sink:
        sink.wait_call("synced")
        assert len(sink.state) == 6
