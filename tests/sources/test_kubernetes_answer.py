"""What the client of the Kubernetes API makes of answers, good and bad."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_answer import LARGEST_ANSWER, LONGEST_LINE, Unusable, lines
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from tests.kube_api import KubeApi
from tests.sources.scripted_http import ScriptedHttp, always, answer, client_of, one_line, said

WATCH = "/api/v1/services?watch=1&resourceVersion=0"
SERVICES = "/api/v1/services"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        yield running


@pytest.fixture
def client(api: KubeApi) -> Iterator[ApiClient]:
    with closing(ApiClient(api.access, 10)) as made:
        yield made


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def status(code: int, reason: str, message: str, **details: Any) -> bytes:
    told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return json.dumps({**told, "code": code, "details": details}).encode()


class TestRefusals:
    def error(self, *pieces: bytes) -> ApiError:
        with ScriptedHttp(always(*pieces)) as server, client_of(server.access) as client:
            with pytest.raises(ApiError) as caught:
                client.call("GET", f"{SERVICES}?limit=5&continue=abc")
            one_line(caught.value)
            return caught.value

    @pytest.mark.parametrize(
        ("code", "reason"),
        [(400, "BadRequest"), (404, "NotFound"), (409, "Conflict"), (410, "Expired"), (500, "InternalError")],
    )
    def test_what_the_api_says_is_told_with_its_reason(self, code: int, reason: str) -> None:
        error = self.error(answer(status(code, reason, "so\nit is"), f"{code} X"))
        assert (error.status, error.reason, error.retry_seconds) == (code, reason, 0.0)
        assert str(error) == f"GET /api/v1/services: {code} {reason}: so it is"

    def test_a_missing_permission_is_named(self, api: KubeApi, client: ApiClient) -> None:
        api.refuse(403)
        expected = '403 Forbidden: services is forbidden: User "system:.*" cannot list resource "services"'
        with pytest.raises(ApiError, match=expected):
            client.call("GET", SERVICES)

    def test_an_unknown_token_is_told_from_a_missing_permission(
        self, api: KubeApi, client: ApiClient
    ) -> None:
        api.token = "another"
        with pytest.raises(ApiError, match="does not know this token or certificate, or it has expired"):
            client.call("GET", SERVICES)

    @pytest.mark.parametrize(
        ("header", "details", "seconds"),
        [
            ("7", {}, 7.0),
            ("", {"retryAfterSeconds": 3}, 3.0),
            ("7", {"retryAfterSeconds": 3}, 7.0),
            ("999999", {}, 3600.0),
            ("9" * 5000, {}, 0.0),
            ("-1", {}, 0.0),
            ("soon", {"retryAfterSeconds": "x"}, 0.0),
            ("Mon, 23 Nov 2026 15:06:24 GMT", {}, 0.0),
            ("", {"retryAfterSeconds": 1e999}, 0.0),
        ],
    )
    def test_what_it_asks_to_wait_is_kept_and_bounded(
        self, header: str, details: dict[str, Any], seconds: float
    ) -> None:
        body = status(429, "TooManyRequests", "busy", **details)
        headers = (f"Retry-After: {header}",) if header else ()
        error = self.error(answer(body, "429 Too Many Requests", *headers))
        assert (error.reason, error.retry_seconds) == ("TooManyRequests", seconds)

    def test_a_page_of_a_proxy_is_no_answer_of_the_api(self) -> None:
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        error = self.error(answer(page, "502 Bad Gateway", "Content-Type: text/html; charset=utf-8"))
        assert str(error).startswith(
            "GET /api/v1/services: 502 Bad Gateway: an HTML page: a proxy or another"
        )

    def test_plain_words_are_told(self) -> None:
        error = self.error(answer(b"404 page not found\n", "404 Not Found", "Content-Type: text/plain"))
        assert str(error) == "GET /api/v1/services: 404 Not Found: 404 page not found"

    def test_a_redirection_is_not_followed_but_told(self) -> None:
        error = self.error(answer(b"", "302 Found", "Location: https://login.example.com/"))
        assert "302 Found: name https://login.example.com/ as the server" in str(error)

    def test_a_long_answer_is_cut(self) -> None:
        assert str(self.error(answer(b"x" * 3_000_000, "500 Oops"))).endswith("x…")

    def test_a_refusal_without_end_is_read_no_further(self) -> None:
        def script(request: str) -> Iterator[bytes]:
            yield CHUNKED.replace(b"200 OK", b"500 Oops")
            yield from itertools.repeat(chunk(b"x" * 65536))

        with ScriptedHttp(script) as server, client_of(server.access, 60) as client:
            began = time.monotonic()
            with pytest.raises(ApiError, match="500 Oops: xxx"):
                client.call("GET", SERVICES)
            assert time.monotonic() - began < 10

    def test_a_refusal_that_breaks_off_is_still_a_refusal(self) -> None:
        assert self.error(b"HTTP/1.1 503 Busy\r\nContent-Length: 50\r\n\r\nx", b"").status == 503


class TestAnswers:
    @pytest.mark.parametrize(
        ("pieces", "expected"),
        [
            (
                [answer(b"<html>", "200 OK", "Content-Type: text/html")],
                "answered with text/html, no JSON: is this",
            ),
            ([answer(b'{"a": ')], "answered no JSON"),
            ([answer(b"")], "answered no JSON"),
            ([answer(b"[" * 100_000)], "answered no JSON"),
            ([answer(b"[1]")], "JSON that is no object"),
            ([answer(b'{"a": "\xff"}')], "answered no JSON"),
            ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b""], "ended in the middle of the answer"),
            ([CHUNKED, b"5\r\n{}", b""], "ended in the middle of the answer"),
            ([CHUNKED, b"zz\r\n{}", b""], "ended in the middle of the answer"),
            ([b"SSH-2.0-OpenSSH_9.2\r\n", b""], "does not speak HTTP"),
            ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"], "headers"),
            ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"], "line"),
        ],
    )
    def test_what_is_no_answer_of_the_api_is_told(self, pieces: list[bytes], expected: str) -> None:
        assert expected in said(always(*pieces))

    @given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda b: CHUNKED + b)))
    @settings(max_examples=60, deadline=None)
    def test_whatever_a_server_says_is_told_in_one_line(self, content: bytes) -> None:
        with ScriptedHttp(always(content or b"\0", b"")) as server, client_of(server.access) as client:
            for ask in (lambda: client.call("GET", SERVICES), lambda: list(client.stream(WATCH, 10))):
                try:
                    ask()
                except StoreError as error:
                    one_line(error)

    def test_an_answer_may_not_fill_the_memory(self) -> None:
        piece = chunk(b" " * (1 << 20))
        assert "the answer is over 64 MB" in said(always(CHUNKED, *[piece] * ((LARGEST_ANSWER >> 20) + 1)))

    def test_an_event_may_not_fill_the_memory(self) -> None:
        piece = chunk(b" " * (1 << 20))
        script = always(CHUNKED, *[piece] * ((LONGEST_LINE >> 20) + 1))
        with ScriptedHttp(script) as server, client_of(server.access) as client:
            events = client.stream(WATCH, 10)
            with pytest.raises(StoreError, match="an event is over 16 MB"):
                next(events)

    @pytest.mark.parametrize(
        ("end", "expected"),
        [
            (chunk(b'{"n":') + b"0\r\n\r\n", "ended in the middle of an event"),
            (chunk(b"oops\n"), "answered no JSON"),
            (chunk(b"[]\n"), "no object"),
        ],
    )
    def test_a_watch_tells_its_events_until_it_breaks(self, end: bytes, expected: str) -> None:
        script = always(CHUNKED, chunk(b'{"n":1}\n{"n"'), chunk(b":2}\n\n"), end)
        with ScriptedHttp(script) as server, client_of(server.access) as client:
            events = client.stream(WATCH, 10)
            assert [next(events), next(events)] == [{"n": 1}, {"n": 2}]
            with pytest.raises(StoreError, match=expected):
                next(events)

    @given(st.binary(max_size=60).map(lambda each: each + b"\n"), st.lists(st.integers(0, 60)))
    def test_lines_are_the_same_however_they_come(self, content: bytes, cuts: list[int]) -> None:
        places = [0, *sorted(cuts), len(content)]
        pieces = [content[one:two] for one, two in itertools.pairwise(places)]
        assert list(lines(pieces)) == [each.strip() for each in content.split(b"\n") if each.strip()]

    @given(st.lists(st.binary(max_size=8), max_size=20))
    def test_a_line_is_refused_by_its_length_however_it_comes(self, pieces: list[bytes]) -> None:
        *ended, _ = b"".join(pieces).split(b"\n")
        try:
            list(lines([*pieces, b"\n"], longest=16))
        except Unusable:
            assert max(map(len, b"".join(pieces).split(b"\n"))) > 8
        else:
            assert max(map(len, ended), default=0) <= 16 + 8
