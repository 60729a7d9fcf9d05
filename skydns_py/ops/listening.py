"""Opens the pages where the settings put them."""

import logging
from typing import Any

from twisted.internet.error import CannotListenError

from skydns_py.errors import ConfigError
from skydns_py.ops.pages import Answer, Site
from skydns_py.settings import HostPort, HttpSettings

log = logging.getLogger("skydns")


def listen(
    http: HttpSettings, default: HttpSettings, pages: dict[str, Answer], reactor: Any, key: str = "http"
) -> list[Any]:
    """The listening ports of ``pages``, by their names in ``HttpSettings``; those on one address together.

    ``key`` is where these settings stand.  A default address that is taken is done without; one that was
    asked for raises ConfigError, which says where that was.
    """
    places: dict[HostPort, dict[str, Answer]] = {}
    for name, answer in pages.items():
        if (place := getattr(http, name)) is not None:
            places.setdefault(place, {})[name] = answer
    listening = []
    for place, there in places.items():
        try:
            listening.append(reactor.listenTCP(place.port, Site(there), interface=place.host))
        except CannotListenError as error:
            names = ", ".join(f"/{name}" for name in there)
            asked = next((where for name in there if (where := getattr(http, name).where)), "")
            if asked or place not in (default.health, default.ready, default.metrics):
                reason = getattr(error.socketError, "strerror", None) or error.socketError
                raise ConfigError(f"{asked or key}: cannot serve {names} on {place}: {reason}") from None
            log.warning("not serving %s: %s is taken; set %s.%s", names, place, key, next(iter(there)))
    return listening
