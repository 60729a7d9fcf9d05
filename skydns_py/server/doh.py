"""DNS queries over HTTP (RFC 8484): what a request asks and what it is replied, in any version of HTTP.

1. What is a DNS query is answered with 200, whatever its response code (section 4.2.1).  4xx is for what is
   no query, with one line that says why.
2. ``max-age`` is how long the answer may be kept (section 5.1).  It is ``private``: a short name means
   something else for another client, so that no shared cache may keep it.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

from skydns_py.answers.lifetime import lifetime
from skydns_py.dataplane.counters import Counters
from skydns_py.errors import SkydnsError

MEDIA_TYPE = "application/dns-message"
TEXT = "text/plain; charset=utf-8"
LARGEST = 65535
"""Octets of a DNS message, and so of a body that is taken (RFC 8484 section 6)."""
METHODS = ("GET", "HEAD", "POST")

Answer = Callable[[bytes, str], bytes | None]
"""A DNS message and the client's address, to the reply, or None where none is due."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. ``target`` is a path and perhaps a query, ``kind`` the Content-Type, "" without."""

    method: str
    target: str
    kind: str = ""
    body: bytes = b""


class Reply(NamedTuple):
    """What a request is replied; ``headers``, with lower-case names, beside type, length and date."""

    status: int
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


class NoQuery(SkydnsError):
    """A request that asks nothing: its status and one line."""

    def __init__(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.reply = Reply(int(status), f"{text}\n".encode(), TEXT, headers)


class Resource:
    """What is found at ``path``; everything else is not there."""

    def __init__(self, path: str, answer: Answer, counters: Counters) -> None:
        self._path = path
        self._answer = answer
        self._counters = counters

    def reply(self, request: Request, host: str) -> Reply:
        """The reply to the client at the address ``host``."""
        try:
            reply = self._query(request, host)
        except NoQuery as error:
            reply = error.reply
        return self.count(reply)

    def count(self, reply: Reply) -> Reply:
        """The same, counted."""
        statuses = self._counters.https_statuses
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
        return reply

    def _query(self, request: Request, host: str) -> Reply:
        path, _, parameters = request.target.partition("?")
        if path != self._path:
            raise NoQuery(HTTPStatus.NOT_FOUND, f"nothing is here; DNS queries go to {self._path}")
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            raise NoQuery(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}", ("allow", allowed))
        message = _posted(request) if request.method == "POST" else _parameter(parameters)
        answer = self._answer(message, host)
        if answer is None:
            raise NoQuery(HTTPStatus.BAD_REQUEST, "that is no DNS query")
        kept = ("cache-control", f"private, max-age={lifetime(answer)}")
        return Reply(int(HTTPStatus.OK), answer, MEDIA_TYPE, (kept,))


def too_long() -> NoQuery:
    """A body that no DNS message has."""
    return NoQuery(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a DNS message has {LARGEST} octets at the most")


def _posted(request: Request) -> bytes:
    if request.kind.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise NoQuery(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a POST carries {MEDIA_TYPE}")
    if len(request.body) > LARGEST:
        raise too_long()
    return request.body


def _parameter(parameters: str) -> bytes:
    """The message in ``dns=``: base64url without padding (RFC 8484 section 6, RFC 4648 section 5)."""
    found = [
        value for name, _, value in (each.partition("=") for each in parameters.split("&")) if name == "dns"
    ]
    if len(found) != 1:
        raise NoQuery(HTTPStatus.BAD_REQUEST, "give the query once, in the parameter dns")
    text = unquote(found[0])
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise NoQuery(HTTPStatus.BAD_REQUEST, "dns is base64url without padding")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise NoQuery(HTTPStatus.BAD_REQUEST, "dns is base64url, and ends too early") from None
