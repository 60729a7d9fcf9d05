"""Every query recorded from a real cluster's DNS, asked of ours through etcd and UDP, answer by answer."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from skydns_py.dataplane import native
from tests.conformance import recording
from tests.conformance.differences import DIFFERENCES, OWNED_ADDRESSES, Difference
from tests.etcd_server import EtcdServer
from tests.serving import Serving

ROWS = recording.answers()
OWNED_ADDRESSES.update(row["name"] for row in ROWS if row["type"] == "PTR" and row["answer"])
DOCS = Path(__file__).parents[2] / "docs" / "differences.md"


Ask = Callable[[str, str], dns.message.Message]


@pytest.fixture(scope="module", params=["pure", "native"])
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A server, of either data plane, fed by a real etcd that holds the recorded keys, asked over UDP."""
    there, why = native.available()
    if request.param == "native" and not there:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    folder = tmp_path_factory.mktemp("recorded")
    with EtcdServer(folder / "etcd") as etcd:
        client = etcd.client()
        for key, value in recording.registry():
            client.put(key, value)
        with Serving(
            folder, source={"etcd": {"endpoints": [etcd.url]}}, dataplane={"kind": request.param}
        ) as server:
            server.wait_for("ready:")
            yield server.ask


def _flat(section: Sequence[Any]) -> list[tuple[str, str, str]]:
    return sorted(
        (rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower())
        for rrset in section
        for rdata in rrset
    )


def _recorded(rows: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    return sorted((owner.lower(), rdtype, rdata.lower()) for owner, rdtype, rdata in rows)


def _same_answer(reply: dns.message.Message, row: dict[str, Any]) -> bool:
    got, wanted = _flat(reply.answer), _recorded(row["answer"])
    if row["type"] == "SOA" and wanted:
        got, wanted = ([(o, t, _without_serial(r)) for o, t, r in each] for each in (got, wanted))
    return dns.rcode.to_text(reply.rcode()) == row["rcode"] and got == wanted


def _without_serial(soa: str) -> str:
    return " ".join(part for index, part in enumerate(soa.split()) if index != 2)


def _assert_equal(reply: dns.message.Message, row: dict[str, Any]) -> None:
    assert _same_answer(reply, row), f"{row} got {reply}"
    if row["answer"]:
        assert [rrset.ttl for rrset in reply.answer] == [max(row["ttls"])] * len(reply.answer)
        assert _flat(reply.additional) == _recorded(row["additional"])
    else:
        assert [(rrset.rdtype, len(rrset)) for rrset in reply.authority] == [(dns.rdatatype.SOA, 1)]


def _differences(row: dict[str, Any]) -> list[Difference]:
    return [difference for difference in DIFFERENCES if difference.concerns(row)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['name']} {row['type']}")
def test_answer_equals_the_recording_or_a_listed_difference(ask: Ask, row: dict[str, Any]) -> None:
    reply = ask(row["name"], row["type"])
    known = _differences(row)
    assert len(known) <= 1, [difference.title for difference in known]
    if not known:
        _assert_equal(reply, row)
        return
    ours = known[0].ours(row)
    assert dns.rcode.to_text(reply.rcode()) == ours.rcode, f"{row} got {reply}"
    assert ours.fits(_flat(reply.answer)), f"{row} got {reply}"
    assert not _same_answer(reply, row), "no difference at all: narrow the rule"


def test_every_listed_difference_is_needed() -> None:
    needed = Counter(difference.title for row in ROWS for difference in _differences(row))
    assert set(needed) == {difference.title for difference in DIFFERENCES}


def test_the_documented_table_lists_the_same_differences_with_their_number() -> None:
    needed = Counter(difference.title for row in ROWS for difference in _differences(row))
    assert dict(_documented()) == dict(needed)


def _documented() -> Iterator[tuple[str, int]]:
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[2].isdigit():
            yield cells[1], int(cells[2])
