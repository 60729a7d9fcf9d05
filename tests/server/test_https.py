"""DNS over HTTPS as clients use it (RFC 8484), over HTTP/2 and over HTTP/1.1."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.answers.lifetime import lifetime
from skydns_py.answers.padding import BLOCK, PADDING
from skydns_py.server.doh import LARGEST
from tests import needs
from tests.authority import Authority
from tests.dataplane import samples, wire
from tests.server.secure import (
    DNS,
    MEDIA_TYPE,
    PATH,
    Http1Client,
    Secure,
    TlsConnection,
    encoded,
    replies,
    run,
)

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)
WIDE = wire.query(samples.WIDE_NAME)
VERSIONS = ("http1", "http2")


# Answers


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", ["127.0.0.1", samples.MAPPED])
def test_answers_are_those_over_tcp_octet_for_octet(
    secure: Secure, source: str, version: str, method: str
) -> None:
    forms = itertools.product(samples.NAMES, (wire.A, wire.SRV), (b"", wire.opt(1232)))
    packets = [wire.query(name, rdtype, edns=edns) for name, rdtype, edns in forms]
    client = getattr(secure, version)(source)
    over_https = replies(secure, client, getattr(client, method), packets)
    assert {(each.status, each.headers["content-type"]) for each in over_https} == {(200, MEDIA_TYPE)}
    tcp = secure.tcp(source=source)
    assert [each.body for each in over_https] == replies(secure, tcp, tcp.ask, packets)


@pytest.mark.parametrize("version", VERSIONS)
def test_padded_query_gets_a_padded_reply(secure: Secure, version: str) -> None:
    with getattr(secure, version)() as client:
        packet = wire.query(samples.SERVICE, edns=wire.opt(options=wire.option(PADDING, bytes(9))))
        assert len(client.post(packet).body) % BLOCK == 0
        assert len(client.post(PLAIN).body) < BLOCK


def test_http2_is_chosen_where_the_client_can_and_http1_where_it_does_not_say(secure: Secure) -> None:
    with TlsConnection(secure.https_port, secure.context("http/1.1", "h2")) as client:
        assert client.tls.selected_alpn_protocol() == "h2"
    with Http1Client(secure.https_port, secure.context()) as client:
        assert client.get(PLAIN).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_head_is_get_without_the_body(secure: Secure, version: str) -> None:
    with getattr(secure, version)() as client:
        found = client.request("HEAD", f"{PATH}?dns={encoded(PLAIN)}")
        whole = client.get(PLAIN)
    assert found.status == 200
    assert found.body == b""
    assert found.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("version", VERSIONS)
def test_headers_say_how_long_to_keep_and_nothing_of_the_server(secure: Secure, version: str) -> None:
    with getattr(secure, version)() as client:
        headers = client.get(PLAIN).headers
    assert set(headers) == {"date", "content-type", "cache-control", "content-length"}
    assert headers["cache-control"] == "private, max-age=5"


AGES = {
    "RFC8484-5.1-smallest-of-the-answer": (samples.SERVICE, wire.A, 5),
    "RFC8484-5.1-record-with-a-ttl-of-its-own": (f"c.west.sky.{samples.ZONE}", wire.AAAA, 60),
    "RFC8484-5.1-no-name": (samples.ABSENT[0], wire.A, 5),
    "RFC8484-5.1-no-data": (samples.SERVICE, wire.MX, 5),
    "RFC8484-5.1-alias-of-nothing": (f"dangling.my-ns.svc.{samples.ZONE}", wire.A, 5),
    "refused": ("example.com", wire.A, 0),
}


@pytest.mark.parametrize("rule", AGES)
def test_age(secure: Secure, rule: str) -> None:
    name, rdtype, age = AGES[rule]
    with secure.http2() as client:
        answer = client.get(wire.query(name, rdtype))
    assert answer.headers["cache-control"] == f"private, max-age={age}"


RECORDS = st.lists(st.tuples(st.integers(0, 1 << 31), st.integers(0, 1 << 31)), max_size=4)


@given(RECORDS, RECORDS)
def test_lifetime_is_the_smallest_ttl_and_negative_ones_are_bound_by_the_soa(
    answers: list[tuple[int, int]], authorities: list[tuple[int, int]]
) -> None:
    """RFC 8484 section 5.1, RFC 2308 section 5."""

    def record(rdtype: int, ttl: int, last: int) -> bytes:
        rdata = b"\0" * 18 + last.to_bytes(4)
        return b"\xc0\x0c" + rdtype.to_bytes(2) + b"\0\1" + ttl.to_bytes(4) + len(rdata).to_bytes(2) + rdata

    body = b"".join(record(wire.TXT, *each) for each in answers)
    body += b"".join(record(wire.SOA, *each) for each in authorities)
    counts = (1, len(answers), len(authorities), 1)
    reply = wire.message(wire.question("x.example") + body + wire.opt(), counts=counts)
    expected = [ttl for ttl, _ in answers] + [min(each) for each in authorities]
    assert lifetime(reply) == min(expected, default=0)


# What is no query

BAD: dict[str, tuple[int, str, str, bytes, dict[str, str]]] = {
    "another path": (404, "GET", f"/other?dns={encoded(PLAIN)}", b"", {}),
    "a path below": (404, "POST", f"{PATH}/x", PLAIN, DNS),
    "the root": (404, "GET", "/", b"", {}),
    "put": (405, "PUT", PATH, PLAIN, DNS),
    "delete": (405, "DELETE", PATH, b"", {}),
    "get without a query": (400, "GET", PATH, b"", {}),
    "get with an empty one": (400, "GET", f"{PATH}?dns=", b"", {}),
    "get with two": (400, "GET", f"{PATH}?dns={encoded(PLAIN)}&dns={encoded(PLAIN)}", b"", {}),
    "padding of base64": (400, "GET", f"{PATH}?dns={encoded(PLAIN[:-1])}=", b"", {}),
    "base64 that is not for URLs": (400, "GET", f"{PATH}?dns=++++{encoded(PLAIN)}", b"", {}),
    "base64 cut short": (400, "GET", f"{PATH}?dns=AAAAA", b"", {}),
    "octets that are no message": (400, "GET", f"{PATH}?dns={encoded(PLAIN[:11])}", b"", {}),
    "a response": (400, "POST", PATH, PLAIN[:2] + b"\x80" + PLAIN[3:], DNS),
    "an empty body": (400, "POST", PATH, b"", DNS),
    "another type": (415, "POST", PATH, PLAIN, {"content-type": "application/json"}),
    "no type": (415, "POST", PATH, PLAIN, {}),
    "a body that is too long": (413, "POST", PATH, bytes(LARGEST + 1), DNS),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_query_is_told_so_in_one_line(secure: Secure, what: str, version: str) -> None:
    status, method, target, body, headers = BAD[what]
    with getattr(secure, version)() as client:
        answer = client.request(method, target, body, headers)
        assert answer.status == status
        assert re.fullmatch(rb"[^\n]+\n", answer.body)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert ("allow" in answer.headers) == (status == 405)
        if version == "http2" or status != 413:
            assert client.get(PLAIN).status == 200, "the connection goes on"


GOOD = {
    "more parameters": f"{PATH}?a=b&dns={encoded(PLAIN)}&c",
    "an escape": f"{PATH}?dns={encoded(PLAIN).replace('A', '%41', 1)}",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", GOOD)
def test_query_may_be_written_in_several_ways(secure: Secure, what: str, version: str) -> None:
    with getattr(secure, version)() as client:
        assert client.request("GET", GOOD[what]).status == 200
        kinds = (MEDIA_TYPE.upper(), f"{MEDIA_TYPE}; a=b")
        assert [client.request("POST", PATH, PLAIN, {"content-type": each}).status for each in kinds] == [
            200,
            200,
        ]


@pytest.mark.parametrize("version", VERSIONS)
def test_largest_message_is_taken(secure: Secure, version: str) -> None:
    with getattr(secure, version)() as client:
        for _ in range(3):
            assert client.post(PLAIN.ljust(LARGEST, b"\xff")).status == 200


@pytest.mark.parametrize("how", ["+https", "+https-get"])
@needs.program("dig")
def test_dig_is_answered(secure: Secure, authority: Authority, how: str) -> None:
    place = ("@127.0.0.1", "-p", str(secure.https_port), f"+tls-ca={authority.ca}", "+tls-hostname=127.0.0.1")
    assert run("dig", how, "+short", *place, samples.SERVICE).split() == ["10.0.0.20"]
    assert len(run("dig", how, "+short", *place, samples.WIDE_NAME).split()) == samples.WIDE
    assert run("dig", how, "+short", "-b", samples.MAPPED, *place, "my-service").split()[-1] == "10.0.0.20"


@pytest.mark.parametrize("how", ["+https", "+https-get"])
@needs.program("kdig")
def test_kdig_is_answered(secure: Secure, authority: Authority, how: str) -> None:
    place = ("@127.0.0.1", "-p", str(secure.https_port), f"+tls-ca={authority.ca}", "+tls-hostname=127.0.0.1")
    assert run("kdig", how, "+short", *place, samples.SERVICE).split() == ["10.0.0.20"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@needs.program("curl")
def test_curl_is_answered(secure: Secure, authority: Authority, version: str, tmp_path: Path) -> None:
    question, body = tmp_path / "question", tmp_path / "body"
    question.write_bytes(WIDE)
    url = f"https://127.0.0.1:{secure.https_port}{PATH}"
    shared = ("curl", "-sS", version, "--cacert", str(authority.ca), "-D", "-")
    posted = ("--data-binary", f"@{question}", "-H", f"Content-Type: {MEDIA_TYPE}", "-o", str(body), url)
    twice = (*posted, "--next", "-sS", version, "--cacert", str(authority.ca), "-o", str(body))
    out = run(*shared, *twice, "-w", "%{num_connects} %{http_code}", f"{url}?dns={encoded(WIDE)}")
    assert out.splitlines()[0].split()[1] == "200"
    assert out.splitlines()[-1] == "0 200", "the connection was kept"
    assert len(wire.read(body.read_bytes()).answers) == samples.WIDE
