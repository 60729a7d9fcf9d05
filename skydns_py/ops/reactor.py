"""Twisted's reactor, without the TLS that it would load for nothing."""

import sys
from typing import Any


def the_reactor() -> Any:
    """Twisted's reactor; importing it chooses and installs it.

    Where pyOpenSSL is installed, Twisted's TCP imports it for ``startTLS``, which nothing here uses: 12 MB
    and 70 ms at the start of a program that has no TLS configured.  Twisted does without what it cannot
    import, so that is what it finds; ``server.tls`` imports it all the same, and puts TLS around TCP itself.
    """
    if "OpenSSL" in sys.modules:
        return _imported()
    sys.modules["OpenSSL"] = None  # type: ignore[assignment]  # what makes an import fail, as documented
    try:
        return _imported()
    finally:
        del sys.modules["OpenSSL"]


def _imported() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415  # the moment is the point

    return reactor
