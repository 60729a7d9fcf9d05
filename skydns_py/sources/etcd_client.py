"""Talking to one etcd endpoint: TLS, authentication, pages of keys, watches, leases; every call blocks.

``etcd3`` gives the connection, the messages and the generated stubs.  Its own watcher is not used: where
the stream breaks, ``Watcher._run`` (0.13) stumbles over a name it never imports before it has told any
callback, so a lost watch would stay unnoticed for ever.  The stubs are called directly also because the
client's methods put an exception without text in place of etcd's own words.

1. One connection, one endpoint, one channel with its own sockets.  After any failure it is closed and a
   new one made, which reads certificates and password anew, logs in again and dials at once.
2. A peer that is gone without a word (SIGSTOP, power, a cut cable) is found by HTTP/2 pings, 10 s apart
   by default: etcd ends connections that ping more often than every 5 s (--grpc-keepalive-min-time).
   Measured with grpcio 1.85: what bounds the answer to a ping is ``http2.ping_timeout_ms`` (60 s unless
   set); ``keepalive_timeout_ms``, which older ones go by, is no longer enough.
3. Requests are linearizable and the watch demands a leader, so that a member which lost its cluster
   counts as gone instead of being followed in silence.
4. A watch begins at the last revision seen, not the one after: etcd until late 2024 (its pull request
   18274) drops a tombstone at exactly the compacted revision, and a watch from there would miss that
   deletion; 3.5.1 does in our tests.  What comes a second time is dropped by ``listwatch``.
5. No fragments are asked for, so a response holds whole revisions; hence no limit on its size either.
6. Per-watch progress (watch id 0 and up) is exact and moves the revision seen.  The answer to a progress
   request (watch id -1; etcd 3.4 or later) never does; it only tells that a resumed watch has caught up.
   Older servers answer at once, ahead of events (etcd issue 15220), so it is first asked for after their
   round for lagging watches, 0.1 s.  Some never answer where a prefix has no news (issue 17507): after
   10 s one more watch is opened, whose opening then counts as the answer.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; its lines at each retry are no message

import grpc
from etcd3 import etcdrpc
from etcd3.client import Endpoint, MultiEndpointEtcd3Client

from skydns_py.errors import StoreError
from skydns_py.settings import EtcdSource as EtcdSettings
from skydns_py.sources.listwatch import Entry, ListPage, OpenWatch, Origin

__all__ = ["Batch", "Compacted", "Connection", "EtcdSettings", "RpcError", "Timing", "describe"]

PROGRESS_SECONDS = 0.15
PROGRESS_REQUESTS = 66
LEASES_AT_ONCE = 100
_LOG_IN_AGAIN = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT)
_NOISE = re.compile(
    r"^UNKNOWN: |^UNAVAILABLE: |ipv[46]:\S+: |Failed to connect to remote host: |^etcdserver: |: OK$|\.$"
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between pings, for a ping's answer, for a request and for a page of a list."""

    keepalive: float = 10.0
    keepalive_timeout: float = 5.0
    request: float = 5.0
    page: float = 30.0


class Compacted(Exception):
    """The revision asked for is compacted away, or lies in this cluster's future."""


RpcError = grpc.RpcError
"""What a call, or a stream, fails with."""


class Page(NamedTuple):
    """One page of a list; ``token`` is where the next begins, "" after the last."""

    entries: Sequence[Entry]
    origin: Origin
    token: bytes


class Batch(NamedTuple):
    """What a watch brought for ``prefix``: (is a deletion, entry) pairs, or none for a progress notice.

    ``revision`` is the newest that the server knew; without events, all up to it has been delivered.
    """

    prefix: bytes
    events: Sequence[tuple[bool, Entry]]
    revision: int


class Connection:
    """A connection to one endpoint, given as its URL. ``close`` may be called from any thread."""

    def __init__(self, settings: EtcdSettings, url: str, timing: Timing) -> None:
        self._settings = settings
        self._timing = timing
        self._client = MultiEndpointEtcd3Client([_endpoint(settings, url, timing)])
        self._stream: Stream | None = None
        self._ahead: tuple[ListPage, Any] | None = None

    def log_in(self) -> None:
        """Fetch a token where a user is configured; like etcdctl, go without where etcd wants none."""
        if not self._settings.username:
            return
        password = _password(self._settings.password_file)
        request = etcdrpc.AuthenticateRequest(name=self._settings.username, password=password)
        try:
            token = self._client.authstub.Authenticate(request, self._timing.request).token
        except grpc.RpcError as error:
            if "authentication is not enabled" not in (error.details() or ""):
                raise
            return
        self._client.metadata = (("token", token),)

    def origin(self, prefix: bytes) -> Origin:
        """The cluster's state, by one linearizable read below ``prefix`` (any other may be forbidden)."""
        request = etcdrpc.RangeRequest(key=prefix, limit=1, keys_only=True)
        return _origin(_result(self._ask(request, self._timing.request)))

    def page(self, wanted: ListPage) -> Page:
        """The page that ``listwatch`` asks for; Compacted, or grpc.RpcError."""
        ahead, self._ahead = self._ahead, None
        call = ahead[1] if ahead and ahead[0] == wanted else self._ask_page(wanted)
        found = _result(call)
        token = found.kvs[-1].key + b"\0" if found.more else b""
        return Page(found.kvs, _origin(found), token)

    def ask_ahead(self, wanted: ListPage) -> None:
        """Ask for the page that ``page`` is called for next: etcd works on it while we decode the last.

        Took a quarter off the time to list 20 000 keys.
        """
        self._ahead = (wanted, self._ask_page(wanted))

    def watch(self, wanted: OpenWatch) -> "Stream":
        """One stream with a watch for each prefix; end it with ``close`` when it is left."""
        metadata = (("hasleader", "true"), *(self._client.metadata or ()))
        self._stream = Stream(etcdrpc.WatchStub(self._client.channel), wanted, metadata)
        return self._stream

    def lease_seconds(self, leases: Iterable[int]) -> dict[int, int]:
        """What each lease was granted; those that have ended, or could not be asked for, are left out."""
        found: dict[int, int] = {}
        try:
            outdated = self._ask_leases(leases, found)
            if outdated:
                self.log_in()
                self._ask_leases(outdated, found)
        except (grpc.RpcError, grpc.FutureCancelledError, OSError, StoreError):
            pass  # the next put of the key asks again; the stream tells if the connection is gone
        return found

    def close(self) -> None:
        """Break off whatever is under way."""
        if self._stream is not None:
            self._stream.close()
        self._client.close()

    def _ask_page(self, wanted: ListPage) -> Any:
        request = etcdrpc.RangeRequest(
            key=wanted.token or wanted.prefix,
            range_end=_end(wanted.prefix),
            revision=wanted.revision,
            limit=wanted.limit,
        )
        return self._ask(request, self._timing.page)

    def _ask(self, request: Any, seconds: float) -> Any:
        """A call under way; ``_result`` waits for it."""
        return self._client.kvstub.Range.future(request, seconds, metadata=self._client.metadata)

    def _ask_leases(self, leases: Iterable[int], found: dict[int, int]) -> list[int]:
        """Add to ``found``; return those that were refused because the token has expired."""
        wanted, outdated = sorted(leases), list[int]()
        for at in range(0, len(wanted), LEASES_AT_ONCE):
            calls = {lease: self._ask_lease(lease) for lease in wanted[at : at + LEASES_AT_ONCE]}
            for lease, call in calls.items():
                if call.exception() is not None:
                    outdated += [lease] if call.code() in _LOG_IN_AGAIN else []
                elif (granted := call.result().grantedTTL) > 0:
                    found[lease] = granted
        return outdated

    def _ask_lease(self, lease: int) -> Any:
        request = etcdrpc.LeaseTimeToLiveRequest(ID=lease)
        call = self._client.leasestub.LeaseTimeToLive.future
        return call(request, self._timing.request, metadata=self._client.metadata)


def _result(call: Any) -> Any:
    """What a call brings; Compacted, StoreError where it was broken off, or grpc.RpcError."""
    try:
        return call.result()
    except grpc.FutureCancelledError:
        raise StoreError("the connection was closed") from None
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.OUT_OF_RANGE:
            raise Compacted from None
        raise


class Stream:
    """The watches, one for each prefix, on one gRPC stream. Iterate over it; ``close`` ends it."""

    def __init__(self, stub: Any, wanted: OpenWatch, metadata: Sequence[tuple[str, str]]) -> None:
        self._since = wanted.since
        self._prefixes: dict[int, bytes] = {}
        self._closed = threading.Event()
        self._need_progress = threading.Event()
        self._call = stub.Watch(self._requests(), metadata=metadata)

    def __iter__(self) -> Iterator[Batch | None]:
        """What comes; None when all watches are open, and again whenever progress was asked for and came.

        Raises Compacted, StoreError where etcd ends a watch, or grpc.RpcError where the stream breaks.
        """
        for response in self._call:
            if response.compact_revision:
                raise Compacted
            if response.canceled:
                raise StoreError(response.cancel_reason or "etcd ended the watch")
            if response.created and len(self._prefixes) < len(self._since):
                self._prefixes[response.watch_id] = self._since[len(self._prefixes)][0]
                if len(self._prefixes) == len(self._since):
                    yield None
            elif response.watch_id in self._prefixes:
                yield _batch(self._prefixes[response.watch_id], response)
            else:
                self._need_progress.clear()
                yield None
        raise StoreError("etcd ended the stream of watches")

    def ask_progress(self) -> None:
        """Have None come again once everything up to now has been delivered (rule 6)."""
        self._need_progress.set()

    def close(self) -> None:
        """End the stream; whoever iterates is woken by a grpc.RpcError."""
        self._closed.set()
        self._need_progress.set()
        self._call.cancel()

    def _requests(self) -> Iterator[Any]:
        """Runs in a thread of gRPC's: the watches, then progress requests while one is needed."""
        for prefix, revision in self._since:
            yield _watch_request(
                key=prefix, range_end=_end(prefix), start_revision=revision, progress_notify=True
            )
        asked = 0
        while self._need_progress.wait() and not self._closed.wait(PROGRESS_SECONDS):
            asked += 1
            if self._need_progress.is_set() and asked <= PROGRESS_REQUESTS:
                yield etcdrpc.WatchRequest(progress_request=etcdrpc.WatchProgressRequest())
            elif self._need_progress.is_set():
                self._need_progress.clear()
                yield _watch_request(key=self._since[0][0])


def is_unchanged(key: str, revision: int) -> Any:
    """What a transaction compares, so that it fails where the key has another mod revision (0: is there)."""
    compare = etcdrpc.Compare
    return compare(key=key.encode(), target=compare.MOD, result=compare.EQUAL, mod_revision=revision)


def describe(error: Exception, url: str, settings: EtcdSettings) -> str:
    """One line for a person: which etcd cannot be followed, why, and where it is known, what to mend."""
    if isinstance(error, OSError):
        return f"cannot read {error.filename}: {error.strerror}"
    if not isinstance(error, grpc.RpcError):
        return f"etcd at {url}: {error}"
    said = _plain(error.details() or "")
    return f"etcd at {url} {_diagnosis(error.code(), said, settings)}"


def _diagnosis(code: grpc.StatusCode, said: str, settings: EtcdSettings) -> str:
    user = repr(settings.username)
    tls = any(word in said for word in ("CERTIFICATE", "handshake", "SSL", "TLS"))
    cases = (
        (code is grpc.StatusCode.DEADLINE_EXCEEDED, "does not answer"),
        ("authentication failed" in said, f"refuses user {user}: {said}; check username and password_file"),
        ("user name is empty" in said, "wants a user: set username and password_file"),
        (code is grpc.StatusCode.PERMISSION_DENIED, f"forbids user {user} to read: grant it the prefixes"),
        (code is grpc.StatusCode.CANCELLED, "ended the connection"),
        (code is not grpc.StatusCode.UNAVAILABLE, f"refuses: {said} ({code.name})"),
        (tls, f"and this side do not agree on TLS: {said}; check ca, cert and key"),
    )
    return next((text for applies, text in cases if applies), f"cannot be reached: {said}")


def _plain(details: str) -> str:
    """The last in gRPC's chain of reasons, in one line."""
    last = details.rpartition("last error: ")[2] or details
    return " ".join(_NOISE.sub("", last).split())[:300]


def _endpoint(settings: EtcdSettings, url: str, timing: Timing) -> Any:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    credentials = _credentials(settings) if secure else None
    options = _channel_options(timing)
    return Endpoint(host, parts.port or 2379, secure=secure, creds=credentials, time_retry=0, opts=options)


def _channel_options(timing: Timing) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.keepalive_time_ms", int(timing.keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", int(timing.keepalive_timeout * 1000)),
        ("grpc.http2.ping_timeout_ms", int(timing.keepalive_timeout * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),  # or a new channel shares an old one's socket and backoff
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
    )


def _credentials(settings: EtcdSettings) -> Any:
    read = (Path(name).read_bytes() if name else None for name in (settings.ca, settings.key, settings.cert))
    return grpc.ssl_channel_credentials(*read)


def _password(file: str) -> str:
    try:
        return Path(file).read_bytes().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise StoreError(f"{file}: not UTF-8 text") from None


def _watch_request(**fields: Any) -> Any:
    return etcdrpc.WatchRequest(create_request=etcdrpc.WatchCreateRequest(**fields))


def _origin(response: Any) -> Origin:
    header = response.header
    return Origin(header.revision, header.cluster_id, header.raft_term)


def _batch(prefix: bytes, response: Any) -> Batch:
    events = [(event.type == event.DELETE, event.kv) for event in response.events]
    return Batch(prefix, events, response.header.revision)


def _end(prefix: bytes) -> bytes:
    """The first key after all that begin with ``prefix``, which ends in a slash."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
