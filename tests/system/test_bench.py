"""The benchmark measures what it says: its parts, without timing anything."""

import struct
from pathlib import Path

import dns.message
import dns.zone
import pytest

from bench import cluster, load, process, propagation, registry, report, servers
from bench.ask import ask, replies, serves
from skydns_py.cluster import decode_protobuf, objects
from skydns_py.zone import names
from tests import needs

STATISTICS = """
Statistics:

  Queries sent:         180123
  Queries completed:    180120 (100.00%)
  Queries lost:         3 (0.00%)

  Run time (s):         2.000100
"""


def test_dnsperfs_statistics_are_read() -> None:
    assert load.parse(STATISTICS) == load.Load(completed=180120, lost=3, seconds=2.0001)


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


def test_the_peers_zone_file_is_one() -> None:
    zone = dns.zone.from_text("".join(cluster.zone_lines(3)), origin=f"{cluster.ZONE}.")
    assert str(zone.find_rdataset("svc-2.ns-2.svc", "A")[0]) == cluster.address(2)


@pytest.mark.parametrize("row", cluster.ROWS)
def test_a_query_file_asks_every_time_the_same(tmp_path: Path, row: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cluster.write_queries(first, row, 100)
    cluster.write_queries(second, row, 100)
    assert first.read_text() == second.read_text()
    assert len(first.read_text().splitlines()) == cluster.QUERIES


@needs.program("cc", "taskset")
def test_the_echo_returns_the_packet_with_the_answer_bit(tmp_path: Path) -> None:
    port = process.free_port()
    with process.Process(servers.echo(tmp_path, port), tmp_path / "log") as echo:
        echo.wait_until(lambda: replies(port), 20)
        reply = ask(port, "svc-1.ns-1 A")
        assert echo.rss_bytes() > 0
    assert reply is not None
    assert reply.question == dns.message.make_query("svc-1.ns-1", "A").question
    assert struct.unpack("!H", reply.to_wire()[2:4])[0] & 0x8000


@pytest.mark.parametrize("name", ["knot", "bind", "dnsmasq"])
@needs.program("knotd", "named", "dnsmasq", "taskset")
def test_a_peer_serves_the_rows_it_is_measured_on(tmp_path: Path, name: str) -> None:
    peer = next(peer for peer in servers.PEERS if peer.name == name)
    port = process.free_port()
    with process.Process(peer.setup(tmp_path, port, 200), tmp_path / "log") as running:
        running.wait_until(lambda: serves(port, "A", 199, 200), 30)
        assert [row for row in peer.rows if not serves(port, row, 100, 200)] == []


def test_a_server_that_cannot_start_is_one_clear_line(tmp_path: Path) -> None:
    with (
        process.Process(["false"], tmp_path / "log") as broken,
        pytest.raises(process.BenchError, match="false ended with 1"),
    ):
        broken.wait_until(lambda: False, 10)


def test_the_report_states_ratios_to_the_echo() -> None:
    cells = [
        report.Cell("A", "skydns", 12.0, 11.5, 12.5, 20.0, 80_000, 0),
        report.Cell("A", report.FLOOR, 5.0, 4.9, 5.1, 5.0, 150_000, 0),
    ]
    text = report.text(report.Results(10_000, 5, 2.0, cells, []))
    rows = [line.split() for line in text.splitlines() if line.startswith("    ")]
    assert [(row[0], row[1], row[3].strip("()")) for row in rows] == [
        ("echo", "5.00", "1.00"),
        ("skydns", "12.00", "2.40"),
    ]


def test_propagation_is_summed_up_in_milliseconds() -> None:
    delays = [number / 1000 for number in range(1, 201)]
    assert propagation.summary(delays) == {"median": 100.5, "p99": 199.0, "max": 200.0}
