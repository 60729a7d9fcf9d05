"""The benchmark measures what it says: its parts, without timing anything."""

import json
import statistics
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.zone
import pytest

from bench import (
    churn,
    cluster,
    contest,
    load,
    plot,
    process,
    propagation,
    registry,
    report,
    servers,
    store,
    subject,
    table,
    writer,
)
from bench import names as many_names
from bench.ask import ask, replies, serves, serves_headless
from bench.ports import free_port
from skydns_py.cluster import decode_protobuf, objects
from skydns_py.zone import names
from tests import needs

STATISTICS = """
Statistics:

  Queries sent:         180123
  Queries completed:    180120 (100.00%)
  Queries lost:         3 (0.00%)

  Average packet size:  request 48, response 64
  Run time (s):         2.000100
"""


def test_dnsperfs_statistics_are_read() -> None:
    assert load.parse(STATISTICS) == load.Load(completed=180120, lost=3, seconds=2.0001, reply_octets=64)


def test_output_without_statistics_is_no_result() -> None:
    assert load.parse("[Status] Sending queries\n") is None


def test_registry_values_decode_to_the_cluster_that_is_asked_for() -> None:
    (_, service), (_, endpoints) = registry.pairs(1234, 1235)
    found = decode_protobuf.decode(service)
    assert isinstance(found, objects.Service)
    assert (found.namespace, found.name) == ("ns-34", "svc-1234")
    assert [names.ip_text(address) for address in found.addresses] == [cluster.address(1234)]
    slice_ = decode_protobuf.decode(endpoints)
    assert isinstance(slice_, objects.EndpointSlice)
    backends = [names.ip_text(endpoint.address) for subset in slice_.subsets for endpoint in subset.endpoints]
    assert (slice_.service, backends) == ("svc-1234", list(cluster.endpoints(1234)))


def test_every_second_service_of_a_dual_stack_cluster_has_an_ipv6_address() -> None:
    found = [decode_protobuf.decode(value) for _, value in registry.pairs(0, 2, dual=True)]
    services = [each for each in found if isinstance(each, objects.Service)]
    assert [[names.ip_text(address) for address in each.addresses] for each in services] == [
        [cluster.address(0), cluster.address6(0)],
        [cluster.address(1)],
    ]


def test_the_headless_service_has_its_endpoints_and_no_address() -> None:
    (_, service), (_, endpoints) = registry.headless_pairs()
    found, slice_ = decode_protobuf.decode(service), decode_protobuf.decode(endpoints)
    assert isinstance(found, objects.Service)
    assert isinstance(slice_, objects.EndpointSlice)
    backends = [names.ip_text(endpoint.address) for subset in slice_.subsets for endpoint in subset.endpoints]
    assert (found.addresses, slice_.service, backends) == ((), cluster.HEADLESS, cluster.backends())


def test_the_peers_zone_file_is_one() -> None:
    zone = dns.zone.from_text("".join(cluster.zone_lines(3)), origin=f"{cluster.ZONE}.")
    assert str(zone.find_rdataset("svc-2.ns-2.svc", "A")[0]) == cluster.address(2)
    assert str(zone.find_rdataset("svc-2.ns-2.svc", "AAAA")[0]) == cluster.address6(2)
    assert len(zone.find_rdataset("headless.ns-0.svc", "A")) == cluster.BACKENDS


@pytest.mark.parametrize("row", cluster.ROWS)
def test_a_query_file_asks_every_time_the_same(tmp_path: Path, row: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cluster.write_queries(first, row, 100)
    cluster.write_queries(second, row, 100)
    assert first.read_text() == second.read_text()
    assert len(first.read_text().splitlines()) == cluster.QUERIES


@needs.program("cc", "taskset")
def test_the_echo_returns_the_packet_with_the_answer_bit(tmp_path: Path) -> None:
    port = free_port()
    with process.Process(servers.echo(tmp_path, port), tmp_path / "log") as echo:
        echo.wait_until(lambda: replies(port), 20)
        reply = ask(port, "svc-1.ns-1 A")
        assert echo.rss_bytes() > 0
    assert reply is not None
    assert reply.question == dns.message.make_query("svc-1.ns-1", "A").question
    assert struct.unpack("!H", reply.to_wire()[2:4])[0] & 0x8000


_OPTIONAL = [
    pytest.param(
        name, marks=pytest.mark.skipif(process.find(name) is None, reason=f"{name} is not installed")
    )
    for name in ("nsd", "unbound")
]


@pytest.mark.parametrize("name", ["knot", "bind", "dnsmasq", *_OPTIONAL])
@needs.program("knotd", "named", "dnsmasq", "taskset")
def test_a_peer_serves_the_rows_it_is_measured_on(tmp_path: Path, name: str) -> None:
    peer = next(peer for peer in servers.PEERS if peer.name == name)
    port = free_port()
    with process.Process(peer.setup(tmp_path, port, 200), tmp_path / "log") as running:
        running.wait_until(lambda: serves(port, "A", 199, 200), 30)
        assert [row for row in peer.rows if not serves(port, row, 100, 200)] == []
        if name != "dnsmasq":
            assert serves_headless(port, cluster.HEADLESS_UDP)
            assert serves_headless(port, cluster.HEADLESS_TCP)


@pytest.mark.parametrize("name", subject.names())
@needs.program("etcd", "taskset")
def test_this_server_answers_every_row_it_is_measured_on(tmp_path: Path, name: str) -> None:
    with (
        store.running(tmp_path, dual=True) as etcd,
        _grown(etcd, 200),
        subject.running(tmp_path, etcd.url, 200, name, 60) as ours,
    ):
        assert [row for row in cluster.ROWS if not serves(ours.port, row, 100, 200)] == []
        assert serves_headless(ours.port, cluster.HEADLESS_UDP)
        assert serves_headless(ours.port, cluster.HEADLESS_TCP)
        assert ours.footprint.server == name


@contextmanager
def _grown(etcd: store.Store, services: int) -> Iterator[None]:
    etcd.grow(services)
    yield


@needs.program("etcd", "taskset")
def test_the_writer_changes_services_in_etcd_and_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.running(tmp_path) as etcd:
        writer.main([etcd.url, "/elsewhere", "50", "200", "0.5"])
        started, told = capsys.readouterr().out.splitlines()
        made, (index, address) = json.loads(told)["made"], json.loads(told)["last"]
        key = registry.service_key(index).replace("/registry", "/elsewhere")
        service = decode_protobuf.decode(etcd.client.get(key)[0])
    assert (started, 0 < made <= 110) == ("started", True)
    assert isinstance(service, objects.Service)
    assert [names.ip_text(each) for each in service.addresses] == [address]


@pytest.mark.skipif(subject.NATIVE not in subject.names(), reason="the native data plane is not built")
def test_a_table_filled_in_place_answers_for_each_name() -> None:
    found = table.filled(300)
    query = dns.message.make_query(cluster.fqdn(299), "A").to_wire()
    reply = found.answer(query)
    assert reply is not None
    assert str(dns.message.from_wire(reply).answer[0][0]) == cluster.address(299)
    assert len(found) >= 300


def test_the_names_are_asked_for_equally_often(tmp_path: Path) -> None:
    lines = many_names.queries(tmp_path, 10, 50).read_text().splitlines()
    assert {line: lines.count(line) for line in lines} == {f"{cluster.fqdn(n)} A": 5 for n in range(10)}


@needs.program("cc", "taskset", "dnsperf")
def test_a_contest_gives_each_row_its_servers_and_leaves_out_who_is_wrong(tmp_path: Path) -> None:
    rows = {row: contest.Row(partial(cluster.write_queries, row=row, count=100), _is_right) for row in _TWO}
    with ExitStack() as stack:
        floor = contest.echo(tmp_path, stack)
        other = contest.Contender("wrong", floor.process, floor.port)
        cells = contest.take_turns(tmp_path, [floor, other], rows, 1, 0.1)
    assert [(cell.row, cell.server, cell.lost) for cell in cells] == [(row, "echo", 0) for row in _TWO]
    assert all(cell.rate > 0 and cell.reply_octets > 12 for cell in cells)


_TWO = ("A", "SRV")


def _is_right(_: int) -> bool:
    return False


@needs.program("cc", "taskset", "dnsperf")
def test_latencies_are_those_of_each_reply(tmp_path: Path) -> None:
    queries = tmp_path / "queries"
    queries.write_text("a.example A\n" * 200)
    with ExitStack() as stack:
        floor = contest.echo(tmp_path, stack)
        how = load.How(10.0, passes=1)
        found, times = load.latencies(floor.port, queries, how, 2000, tmp_path / "output")
    assert (found.completed, found.lost, len(times)) == (200, 0, 200)
    assert times == sorted(times)
    assert 0 < statistics.median(times) < 1


def test_churn_is_compared_with_quiet() -> None:
    quiet = [churn.Round(10, 50, 60, 70, 0, 1000, 0)] * 3
    busy = [
        churn.Round(12, p99, 90, 100 + p99, lost, 1000, 999) for p99, lost in ((75, 0), (100, 2), (60, 0))
    ]
    figures: dict[str, Any] = churn.figures({"quiet": quiet, "churn": busy})
    assert figures["ratios"]["churn"] == {"p50": 1.2, "p99": 1.5, "p999": 1.5}
    assert (figures["microseconds"]["churn"]["lost"], figures["microseconds"]["churn"]["most"]) == (2, 200)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    cells = [report.Cell("A", name, 5.0, 4.0, 6.0, 5.0, 1.0, 0) for name in ("skydns", report.FLOOR)]
    return report.save(report.Results(1, 1, 1.0, cells, []))


def test_without_matplotlib_the_plot_is_left_out_with_one_line(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install" in plot.save(kept)
    assert list(kept.parent.iterdir()) == [kept]


def test_the_plot_stands_beside_its_figures(kept: Path) -> None:
    pytest.importorskip("matplotlib", reason="the bench extra is not installed")
    assert str(kept.with_suffix(".png")) in plot.save(kept)
    assert kept.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_bytes_a_service_are_what_the_larger_cluster_takes_more() -> None:
    sizes = ((10_000, 60_000_000), (100_000, 240_000_000))
    prints = [subject.Footprint("skydns", services, 1.0, 1.0, rss, rss) for services, rss in sizes]
    assert report.bytes_a_service(prints) == {"skydns": 2000}
    assert report.bytes_a_service(prints[:1]) == {}


def test_a_server_that_cannot_start_is_one_clear_line(tmp_path: Path) -> None:
    with (
        process.Process(["false"], tmp_path / "log") as broken,
        pytest.raises(process.BenchError, match="false ended with 1"),
    ):
        broken.wait_until(lambda: False, 10)


def test_the_report_states_ratios_to_the_echo_and_to_knot() -> None:
    cells = [
        report.Cell("A", "skydns", 12.0, 11.5, 12.5, 20.0, 80_000, 0),
        report.Cell("A", report.FLOOR, 5.0, 4.9, 5.1, 5.0, 150_000, 0),
        report.Cell("A", report.RIVAL, 6.0, 4.9, 6.1, 5.0, 150_000, 0),
    ]
    text = report.text(report.Results(10_000, 5, 2.0, cells, []))
    rows = [line.split() for line in text.splitlines() if "lost" in line]
    assert [row[:4] for row in rows] == [
        ["echo", "5.00", "1.00", "0.83"],
        ["knot", "6.00", "1.20", "1.00"],
        ["skydns", "12.00", "2.40", "2.00"],
    ]


def test_propagation_is_summed_up_in_milliseconds() -> None:
    delays = [number / 1000 for number in range(1, 201)]
    assert propagation.summary(delays) == {
        "median": 100.5,
        "p90": 181.0,
        "p95": 191.0,
        "p99": 199.0,
        "max": 200.0,
        "changes": 200,
    }
