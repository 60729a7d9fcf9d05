"""HTTP/1.1 for DNS queries (RFC 9112): octets in, requests to the channel, octets out.

1. Strict: what two servers could take apart in two ways is refused and ends the connection (section 11.2), so
   that nobody hides one request in another: lines end in CRLF, a name is not followed by a space, nothing is
   folded, a length is given once.
2. A body needs a length.  A chunked one is refused with 411, as section 6.3 lets a server do: a query is made
   before it is sent, so that its size is known.
3. Requests are answered in their order, each before the next is looked at.
4. A connection stays open unless its client asks otherwise; for HTTP/1.0 it is closed.
"""

import re
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

from skydns_py.server.doh import LARGEST, NoQuery, Reply, Request, too_long

HEAD = 16384
"""Octets of request line and header lines: a query of 12 000 octets fits into GET.  One connection keeps no
more, and one body beside it."""

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rf"({_NAME}) ([!-~]+) HTTP/1\.([01])")
_FIELD = re.compile(rf"({_NAME}):([^\x00-\x08\x0a-\x1f\x7f]*)")
_ORIGIN = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_ONCE = ("host", "content-length", "content-type")


class Channel(Protocol):
    """The connection under it."""

    @property
    def paused(self) -> bool:
        """Whether replies wait to be read."""

    @property
    def turn_octets(self) -> int:
        """What may be answered before others have their turn."""

    def answer(self, request: Request) -> Reply:
        """The reply to a whole request."""

    def refuse(self, error: NoQuery) -> Reply:
        """The reply to what is none."""

    def write(self, octets: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """End the connection once everything is sent."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body, which has ``length`` octets."""

    method: str
    target: str
    kind: str
    length: int
    keep: bool
    expects: bool


class Http1:
    """One connection's half that reads."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = b""
        self._head: Head | None = None

    def receive(self, data: bytes) -> None:
        """More octets."""
        self._buffer += data

    def finish(self) -> None:
        """The connection is idle and will be closed: nothing need be said."""

    def serve(self) -> bool:
        """Answer every whole request, as long as replies are being read; nothing is left for another turn."""
        more = True
        while more and not self._channel.paused:
            try:
                more = self._step()
            except NoQuery as error:
                self._write(self._channel.refuse(error), keep=False)
                more = False
        return False

    def _step(self) -> bool:
        """Read a head, or answer the request whose body is there; False where neither is whole."""
        if self._head is None:
            return self._read_head()
        head = self._head
        if len(self._buffer) < head.length:
            return False
        body, self._buffer, self._head = self._buffer[: head.length], self._buffer[head.length :], None
        reply = self._channel.answer(Request(head.method, head.target, head.kind, body))
        self._write(reply, keep=head.keep, bare=head.method == "HEAD")
        return head.keep

    def _read_head(self) -> bool:
        buffer = self._buffer = self._buffer.lstrip(b"\r\n")  # before a request line (section 2.2)
        end = buffer.find(b"\r\n\r\n", 0, HEAD)
        if end < 0:
            if len(buffer) >= HEAD:
                raise _too_large(buffer)
            return False
        self._buffer = buffer[end + 4 :]
        self._head = parse(buffer[:end].decode("latin-1"))
        if self._head.expects and len(self._buffer) < self._head.length:
            self._channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _write(self, reply: Reply, *, keep: bool, bare: bool = False) -> None:
        fields = [
            *(("date", formatdate(usegmt=True)), ("content-type", reply.kind), *reply.headers),
            ("content-length", str(len(reply.body))),
            *(() if keep else (("connection", "close"),)),
        ]
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name.title()}: {value}" for name, value in fields]
        self._channel.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if bare else reply.body))
        if not keep:
            self._channel.close()


def parse(text: str) -> Head:
    """The head in ``text``, without the empty line that ends it; NoQuery where rule 1 is broken."""
    first, *lines = text.split("\r\n")
    line = _LINE.fullmatch(first)
    if not line:
        raise _bad("the request line is not METHOD TARGET HTTP/1.1")
    fields = _fields(lines)
    if line[3] == "1" and "host" not in fields:
        raise _bad("the header Host is missing")
    options = [each.strip() for each in fields.get("connection", "").lower().split(",")]
    return Head(
        method=line[1],
        target=_ORIGIN.sub("", line[2], count=1) if line[2][0] != "/" else line[2],
        kind=fields.get("content-type", ""),
        length=_length(fields),
        keep=line[3] == "1" and "close" not in options,
        expects=line[3] == "1" and fields.get("expect", "").lower() == "100-continue",
    )


def _fields(lines: list[str]) -> dict[str, str]:
    """Header fields by their lower-case names; those given twice are joined, where they may be."""
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if not found:
            raise _bad("a header line is not NAME: VALUE")
        name, value = found[1].lower(), found[2].strip(" \t")
        if name in fields and name in _ONCE:
            raise _bad(f"the header {name} is given twice")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _length(fields: dict[str, str]) -> int:
    if "transfer-encoding" in fields:
        if "content-length" in fields:
            raise _bad("Transfer-Encoding and Content-Length exclude each other")
        raise NoQuery(HTTPStatus.LENGTH_REQUIRED, "send the body with Content-Length")
    text = fields.get("content-length", "0")
    if not re.fullmatch(r"[0-9]+", text):
        raise _bad("Content-Length is not a number")
    if len(text) > 15 or int(text) > LARGEST:
        raise too_long()
    return int(text)


def _bad(text: str) -> NoQuery:
    return NoQuery(HTTPStatus.BAD_REQUEST, text)


def _too_large(buffer: bytes) -> NoQuery:
    if b"\r\n" not in buffer:
        return NoQuery(HTTPStatus.REQUEST_URI_TOO_LONG, f"more than {HEAD} octets; use POST")
    return NoQuery(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers of more than {HEAD} octets")
