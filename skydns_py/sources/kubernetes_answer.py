"""What the API server's answers mean: JSON, lines of a watch, refusals; all bounded, all errors one line."""

import http
import http.client
import json
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from skydns_py.errors import StoreError

LARGEST_ANSWER = 64 << 20
"""Bytes of one answer.  A page of 500 Pods of 20 KB, which is a large one, is 10 MB; what it may hold in
theory, 500 objects of etcd's 1.5 MiB, would be 750 MB, and several times that once decoded.  Whoever can
write objects could fill our memory so; a page too large is refused, and a smaller ``limit`` reads it."""
LONGEST_LINE = 16 << 20
"""Bytes of one event of a watch: one object, at most etcd's 1.5 MiB as protobuf, a few times that as JSON."""
LARGEST_REFUSAL = 1 << 20
"""Bytes that are read of an answer that is no success; the API's are some hundreds."""
LONGEST_MESSAGE = 600
"""Characters of a server's words that a message carries."""
MOST_RETRY_SECONDS = 3600.0
"""The longest wait that is taken from a server; it asks for 1 s when it is busy."""


class ApiError(StoreError):
    """An HTTP status that is no success; the text names method, path and what the server said.

    ``reason`` is the API's own word (NotFound, AlreadyExists, Conflict, Expired, Gone, Forbidden), or
    HTTP's where something else answered; ``retry_seconds`` is what it asks to wait, 0 where it does not say.
    """

    def __init__(self, text: str, status: int, reason: str, retry_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.retry_seconds = retry_seconds


class Unusable(Exception):
    """An answer that is none: the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer."""

    status: int
    reason: str
    kind: str
    retry_after: str
    location: str

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> "Answer":
        """What is used of a response's head."""
        kind, retry_after, location = (
            one_line(response.getheader(name) or "") for name in ("Content-Type", "Retry-After", "Location")
        )
        kind = kind.partition(";")[0].strip().lower()
        return cls(response.status, one_line(response.reason), kind, retry_after, location)


def document(content: bytes, kind: str = "") -> dict[str, Any]:
    """The JSON object of a body; ``kind`` is the media type it came with.  Raises Unusable."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        what = f"with {kind}, " if kind not in ("", "application/json") else ""
        raise Unusable(f"answered {what}no JSON: is this the API server's address?") from None
    if not isinstance(found, dict):
        raise Unusable("answered with JSON that is no object")
    return found


def bounded(pieces: Iterable[bytes], most: int = LARGEST_ANSWER) -> Iterator[bytes]:
    """The pieces of one body; raises Unusable after ``most`` bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise Unusable(f"the answer is over {most >> 20} MB: ask for fewer objects at once")
        yield piece


def lines(pieces: Iterable[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a stream without blank ones, each copied once however many pieces it comes in.

    Raises Unusable where one is longer than ``longest`` bytes, and where the last has no end.
    """
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for end in ended:
            if line := b"".join((*held, end)).strip():
                yield line
            held.clear()
            size = 0
        held.append(rest)
        size += len(rest)
        if size > longest:
            raise Unusable(f"an event is over {longest >> 20} MB")
    if size:
        raise Unusable("the stream ended in the middle of an event")


def refusal(request: str, answer: Answer, pieces: Iterable[bytes]) -> ApiError:
    """The error that an answer other than success is; ``request`` is its method and path."""
    content = bytearray()
    with suppress(OSError, http.client.HTTPException):
        for piece in pieces:
            content += piece
            if len(content) > LARGEST_REFUSAL:
                break
    said = _status(bytes(content))
    reason = one_line(said["reason"]) if isinstance(said.get("reason"), str) else answer.reason
    head = f"{answer.status} {reason}".strip()
    text = ": ".join(filter(None, (request, head, _words(answer, said, bytes(content)))))
    return ApiError(text, answer.status, reason, _retry_seconds(answer, said))


def _status(content: bytes) -> dict[str, Any]:
    """The API's Status object, {} where something else answered."""
    with suppress(Unusable):
        found = document(content)
        if found.get("kind") == "Status":
            return found
    return {}


def _words(answer: Answer, said: dict[str, Any], content: bytes) -> str:
    if answer.status == http.HTTPStatus.UNAUTHORIZED:
        return "the server does not know this token or certificate, or it has expired"
    if said:
        message = said.get("message")
        return one_line(message) if isinstance(message, str) else ""
    if 300 <= answer.status < 400 and answer.location:
        return f"name {answer.location} as the server"
    if answer.kind == "application/json":
        return "an answer that is not the API's own"
    if answer.kind == "text/html":
        return "an HTML page: a proxy or another server answered, not the API server"
    return one_line(content[: 4 * LONGEST_MESSAGE].decode("utf-8", "replace"))


def _retry_seconds(answer: Answer, said: dict[str, Any]) -> float:
    """Retry-After in seconds (RFC 9110 section 10.2.3; the API sends no dates), or the Status' own."""
    details = said.get("details")
    asked = details.get("retryAfterSeconds") if isinstance(details, dict) else 0
    if answer.retry_after.isdecimal() and len(answer.retry_after) < 10:
        asked = int(answer.retry_after)
    return float(min(max(asked, 0), MOST_RETRY_SECONDS)) if isinstance(asked, int) else 0.0


def one_line(text: str) -> str:
    """A server's words as one printable line of bounded length."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 4 * LONGEST_MESSAGE])
    words = " ".join(printable.split())
    return words if len(words) <= LONGEST_MESSAGE else words[: LONGEST_MESSAGE - 1] + "…"


def why(error: Exception, seconds: float) -> str:
    """What a failure of a connection means to a person; ``seconds`` is how long was waited at most."""
    for kind, text in _MEANINGS:
        if isinstance(error, kind):
            return text.format(seconds=f"{seconds:g}", error=one_line(_bare(error)))
    return one_line(_bare(error))


def _bare(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error).partition(" (_ssl.c")[0]).lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timed out after {seconds} s"),
    (socket.gaierror, "{error}: is the server's name right?"),
    (ssl.SSLCertVerificationError, "its certificate is not accepted: {error}"),
    (ssl.SSLError, "no TLS connection: {error}"),
    (http.client.RemoteDisconnected, "it closed the connection without an answer"),
    (http.client.IncompleteRead, "the connection ended in the middle of the answer"),
    (http.client.BadStatusLine, "it does not speak HTTP, or wants https"),
    (http.client.InvalidURL, "no path to ask for: {error}"),
)
