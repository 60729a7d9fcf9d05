"""Python's threads yield to the serving threads, where there are some."""

import os
from pathlib import Path

import yaml

from skydns_py.ops.priority import YIELDING
from tests.native.built import needed
from tests.serving import Serving

THREADS = 2


def nice_values(pid: int) -> dict[int, int]:
    """Of each thread."""
    found = (int(each.name) for each in Path(f"/proc/{pid}/task").iterdir())
    return {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in found}


def served(folder: Path, kind: str) -> tuple[int, list[int]]:
    """The nice value of the reactor's thread, and those of all others, lowest first."""
    manifest = folder / "services.yaml"
    manifest.write_text(yaml.safe_dump({"kind": "Service", "metadata": {"name": "a", "namespace": "b"}}))
    source = {"manifests": {"path": str(manifest)}}
    with Serving(folder, source=source, dataplane={"kind": kind, "threads": THREADS}) as server:
        server.wait_for("ready:")
        found = nice_values(server.pid)
        return found.pop(server.pid), sorted(found.values())


@needed
def test_the_reactor_and_what_it_starts_yield_to_the_serving_threads(tmp_path: Path) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    reactor, others = served(tmp_path, "native")
    assert reactor == min(ours + YIELDING, 19)
    assert others[:THREADS] == [ours] * THREADS
    assert set(others[THREADS:]) <= {reactor}


def test_without_serving_threads_nobody_yields(tmp_path: Path) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    reactor, others = served(tmp_path, "pure")
    assert {reactor, *others} == {ours}
