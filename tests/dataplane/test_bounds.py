"""What strangers can fill, and what a changing cluster can: everything kept has a bound."""

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from skydns_py.answers.packed import Answer, record
from skydns_py.dataplane.pure import MAX_COUNTED, MAX_NAME, MAX_PLANS, PureTable
from skydns_py.zone.rrset import RRset
from tests.builders import packed
from tests.dataplane import samples, wire

CLIENT = packed("198.51.100.1")
KILOBYTE = 1024


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def grown(before: int) -> int:
    return tracemalloc.get_traced_memory()[0] - before


def ever_new_edns() -> Iterator[bytes]:
    """OPT records that all ask for something else."""
    for payload, bits in itertools.product(range(65536), (0, 1, wire.DO)):
        yield wire.opt(payload, bits)


@pytest.mark.usefixtures("traced")
def test_plans_stay_bounded_under_ever_new_edns_sizes() -> None:
    served = samples.served()
    before = tracemalloc.get_traced_memory()[0]
    for edns in itertools.islice(ever_new_edns(), 2 * MAX_PLANS + 10):
        assert served.feed.answer(wire.query(samples.SERVICE, edns=edns)) is not None
    assert len(served.feed.table._plans) <= MAX_PLANS
    assert grown(before) < 2048 * KILOBYTE


def test_plain_queries_are_planned_again_after_a_flood_of_odd_ones() -> None:
    served = samples.served()
    for edns in itertools.islice(ever_new_edns(), MAX_PLANS + 10):
        served.feed.answer(wire.query(samples.SERVICE, edns=edns))
    plain = wire.query(samples.SERVICE)
    served.feed.answer(plain)
    assert plain[2:12] in served.feed.table._plans


@pytest.mark.usefixtures("traced")
def test_negative_answers_keep_one_body_for_each_length_of_a_name() -> None:
    served = samples.served()
    ends = range(len(samples.ZONE) + 4, 300)
    before = tracemalloc.get_traced_memory()[0]
    for turn, size in itertools.product(range(5), ends):
        name = bytes((1, 97 + turn)) * (size // 2) + wire.encode(samples.ZONE)
        served.feed.answer(wire.query(name, edns=wire.opt()))
    for zone in served.feed.table._zones.values():
        assert zone is not None
        assert len(zone.bodies) <= MAX_NAME
    assert grown(before) < 100 * KILOBYTE


@pytest.mark.usefixtures("traced")
def test_queries_for_names_that_do_not_exist_leave_nothing_behind() -> None:
    served = samples.served()
    places = ("my-ns", "sky", samples.ZONE)
    batches = [
        [wire.query(f"{i}.{place}") for i in range(start, start + 2100) for place in places]
        for start in (0, 10_000)
    ]
    for packets in batches:  # the first one fills the interpreter's own free lists, 2 000 of each size
        size, before = len(served.feed.table), tracemalloc.get_traced_memory()[0]
        for packet in packets:
            served.feed.answer(packet)
            served.feed.responder.respond(packet, CLIENT, stream=True)
    assert len(served.feed.table) == size
    assert grown(before) < 16 * KILOBYTE


def test_heads_stay_bounded_while_endpoints_come_and_go() -> None:
    table = PureTable(lambda name: None, 1232)
    apex = wire.encode(samples.ZONE)
    table.replace_zone(apex, RRset(5, (b"",)))
    node = {wire.A: Answer(0, 0, b"")}
    for answers, additionals in itertools.product(range(100), range(100)):
        node[wire.A] = Answer(answers, additionals, b"")
        table.replace(apex, node)
    assert len(table._counted) <= MAX_COUNTED


def test_an_answer_beyond_every_message_is_served_as_far_as_it_fits() -> None:
    """More addresses than a count of 16 bits can say: an accident, which must not stop the rest."""
    served, count, name = samples.served(), 65536 + 10, f"vast.my-ns.svc.{samples.ZONE}"
    body = b"".join(record(0xC00C, wire.A, 5, i.to_bytes(4)) for i in range(count))
    served.feed.table.replace(wire.encode(name), {wire.A: Answer(count, 0, body, len(body) // count)})
    packet = wire.query(name)
    over_tcp = served.feed.responder.respond(packet, CLIENT, stream=True)
    for raw, least in ((served.feed.answer(packet), 20), (over_tcp, 4000)):
        assert raw is not None
        reply = wire.read(raw)
        assert reply.truncated
        assert len(reply.answers) > least
    assert served.feed.answer(wire.query(samples.SERVICE)) is not None
