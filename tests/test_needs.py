"""A missing program skips on a laptop and fails in CI; long campaigns wait for --nightly."""

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
SUITE = """
import pytest, needs

@needs.program("no-such-program")
def test_missing(): pass

@needs.program("python3")
def test_present(): pass

@pytest.mark.nightly
def test_long(): pass
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("needs.py", "conftest.py"):
        shutil.copy(HERE / name, pytester.path / name)
    pytester.makeini("[pytest]\nmarkers =\n    nightly: long\n")
    pytester.makepyfile(SUITE)
    monkeypatch.delenv("CI", raising=False)
    return pytester


def test_a_laptop_skips_what_it_cannot_run_and_says_why(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-rs", timeout=60)
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*no-such-program not found*"])


def test_ci_fails_instead_of_skipping(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = suite.runpytest_subprocess(timeout=60)
    result.assert_outcomes(passed=1, skipped=1, errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_nightly_runs_the_long_form(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess("--nightly", timeout=60).assert_outcomes(passed=2, skipped=1)
