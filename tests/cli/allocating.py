"""What an etcd has of Services and reservations, and writers to fill it."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from tests.cli.conftest import Registry

RESERVED = "/registry.allocations/"
SECONDS = 240.0


def document(name: str, namespace: str = "my-ns", **spec: Any) -> str:
    """A Service without an address, as YAML."""
    ports = {"ports": [{"name": "http", "port": 80}]}
    metadata = {"name": name, "namespace": namespace}
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**ports, **spec}}
    )


def join(*documents: str) -> str:
    """Several documents in one text."""
    return "---\n".join(documents)


def specs(registry: Registry) -> dict[str, Any]:
    """Each stored Service's ``spec``, by namespace and name."""
    start = "services/specs/"
    return {
        key.removeprefix(start): registry.document(key).get("spec", {})
        for key in registry.held()
        if key.startswith(start)
    }


def reserved(registry: Registry) -> dict[str, str]:
    """Each reservation's owner, by ``portal/10.0.0.1`` or ``nodeport/30000``."""
    return {
        meta.key.decode().removeprefix(RESERVED): value.decode()
        for value, meta in registry.client.get_prefix(RESERVED)
    }


def held(registry: Registry) -> Iterator[tuple[str, str]]:
    """Each address and node port that a Service has, and the Service."""
    for owner, spec in specs(registry).items():
        addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
        yield from ((f"portal/{ip_address(each)}", owner) for each in addresses if each not in (None, "None"))
        ports = {port.get("nodePort") for port in spec.get("ports", ())} | {spec.get("healthCheckNodePort")}
        yield from ((f"nodeport/{port}", owner) for port in ports if port)


def assert_exact(registry: Registry) -> None:
    """Nothing is had twice, and reservations are what Services have, no more and no less."""
    pairs = list(held(registry))
    assert [item for item, count in Counter(item for item, _ in pairs).items() if count > 1] == []
    assert reserved(registry) == dict(pairs)


@dataclass(frozen=True, slots=True)
class Writers:
    """Processes that apply Services, each its own."""

    processes: list[subprocess.Popen[str]]

    def kill_midway(self, number: int, after: int) -> list[str]:
        """SIGKILL one when it has written so many; what it said until then."""
        process = self.processes[number]
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        rest = process.communicate(timeout=SECONDS)[0]
        return [line for line in (*lines, *rest.splitlines()) if line]

    def finish(self) -> list[int]:
        """The exit codes, when all have ended."""
        for process in self.processes:
            if process.returncode is None:
                process.communicate(timeout=SECONDS)
        return [process.returncode for process in self.processes]


@contextmanager
def writers(files: list[str], *flags: str) -> Iterator[Writers]:
    """One ``skydns apply`` for each file, all at once; none is left when the context ends."""
    with ExitStack() as stack:
        processes = []
        for file in files:
            command = [sys.executable, "-m", "skydns_py", "apply", "-f", file, *flags]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            stack.callback(process.wait, SECONDS)
            stack.callback(process.kill)
            processes.append(process)
        yield Writers(processes)


def write_files(folder: Path, count: int, each: int, make: Callable[[int, int], str]) -> list[str]:
    """``count`` files with ``each`` documents."""
    names = []
    for number in range(count):
        path = folder / f"writer{number}.yaml"
        path.write_text(join(*(make(number, at) for at in range(each))))
        names.append(str(path))
    return names


def stored(registry: Registry, owner: str, **spec: Any) -> None:
    """Put a Service there as a plain client would: without any reservation."""
    registry.put(
        f"services/specs/{owner}",
        json.dumps(yaml.safe_load(document(*reversed(owner.split("/")), **spec))).encode(),
    )
