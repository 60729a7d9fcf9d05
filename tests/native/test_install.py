"""With and without a compiler: the package installs, and says in one line which path it has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skydns_py.dataplane import native
from tests.native.built import MISSING, NATIVE, ROOT, needed

BUILD_SECONDS = 300
FALSE_COMPILER = "/bin/false"


def checkout(folder: Path) -> Path:
    """A copy of what an installation reads, without what was built in place."""
    copy = folder / "checkout"
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "build")
    shutil.copytree(ROOT / "skydns_py", copy / "skydns_py", ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def build(folder: Path, **environment: str) -> tuple[str, list[str]]:
    """Build the package; what was said, and the extension modules made."""
    copy = checkout(folder)
    command = [sys.executable, "setup.py", "build", "--build-lib", str(folder / "lib")]
    done = subprocess.run(
        command,
        cwd=copy,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr, [file.name for file in (folder / "lib").rglob("*.so")]


def test_without_a_compiler_the_package_builds_and_says_what_is_missing(tmp_path: Path) -> None:
    said, made = build(tmp_path, CC=FALSE_COMPILER)
    assert "optional" in said or "failed" in said
    assert made == []
    code = "from skydns_py.dataplane.native import available; print(available())"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "lib",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert shown.startswith("(False")
    assert "install a C compiler" in shown


@needed
def test_with_a_compiler_one_module_for_all_versions_of_python_is_built(tmp_path: Path) -> None:
    _, made = build(tmp_path)
    assert made == ["_plane.abi3.so"]


@needed
def test_available_says_yes_where_it_is_built() -> None:
    assert native.available() == (True, "the native data plane is built")


@pytest.mark.parametrize(
    ("module", "mended"),
    [("_cffi_backend", "pip install cffi"), ("skydns_py.dataplane.native._plane", "install a C compiler")],
)
def test_what_is_missing_is_said_in_one_line_with_its_remedy(
    module: str, mended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if MISSING and module.endswith("_plane"):
        pytest.skip(MISSING)
    monkeypatch.setitem(sys.modules, module, None)
    usable, reason = native.available()
    assert not usable
    assert mended in reason
    assert "\n" not in reason


def test_other_systems_are_told_that_it_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert native.available() == (False, "the native data plane needs Linux, not darwin")


def test_every_c_file_is_named_in_the_build_and_no_other() -> None:
    build_text = (NATIVE / "build.py").read_text()
    named = build_text.split("SOURCES = (")[1].split(")")[0]
    assert {name.strip(' "') for name in named.split(",")} - {""} == {
        file.stem for file in NATIVE.glob("*.c")
    }
