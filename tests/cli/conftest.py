"""A command line run in this process, and a real etcd whose registry is empty at the start of each test."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skydns_py.cli.main import main
from tests.etcd_server import EtcdServer


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left: its exit code, and the lines of its output and of its errors."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.out)


Run = Callable[..., Done]


@pytest.fixture
def skydns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``skydns`` with these arguments and this standard input."""

    def run(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out.splitlines(), captured.err.splitlines())

    return run


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Registry:
    """An etcd and direct access to what it holds, past the commands."""

    url: str
    client: Any

    def put(self, key: str, value: bytes) -> None:
        self.client.put(f"/registry/{key}", value)

    def value(self, key: str) -> bytes | None:
        value: bytes | None = self.client.get(f"/registry/{key}")[0]
        return value

    def document(self, key: str) -> Any:
        return json.loads(self.value(key) or b"null")

    def held(self) -> list[str]:
        return [
            meta.key.decode().removeprefix("/registry/") for _, meta in self.client.get_prefix("/registry/")
        ]

    def revision(self) -> int:
        """Grows with every change, whatever the key."""
        number: int = self.client.get_response("/").header.revision
        return number


@pytest.fixture
def registry(etcd_server: EtcdServer) -> Iterator[Registry]:
    with etcd_server.client() as client:
        client.delete_prefix("/registry/")
        client.delete_prefix("/registry.allocations/")
        yield Registry(etcd_server.url, client)


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[[str, str], str]:
    """Write a file; its path, as a command line takes it."""

    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


NET = "10.96.0.0/24"
Apply = Callable[..., Done]


@pytest.fixture
def apply(skydns: Run, registry: Registry) -> Apply:
    """``skydns apply`` of a text, with a portal net."""

    def run(text: str, net: str = NET) -> Done:
        flags = ("--portal-net", net) if net else ()
        return skydns("apply", "-f", "-", "--etcd", registry.url, *flags, stdin=text)

    return run
