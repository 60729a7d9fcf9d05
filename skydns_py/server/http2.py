"""HTTP/2 for DNS queries (RFC 9113): octets in, requests to the channel, octets out; ``h2`` has the protocol.

1. Replies that wait for a client's window hold up the next ones: beyond ``turn_octets`` of them, whole
   requests wait unanswered.  Beyond ``HELD`` octets of such requests new ones are refused, to be sent again.
2. A body's octets count against the connection's window until its request is answered: all that are on
   their way together have ``WINDOW`` octets at the most, however many streams they come by.
3. Not more than ``turn_octets`` are given to ``h2`` before others have their turn: a request may have 15
   octets, and takes it some 0.3 ms.
4. ``h2`` remembers each stream that there was.  A client that has used up ``REQUESTS`` is sent away in order.
5. Only a request answered is activity: neither pings nor settings, nor streams that are opened and reset.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from skydns_py.server.doh import LARGEST, Reply, Request, too_long
from skydns_py.server.http1 import HEAD, Channel

STREAMS = 100
"""Requests that a client may have on their way: what RFC 9113 section 6.5.2 wants at least.  Each takes some
3 kB while it lasts."""
WINDOW = 2 * LARGEST
"""Octets of bodies: one that is too long is seen to be so, before its client has to stop sending it."""
HELD = 1 << 16
"""Octets of whole requests that wait to be answered."""
REQUESTS = 10_000
"""Requests on one connection: what ``h2`` remembers of them takes some 1 MB."""

_ERRORS = h2.errors.ErrorCodes
_SETTINGS = h2.settings.SettingCodes


@dataclass(slots=True, eq=False)
class Asked:
    """One stream: its request as far as it is there, then what is left of its reply."""

    method: str
    target: str
    kind: str
    body: bytes = b""
    taken: int = 0
    """Octets of the window that are given back once it is answered."""
    whole: bool = False
    due: bool = False
    """To be answered, or answered already."""
    reply: bytes = b""

    @property
    def size(self) -> int:
        """Octets that it keeps."""
        return len(self.target) + len(self.body)


class Http2:
    """One connection's half that reads, and what waits to be sent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = b""
        self._streams: dict[int, Asked] = {}
        self._ready: deque[int] = deque()
        self._over = False
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        values = {
            _SETTINGS.MAX_CONCURRENT_STREAMS: STREAMS,
            _SETTINGS.MAX_HEADER_LIST_SIZE: HEAD,
            _SETTINGS.INITIAL_WINDOW_SIZE: WINDOW,
        }
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self._h2.decoder.max_header_list_size = HEAD
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW - LARGEST)
        self._flush()

    def receive(self, data: bytes) -> None:
        """More octets."""
        self._buffer += data

    def finish(self) -> None:
        """The connection is idle and will be closed: say so (section 6.8)."""
        if not self._over:
            self._over = True
            self._h2.close_connection()
            self._flush()

    def serve(self) -> bool:
        """Take a turn's worth and answer it; whether more is left."""
        turn = self._channel.turn_octets
        data, self._buffer = self._buffer[:turn], self._buffer[turn:]
        try:
            if data:
                self._take(self._h2.receive_data(data))
            self._answer()
        except h2.exceptions.ProtocolError:  # h2 has the GOAWAY that says which
            self._over = True
        self._flush()
        if self._over:
            self._channel.close()
        return bool(self._buffer) and not self._over

    def _take(self, events: Iterable[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self._begin(event)
            elif isinstance(event, h2.events.DataReceived):
                self._add(event)
            elif isinstance(event, h2.events.StreamEnded):
                self._end(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self._forget(event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._over = True

    def _begin(self, event: h2.events.RequestReceived) -> None:
        """A request's headers; it is refused where too much waits already (rules 1 and 4)."""
        held = sum(self._streams[each].size for each in self._ready if each in self._streams)
        if held > HELD or event.stream_id > 2 * REQUESTS:
            self._h2.reset_stream(event.stream_id, _ERRORS.REFUSED_STREAM)
            return
        headers = {bytes(name): bytes(value).decode("latin-1") for name, value in event.headers}
        method, target, kind = (headers.get(name, "") for name in (b":method", b":path", b"content-type"))
        self._streams[event.stream_id] = Asked(method, target, kind)

    def _add(self, event: h2.events.DataReceived) -> None:
        """A part of a body; one that is too long is answered at once, and nothing more of it is kept."""
        asked = self._streams.get(event.stream_id)
        if asked is None or asked.due:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            return
        asked.taken += event.flow_controlled_length
        asked.body += event.data
        if len(asked.body) > LARGEST:
            self._await(event.stream_id, asked)

    def _end(self, stream_id: int) -> None:
        asked = self._streams.get(stream_id)
        if asked is not None:
            asked.whole = True
            if not asked.due:
                self._await(stream_id, asked)

    def _await(self, stream_id: int, asked: Asked) -> None:
        asked.due = True
        self._ready.append(stream_id)

    def _answer(self) -> None:
        """Send on what waits, and answer as long as little does (rule 1)."""
        for stream_id in [each for each, asked in self._streams.items() if asked.reply]:
            self._send(stream_id, self._streams[stream_id])
        while self._ready and not self._channel.paused and self._waiting() <= self._channel.turn_octets:
            stream_id = self._ready.popleft()
            if asked := self._streams.get(stream_id):
                self._reply(stream_id, asked, self._judge(asked))
                self._flush()
        if self._h2.highest_inbound_stream_id > 2 * REQUESTS and not self._streams:
            self.finish()

    def _judge(self, asked: Asked) -> Reply:
        if len(asked.body) > LARGEST:
            return self._channel.refuse(too_long())
        return self._channel.answer(Request(asked.method, asked.target, asked.kind, asked.body))

    def _waiting(self) -> int:
        return sum(len(asked.reply) for asked in self._streams.values())

    def _reply(self, stream_id: int, asked: Asked, reply: Reply) -> None:
        """Send a reply, or as much of it as the client's window takes."""
        self._h2.acknowledge_received_data(asked.taken, stream_id)
        asked.taken = 0
        headers = [
            (":status", str(reply.status)),
            *(("date", formatdate(usegmt=True)), ("content-type", reply.kind), *reply.headers),
            ("content-length", str(len(reply.body))),
        ]
        asked.body, asked.target = b"", ""
        asked.reply = b"" if asked.method == "HEAD" else reply.body
        self._h2.send_headers(stream_id, headers, end_stream=not asked.reply)
        self._send(stream_id, asked)

    def _send(self, stream_id: int, asked: Asked) -> None:
        while asked.reply:
            window = self._h2.local_flow_control_window(stream_id)
            most = min(window, self._h2.max_outbound_frame_size)
            if most <= 0:
                return
            part, asked.reply = asked.reply[:most], asked.reply[most:]
            self._h2.send_data(stream_id, part, end_stream=not asked.reply)
        if not asked.whole:  # the rest of its body is not wanted (section 8.1)
            self._h2.reset_stream(stream_id, _ERRORS.NO_ERROR)
        del self._streams[stream_id]

    def _forget(self, stream_id: int) -> None:
        """The client does not want it any more."""
        asked = self._streams.pop(stream_id, None)
        if asked is not None:
            self._h2.acknowledge_received_data(asked.taken, stream_id)

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._channel.write(data)
