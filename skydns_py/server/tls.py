"""TLS under DNS (RFC 7858, RFC 8310) and under HTTPS: the certificate, and how a connection is agreed on.

1. TLS 1.2 at least, and of 1.2 only what has forward secrecy and authenticated encryption (RFC 9325 section
   4).  No compression, no renegotiation; a session is resumed by its ticket, so that the server keeps none.
2. A client that offers protocols by ALPN offers one of ours, or is refused (RFC 7301 section 3.2): what was
   meant for a web server is not answered by DNS.  One that offers none is welcome.
3. The certificate's files are read again at every new connection and compared: 30 µs beside a handshake's
   milliseconds, and no change is missed, however the files are replaced.
4. A changed pair that cannot be used, as one written by half, leaves the one before in use.  One line says so
   for each such content; the next connection looks again.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from skydns_py.answers.padding import padded
from skydns_py.dataplane.counters import Counters
from skydns_py.errors import ConfigError
from skydns_py.server.handler import Handler
from skydns_py.server.tcp import StreamFactory

log = logging.getLogger("skydns")

DOT = (b"dot",)
"""DNS over TLS, as it is registered for ALPN."""
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; 1.3 has none but such."""
MOST = 1 << 20
"""Octets read of either file: a chain has some 10 000."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, with what is sent after it, and its key."""

    chain: tuple[Certificate, ...]
    key: Any

    def context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        """What a connection that speaks one of ``protocols`` is made of (rules 1 and 2); raises SSL.Error."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_alpn_select_callback(lambda _, offered: _choose(protocols, offered))
        context.use_certificate(self.chain[0])
        for each in self.chain[1:]:
            context.add_extra_chain_cert(each)
        context.use_privatekey(self.key)
        context.check_privatekey()
        return context


def _choose(protocols: tuple[bytes, ...], offered: list[bytes]) -> bytes:
    chosen = next((each for each in protocols if each in offered), None)
    if chosen is None:
        raise SSL.Error([("", "", "no application protocol")])  # which has the alert sent
    return chosen


class Credentials:
    """The pair that the files ``cert`` and ``key`` hold (PEM), with the chain after the certificate.

    Raises ConfigError where they cannot be used at the start.
    """

    def __init__(self, cert: str, key: str, counters: Counters) -> None:
        self._paths = cert, key
        self._counters = counters
        self._problem = ""
        self._seen = self._read()
        self._pair = self._load(self._seen)

    def pair(self) -> Pair:
        """The pair to use now, by the files as they are now (rules 3 and 4)."""
        try:
            self._refresh()
        except ConfigError as error:
            if str(error) != self._problem:
                log.warning("%s; the certificate before it stays in use", error)
            self._problem = str(error)
        return self._pair

    def _refresh(self) -> None:
        found = self._read()
        if found == self._seen:
            return
        self._seen, self._problem = found, ""
        self._pair = self._load(found)
        log.info("new connections get the new certificate of %s", self._paths[0])

    def _read(self) -> tuple[bytes, bytes]:
        cert, key = self._paths
        return _read("tls.cert", cert), _read("tls.key", key)

    def _load(self, contents: tuple[bytes, bytes]) -> Pair:
        cert, key = self._paths
        try:
            chain = tuple(load_pem_x509_certificates(contents[0]))
        except ValueError:
            raise ConfigError(f"tls.cert: {cert}: no certificate in PEM form") from None
        try:
            pair = Pair(chain, load_pem_private_key(contents[1], None))
        except TypeError:
            raise ConfigError(f"tls.key: {key}: has a passphrase; take it off with openssl pkey") from None
        except ValueError:
            raise ConfigError(f"tls.key: {key}: no private key in PEM form") from None
        try:
            pair.context(())
        except SSL.Error as error:
            raise ConfigError(f"tls.cert: {cert} and {key} cannot be used: {_reason(error)}") from None
        self._note_end(chain[0].not_valid_after_utc)
        return pair

    def _note_end(self, end: datetime) -> None:
        self._counters.certificate_ends = end.timestamp()
        if end < datetime.now(UTC):
            log.warning("tls.cert: %s: not valid since %s; clients will refuse it", self._paths[0], end)


def _read(key: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MOST)
    except OSError as error:
        raise ConfigError(f"{key}: {path}: {error.strerror}") from None


def _reason(error: SSL.Error) -> str:
    return str(error.args[0][-1][-1]) if error.args and error.args[0] else "OpenSSL does not say why"


@implementer(IOpenSSLServerConnectionCreator)
class Agreement:
    """Makes the TLS half of each connection, with the certificate of this moment."""

    def __init__(self, credentials: Credentials, protocols: tuple[bytes, ...]) -> None:
        self._credentials = credentials
        self._protocols = protocols
        self._pair = credentials.pair()
        self._context = self._pair.context(protocols)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that Twisted feeds."""
        pair = self._credentials.pair()
        if pair is not self._pair:
            self._pair, self._context = pair, pair.context(self._protocols)
        return SSL.Connection(self._context, None)


class TlsFactory(TLSMemoryBIOFactory):
    """TLS around another factory's connections."""

    protocol = TLSMemoryBIOProtocol
    """Without Twisted's buffer of 64 kB: it would hide from ``Connection`` that a client does not read, and
    lose replies to one that ends its half together with its query."""

    def __init__(
        self, credentials: Credentials, protocols: tuple[bytes, ...], inner: Any, reactor: Any
    ) -> None:
        agreement: Any = Agreement(credentials, protocols)
        super().__init__(agreement, False, inner, reactor)


class DotFactory(StreamFactory):
    """DNS over TLS, inside: as TCP, with padding."""

    def answer(self, message: bytes, host: str) -> bytes | None:
        """See ``StreamFactory.answer``."""
        self.places.counters.tls += 1
        return answer_padded(self._handler, message, host)


def answer_padded(handler: Handler, message: bytes, host: str) -> bytes | None:
    """The reply to a message that came encrypted, as long as it should seem; None where none is due."""
    reply = handler.handle_stream(message, host)
    return None if reply is None else padded(message, reply)
