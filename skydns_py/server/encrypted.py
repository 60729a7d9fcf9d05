"""Opens the encrypted transports; imported only where one is configured: TLS costs time and memory."""

from typing import Any

from skydns_py.errors import ConfigError
from skydns_py.server.connection import Places
from skydns_py.server.handler import Handler
from skydns_py.server.listen import open_streams
from skydns_py.server.tls import DOT, Credentials, DotFactory, TlsFactory, answer_padded
from skydns_py.settings import HostPort, Settings


def open_encrypted(
    found: Settings, handler: Handler, places: Places, reactor: Any, backlog: int
) -> dict[str, list[Any]]:
    """The listening ports of ``TLS`` and ``HTTPS``, where configured; ConfigError where that cannot be."""
    credentials = Credentials(found.tls.cert, found.tls.key, places.counters)
    opened: dict[str, list[Any]] = {}

    def open_all(name: str, listen: tuple[HostPort, ...], factory: TlsFactory) -> None:
        addresses = [(place.host, place.port) for place in listen]
        opened[name] = open_streams(addresses, factory, reactor, backlog, f"{name.lower()}.listen")

    try:
        if found.tls.listen:
            dot = TlsFactory(credentials, DOT, DotFactory(handler, places), reactor)
            open_all("TLS", found.tls.listen, dot)
        if found.https.listen:
            doh = _https_factory(credentials, found.https.path, handler, places, reactor)
            open_all("HTTPS", found.https.listen, doh)
    except ConfigError:
        for port in opened.get("TLS", ()):
            port.stopListening()
        raise
    return opened


def _https_factory(
    credentials: Credentials, path: str, handler: Handler, places: Places, reactor: Any
) -> TlsFactory:
    from skydns_py.server.doh import Resource  # noqa: PLC0415  # h2 is for HTTPS alone
    from skydns_py.server.https import PROTOCOLS, HttpsFactory  # noqa: PLC0415  # likewise

    def answer(message: bytes, host: str) -> bytes | None:
        places.counters.https += 1
        return answer_padded(handler, message, host)

    factory = HttpsFactory(places, Resource(path, answer, places.counters))
    return TlsFactory(credentials, PROTOCOLS, factory, reactor)
