"""The layers of docs/architecture.md, proved from the imports of every file (AST, nothing is run).

1. A file imports its own folder and lower ranks; never a higher rank, never another folder of its rank.
2. Twisted, etcd3, sockets, subprocesses, threads and clocks appear only where the edge is.
3. Every file has a rank: a new folder must be given one here.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "skydns_py"
ROOT = Path(__file__).parent.parent / PACKAGE

# Longest matching path first: (path below the package without .py, group, rank).  Files of one group
# see each other; so do app.py and cli/, which are one top, and errors.py and config.py, one bottom.
PLACES = (
    ("portal/plan", "portal/plan", 2),
    ("portal_app", "top", 6),
    ("portal_feed", "top", 6),
    ("portal/netlink", "portal/netlink", 3),
    ("balancer_app", "top", 6),
    ("balancer_etcd", "top", 6),
    ("balancer_feed", "top", 6),
    ("balancer_kubernetes", "top", 6),
    ("balancer_kubernetes_api", "top", 6),
    ("balancer_kubernetes_watch", "top", 6),
    ("balancer/allocation", "balancer/allocation", 2),
    ("__main__", "top", 6),
    ("__init__", "bottom", 0),
    ("errors", "bottom", 0),
    ("config", "bottom", 0),
    ("config_checks", "bottom", 0),
    ("config_fields", "bottom", 0),
    ("config_flags", "bottom", 0),
    ("config_pools", "bottom", 0),
    ("settings", "bottom", 0),
    ("special", "bottom", 0),
    ("checks", "bottom", 0),
    ("settings_text", "bottom", 0),
    ("settings_selector", "bottom", 0),
    ("cluster", "cluster", 1),
    ("zone", "zone", 2),
    ("pods", "pods", 2),
    ("answers", "answers", 3),
    ("dataplane", "dataplane", 4),
    ("sources", "sources", 4),
    ("resolver", "resolver", 4),
    ("portal", "portal", 4),
    ("balancer", "balancer", 4),
    ("server", "server", 5),
    ("ops/pages", "ops/pages", 3),
    ("ops", "ops", 5),
    ("app", "top", 6),
    ("feed", "top", 6),
    ("cli", "top", 6),
)
EDGE = {"ops/pages", "sources", "resolver", "portal", "portal/netlink", "balancer", "server", "ops", "top"}
EDGE_ONLY = {
    *("twisted", "etcd3", "grpc", "socket", "socketserver", "select", "selectors", "asyncio", "ssl"),
    *("subprocess", "multiprocessing", "threading", "concurrent", "queue", "signal", "time", "sched"),
    *("http", "urllib.request"),
}


def place(path: str) -> tuple[str, int]:
    """Group and rank of ``zone/names`` (no suffix); AssertionError where the layers do not know it."""
    for prefix, group, rank in PLACES:
        if path == prefix or path.startswith(prefix + "/"):
            return group, rank
    raise AssertionError(f"{PACKAGE}/{path} has no rank: give it one in {Path(__file__).name}")


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The dotted name of every module that ``tree``, a file of ``package``, imports, at any depth of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def broken(path: str, source: str, modules: frozenset[str]) -> list[str]:
    """The rules that ``source``, standing at ``path``, breaks; ``modules`` are the package's own."""
    group, rank = place(path)
    package = ".".join([PACKAGE, *path.split("/")[:-1]])
    found = []
    for name in sorted(set(imported(ast.parse(source), package))):
        if name in modules and name != PACKAGE:
            other, other_rank = place(name.removeprefix(PACKAGE + ".").replace(".", "/"))
            if other != group and other_rank >= rank:
                found.append(f"{path} (rank {rank}) imports {name} (rank {other_rank})")
        elif group not in EDGE and any(f"{name}.".startswith(f"{top}.") for top in EDGE_ONLY):
            found.append(f"{path} imports {name}: only the edge may")
    return found


def files() -> dict[str, Path]:
    """Path below the package without ``.py`` (``zone/__init__`` is ``zone``), to file."""
    return {_key(file): file for file in sorted(ROOT.rglob("*.py"))}


def _key(file: Path) -> str:
    path = file.relative_to(ROOT).with_suffix("").as_posix()
    return path.removesuffix("/__init__")


def own_modules() -> frozenset[str]:
    """Dotted names of the package's modules."""
    return frozenset(f"{PACKAGE}.{key.replace('/', '.')}" for key in files())


def source_path(key: str, file: Path) -> str:
    """The path under which relative imports resolve: a folder's ``__init__`` stands inside it."""
    return f"{key}/__init__" if file.name == "__init__.py" and key != "__init__" else key


@pytest.mark.parametrize("key", files())
def test_each_file_imports_only_its_own_folder_and_lower_ranks(key: str) -> None:
    file = files()[key]
    assert broken(source_path(key, file), file.read_text(), own_modules()) == []


MODULES = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        *("app", "errors", "answers", "answers.compile", "cluster", "cluster.objects", "ops", "ops.metrics"),
        *("sources", "sources.etcd", "zone", "zone.names"),
    )
)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cluster/state", "from skydns_py.zone import names"),
        ("zone/zone", "import skydns_py.answers.compile"),
        ("zone/zone", "def late():\n    from ..answers.compile import pack"),
        ("dataplane/pure", "from skydns_py.sources.etcd import Etcd"),
        ("server/udp", "from skydns_py.ops import metrics"),
        ("dataplane/pure", "import socket"),
        ("dataplane/pure", "from twisted.internet import reactor"),
        ("answers/query", "from time import monotonic"),
        ("cluster/state", "from urllib.request import urlopen"),
        ("errors", "import threading"),
    ],
)
def test_a_broken_layer_is_found(path: str, source: str) -> None:
    assert broken(path, source, MODULES) != []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("zone/zone", "from skydns_py.zone.names import parent\nfrom skydns_py.cluster.objects import Pod"),
        ("zone/zone", "from . import names\nfrom ..errors import SkydnsError"),
        ("server/udp", "import socket, time\nfrom twisted.internet import protocol"),
        ("cli/serve", "from skydns_py.app import run"),
        ("answers/query", "from timeit import default_timer"),
    ],
)
def test_an_allowed_import_is_not_reported(path: str, source: str) -> None:
    assert broken(path, source, MODULES) == []


def test_a_folder_without_a_rank_is_refused() -> None:
    with pytest.raises(AssertionError, match="has no rank"):
        place("mystery/box")
