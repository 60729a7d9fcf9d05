"""Bad input, in bulk: a short campaign here, one of a million packets with ``--nightly``."""

import gc
import random
import sys
from pathlib import Path

import pytest

from tests.fuzz import seeds
from tests.fuzz.campaign import Campaign, Report, Target, run

SEED = 20_240_229
SHORT, MILLION = 8_000, 1_000_000
BLOCKS_PER_PACKET = 0.05
"""Growth of the interpreter's memory that is let pass: a leak takes a block for each packet of some kind."""
MEGABYTES = 16


def blocks_grown(target: Target, count: int) -> int:
    """Memory blocks that the same campaign leaves behind when it is run again."""
    before = 0
    for _ in range(2):
        before = sys.getallocatedblocks()
        campaign = Campaign(target, random.Random(SEED))
        campaign.run(count)
        assert_clean(campaign.report)
        del campaign
        gc.collect()
    return sys.getallocatedblocks() - before


def assert_clean(report: Report) -> None:
    assert not report.findings, "\n".join([str(report), *report.findings[:20]])


def test_nothing_raises_and_well_formed_queries_are_still_answered() -> None:
    report = run(SHORT, SEED)
    assert_clean(report)
    assert report.packets == SHORT
    assert report.hot > SHORT / 10
    assert report.streams > SHORT / 50
    assert set(report.rcodes) >= {-1, 0, 1, 3, 4, 5}, "a campaign that gets everywhere"


def test_same_seed_is_the_same_campaign() -> None:
    first, second = run(600, 7), run(600, 7)
    assert (first.rcodes, first.hot, first.streams) == (second.rcodes, second.hot, second.streams)


def test_nothing_is_left_behind() -> None:
    assert blocks_grown(Target(), SHORT) < SHORT * BLOCKS_PER_PACKET


def test_every_seed_by_itself_is_answered_or_met_with_silence() -> None:
    campaign = Campaign(Target(), random.Random(SEED))
    for packet in seeds.packets():
        campaign.datagram(packet, "127.0.0.1")
    for octets in seeds.corpus(seeds.STREAMS):
        stream, _ = campaign.target.connect()
        stream.dataReceived(octets)
        stream.connectionLost()
    campaign.settle()
    assert_clean(campaign.report)


def resident_megabytes() -> float:
    """Memory of this process that is in RAM (proc(5), ``statm``)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.nightly
def test_million_packets_raise_nothing_and_leave_nothing_behind() -> None:
    target = Target()
    warm_up = Campaign(target, random.Random(SEED + 1))
    warm_up.run(50_000)
    before = resident_megabytes()
    campaign = Campaign(target, random.Random(SEED))
    campaign.run(MILLION)
    assert_clean(warm_up.report)
    assert_clean(campaign.report)
    assert resident_megabytes() - before < MEGABYTES
    sys.stdout.write(f"\n{campaign.report}, {resident_megabytes() - before:.1f} MB grown\n")
