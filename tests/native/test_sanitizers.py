"""The C, compiled without a warning, under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer.

No Python is in these processes: the sanitizers see all of them, and nothing else.
"""

import itertools
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skydns_py import feed
from skydns_py.answers import search
from tests import needs
from tests.dataplane import samples, wire
from tests.native.built import NATIVE, NativeTable, needed
from tests.native.fuzz.seeds import CORPUS, seeds
from tests.native.twins import CLIENTS, Twin

HERE = Path(__file__).parent
SOURCES = sorted(str(file) for file in NATIVE.glob("*.c"))
WARNINGS = ("-std=c11", "-g", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", f"-I{HERE / 'c'}")
MEMORY = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
THREADS = ("-O1", "-fsanitize=thread")
STRESS_SECONDS, LONG_STRESS_SECONDS = 2, 120
FUZZ_SECONDS = 5
COMPILE_SECONDS, RUN_SECONDS = 180, 60
EDNS_SIZE = 1232

compiler = pytest.mark.parametrize(
    "cc", [pytest.param(cc, marks=needs.program(cc)) for cc in ("gcc", "clang")]
)

Compile = Callable[..., str]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a program of tests/native with the C files, once for each set of flags."""
    folder, made = tmp_path_factory.mktemp("c"), dict[tuple[str, ...], str]()

    def compile_program(cc: str, program: str, *flags: str) -> str:
        key = (cc, program, *flags)
        if key not in made:
            target = str(folder / f"program-{len(made)}")
            command = [cc, *WARNINGS, *flags, str(HERE / program), *SOURCES, "-o", target, "-lpthread"]
            run(command, COMPILE_SECONDS)
            made[key] = target
        return made[key]

    return compile_program


def run(command: list[str], seconds: float) -> str:
    """The program's output; AssertionError with all it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@compiler
def test_no_compiler_warns_at_the_level_users_get(cc: str, tmp_path: Path) -> None:
    for source in SOURCES:
        run([cc, *WARNINGS, "-O2", "-c", source, "-o", str(tmp_path / "object.o")], COMPILE_SECONDS)


@needs.program("gcc")
def test_updates_while_serving_touch_no_memory_that_is_freed(compiled: Compile) -> None:
    program = compiled("gcc", "c/stress.c", *MEMORY)
    assert "lost 0 wrong 0" in run([program, str(STRESS_SECONDS)], RUN_SECONDS)


@needs.program("gcc", "setarch")
def test_updates_while_serving_race_with_no_reader(compiled: Compile) -> None:
    """``setarch -R``: this sanitizer wants addresses where older kernels put them."""
    program = compiled("gcc", "c/stress.c", *THREADS)
    assert "lost 0 wrong 0" in run(["setarch", "-R", program, str(STRESS_SECONDS)], RUN_SECONDS)


@pytest.mark.nightly
@needs.program("gcc", "setarch")
@pytest.mark.parametrize("flags", [MEMORY, THREADS], ids=["memory", "threads"])
def test_updates_while_serving_for_minutes(compiled: Compile, flags: tuple[str, ...]) -> None:
    command = ["setarch", "-R", compiled("gcc", "c/stress.c", *flags), str(LONG_STRESS_SECONDS)]
    assert "lost 0 wrong 0" in run(command, LONG_STRESS_SECONDS + RUN_SECONDS)


@needs.program("gcc")
def test_stress_notices_memory_that_is_freed_too_early(compiled: Compile) -> None:
    """The proof that the stress can fail: nothing waits for readers."""
    program = compiled("gcc", "c/stress.c", *MEMORY, "-DFREE_AT_ONCE")
    done = subprocess.run([program, "20"], capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert "heap-use-after-free" in done.stderr


@needs.program("gcc")
def test_seed_corpus_runs_clean(compiled: Compile) -> None:
    files = sorted(map(str, CORPUS.iterdir()))
    program = compiled("gcc", "fuzz/fuzz_packet.c", *MEMORY, "-DSTANDALONE")
    assert f"{len(files)} files" in run([program, *files], RUN_SECONDS)


def test_committed_corpus_is_what_its_script_writes() -> None:
    assert {file.read_bytes() for file in CORPUS.iterdir()} >= set(seeds())


@needs.program("clang")
def test_fuzzer_finds_nothing_in_a_few_seconds(compiled: Compile, tmp_path: Path) -> None:
    program = compiled("clang", "fuzz/fuzz_packet.c", *MEMORY, "-fsanitize=fuzzer")
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-print_final_stats=1"]
    command = [program, *limits, f"-artifact_prefix={tmp_path}/", str(tmp_path), str(CORPUS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    assert executed
    assert int(executed[1]) > 1000


# Replays


class Recorder:
    """Stands for the C library in a ``NativeTable``, writes down the steps, and passes them on."""

    def __init__(self, lib: Any, ffi: Any) -> None:
        self._lib, self._ffi = lib, ffi
        self.steps = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)

    def _step(self, kind: str, *fields: int | bytes) -> None:
        self.steps += kind.encode()
        for each in fields:
            octets = each if isinstance(each, bytes) else struct.pack("=I", each)
            self.steps += struct.pack("=I", len(octets)) + octets

    def plane_set_zone(self, *args: Any) -> int:
        _, index, apex, _, ttl, soa, _, is_open = args
        self._step("Z", index, ttl, int(is_open), apex, soa)
        return int(self._lib.plane_set_zone(*args))

    def plane_replace(self, *args: Any) -> int:
        _, name, _, zone, count, heads, records, _ = args
        self._step("N", zone, count, name, heads, records)
        return int(self._lib.plane_replace(*args))

    def plane_list(self, *args: Any) -> int:
        self._step("L", args[1])
        return int(self._lib.plane_list(*args))

    def plane_remove(self, *args: Any) -> int:
        self._step("R", args[1])
        return int(self._lib.plane_remove(*args))

    def plane_set_wildcards(self, plane: Any, on: bool) -> None:
        self._step("W", int(on))
        self._lib.plane_set_wildcards(plane, on)

    def plane_set_client(self, *args: Any) -> int:
        self._step("C", args[1], args[3])
        return int(self._lib.plane_set_client(*args))

    def plane_answer(self, *args: Any) -> int:
        _, packet, _, client, _, reply = args
        length = int(self._lib.plane_answer(*args))
        self._step("P", client, packet, bytes(self._ffi.buffer(reply, length)))
        return length


@needed
@needs.program("gcc")
def test_sample_cluster_and_every_query_of_it_replay_clean(
    compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = __import__(NativeTable.__module__, fromlist=["lib"])
    recorder = Recorder(module.lib, module.ffi)
    monkeypatch.setattr(module, "lib", recorder)
    monkeypatch.setattr(feed, "top_level_domains", lambda: {b"com"})
    monkeypatch.setattr(module, "RESERVED", frozenset({b"local"}))
    monkeypatch.setattr(search, "RESERVED", frozenset({b"local"}))
    monkeypatch.setattr(samples, "NETWORKS", {})
    served = Twin("native", *samples.objects())
    recorder._step("S", wire.encode(samples.ZONE))
    edns = itertools.cycle((b"", wire.opt(), wire.opt(600, wire.DO), wire.opt(0), wire.opt(65535)))
    for name, rdtype in itertools.product(
        (*samples.NAMES, "few.my-ns", "db-0.db"), (1, 28, 33, 16, 5, 12, 255)
    ):
        packet = wire.query(name, rdtype, edns=next(edns))
        client = CLIENTS[len(name) % len(CLIENTS)]
        served.hot(packet, client)
        served.slow(packet, client)
        for size in (len(packet) - 1, len(packet) // 2, 13):
            served.hot(packet[:size], client)
    (tmp_path / "steps").write_bytes(recorder.steps)
    program = compiled("gcc", "c/replay.c", *MEMORY)
    assert " packets" in run([program, str(EDNS_SIZE), str(tmp_path / "steps")], RUN_SECONDS)
