"""``skydns serve`` waits for what ``skydns portal`` says is in the kernel: both ends of the real socket."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
from twisted.internet import reactor

from skydns_py.errors import ConfigError
from skydns_py.portal.announce import Announcer, announce_at
from tests.reactor import run_in_reactor
from tests.serving import Serving

NAME = "web.shop.svc.cluster.local."
OTHER = "old.shop.svc.cluster.local."
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{clusterIP: {address}, ports: [{{port: 80}}]}}
"""


class Programmer:
    """The announcing half of ``skydns portal``, on a socket of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._announcer = Announcer()
        self._listening: Any = None

    def listen(self) -> None:
        self._listening = run_in_reactor(announce_at, str(self.path), self._announcer, reactor)

    def close(self) -> None:
        def close() -> Any:
            for listener in tuple(self._announcer.listeners):
                listener.transport.abortConnection()
            return self._listening.stopListening()

        if self._listening is not None:
            run_in_reactor(close)

    def programmed(self, name: str, *addresses: str) -> None:
        there = tuple(sorted(ip_address(each).packed for each in addresses))
        run_in_reactor(self._announcer.programmed, {("shop", name): there})


@pytest.fixture
def programmer(tmp_path: Path) -> Iterator[Programmer]:
    made = Programmer(tmp_path / "portal.sock")
    made.listen()
    yield made
    made.close()


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "old.yaml").write_text(SERVICE.format(name="old", address="10.0.0.1"))
    return folder


def serving(manifests: Path, programmer: Programmer, seconds: int) -> Serving:
    source = {"manifests": {"path": str(manifests)}}
    wait = {"socket": str(programmer.path), "seconds": seconds}
    return Serving(manifests.parent, source=source, wait_for_portal=wait, logging={"level": "debug"})


def rcode(server: Serving, name: str) -> dns.rcode.Rcode:
    return server.ask(name).rcode()


def test_the_first_picture_is_served_once_its_portals_are_there(
    manifests: Path, programmer: Programmer
) -> None:
    with serving(manifests, programmer, seconds=60) as server:
        server.wait_for("answering on")
        assert rcode(server, OTHER) == dns.rcode.SERVFAIL
        programmer.programmed("old", "10.0.0.1")
        server.wait_for("ready:")
        assert server.addresses(OTHER) == ["10.0.0.1"]


def test_a_new_name_appears_with_its_portal_and_other_names_are_served_meanwhile(
    manifests: Path, programmer: Programmer
) -> None:
    programmer.programmed("old", "10.0.0.1")
    with serving(manifests, programmer, seconds=60) as server:
        server.wait_for("ready:")
        (manifests / "web.yaml").write_text(SERVICE.format(name="web", address="10.0.0.2"))
        server.wait_for("a name waits for its portal")
        assert rcode(server, NAME) == dns.rcode.NXDOMAIN
        assert server.addresses(OTHER) == ["10.0.0.1"]
        programmer.programmed("web", "10.0.0.2")
        server.wait_for("a name need not wait any longer")
        assert server.addresses(NAME) == ["10.0.0.2"]


def test_without_a_programmer_names_wait_no_longer_than_was_set(
    manifests: Path, programmer: Programmer
) -> None:
    programmer.close()
    with serving(manifests, programmer, seconds=1) as server:
        server.wait_for("ready:")
        assert server.addresses(OTHER) == ["10.0.0.1"]


def test_a_socket_that_a_killed_programmer_left_is_replaced(tmp_path: Path) -> None:
    first = Programmer(tmp_path / "portal.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(first.path))
    first.listen()
    first.close()


def test_a_path_where_nothing_can_listen_is_refused_in_one_line(tmp_path: Path) -> None:
    missing = Programmer(tmp_path / "nowhere" / "portal.sock")
    with pytest.raises(ConfigError, match=r"portal\.announce: cannot listen at"):
        missing.listen()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    file = Programmer(tmp_path / "precious")
    file.path.write_text("hello")
    with pytest.raises(ConfigError, match=r"portal\.announce: cannot listen at"):
        file.listen()
    assert file.path.read_text() == "hello"
