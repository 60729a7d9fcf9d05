"""A page's port that is taken: done without where it is a default, refused where somebody asked for it."""

import socket
from collections.abc import Iterator

import pytest

from skydns_py import config
from skydns_py.errors import ConfigError
from skydns_py.ops.listening import listen
from skydns_py.settings import HostPort, HttpSettings
from tests.reactor import run_in_reactor

PAGES = {"ready": lambda: (200, "OK\n")}
FILE = "source: {manifests: {path: x}}\nportal:\n  http:\n    ready: "


@pytest.fixture
def taken() -> Iterator[HostPort]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield HostPort("127.0.0.1", server.getsockname()[1])


def opened(http: HttpSettings, default: HttpSettings) -> list[object]:
    from twisted.internet import reactor  # noqa: PLC0415  # importing it chooses and installs it

    found: list[object] = run_in_reactor(listen, http, default, PAGES, reactor, "portal.http")
    return found


def test_one_that_a_file_asks_for_is_refused_with_file_line_and_key(taken: HostPort) -> None:
    http = config.parse(f'{FILE}"{taken}"\n', "s.yaml").portal.http
    with pytest.raises(ConfigError) as refused:
        opened(http, HttpSettings())
    expected = f"s.yaml:4: portal.http.ready: cannot serve /ready on {taken}: Address already in use"
    assert str(refused.value) == expected


def test_a_default_that_the_file_repeats_is_asked_for(taken: HostPort) -> None:
    http = config.parse(f'{FILE}"{taken}"\n', "s.yaml").portal.http
    with pytest.raises(ConfigError, match=r"^s\.yaml:4: portal\.http\.ready: "):
        opened(http, HttpSettings(ready=taken))


def test_a_default_that_nobody_asked_for_is_done_without(
    taken: HostPort, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(HttpSettings(None, taken, None), HttpSettings(ready=taken)) == []
    assert f"not serving /ready: {taken} is taken; set portal.http.ready" in caplog.text
