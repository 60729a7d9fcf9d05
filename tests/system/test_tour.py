"""docs/tour.md does what it says: the whole story with real parts, in network namespaces.

The other tests are about what runs it: that a document cannot pass by accident, and that nothing is left.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.system.tour import Failed, Shell, Step, matches, shell, steps

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour.md"
FOLDERS = (Path(sys.executable).parent, *needs.SYSTEM_FOLDERS)
COMMAND = """\
#!/bin/sh
PYTHONPATH='{root}' exec '{python}' -m skydns_py "$@"
"""
LOG_LINES = 5


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Shell]:
    """Root's shell in the project's folder, with the ``skydns`` of this tree."""
    command = tmp_path / "bin" / "skydns"
    command.parent.mkdir()
    command.write_text(COMMAND.format(root=ROOT, python=sys.executable))
    command.chmod(0o755)
    path = os.pathsep.join(map(str, (command.parent, *FOLDERS, os.environ.get("PATH", ""))))
    with shell(ROOT, {**os.environ, "PATH": path, "TMPDIR": str(tmp_path)}) as opened:
        yield opened


@needs.netns()
@needs.program("bash", "unshare", "ip", "nft", "etcd")
def test_the_tour_does_what_it_says(reader: Shell, tmp_path: Path) -> None:
    for step in steps(TOUR.read_text()):
        try:
            reader.check(step)
        except Failed as error:
            raise Failed(f"{TOUR.name}, {error}\n{_logs(tmp_path)}") from None


def _logs(folder: Path) -> str:
    """The last lines of what the tour's programs have said."""
    found = []
    for log in sorted(folder.glob("*/*.log")):
        found += [f"{log.name}:", *log.read_text().splitlines()[-LOG_LINES:]]
    return "\n".join(found)


def test_a_document_is_its_commands_each_with_what_they_print() -> None:
    read = "# Title\n\n```console\n$ no\n```\n\n"
    printing = "```sh\nls\npwd\n```\n\nprints\n\n```text\na\nb\n```\n"
    document = read + printing + "```sh\ntrue\n```\n"
    assert steps(document) == [Step(8, "ls\npwd\n", ("a", "b")), Step(19, "true\n", ())]


@pytest.mark.parametrize("block", ["```text\nprinted by nothing\n```\n", "```yaml\na: b\n```\n"])
def test_a_block_that_would_not_be_checked_is_refused(block: str) -> None:
    with pytest.raises(Failed, match=r"line 2: a block of kind '(text|yaml)' cannot stand here"):
        steps(block)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ((), "", True),
        ((), "noise\n", False),
        (("web-… answers",), "web-2 answers\n", True),
        (("web-… answers",), "web-2\nanswers\n", False),
        (("10.0.0.1",), "10x0.0.1\n", False),
        (("a", "…", "z"), "a\nz\n", True),
        (("a", "…", "z"), "a\nb\nc\nz\n", True),
        (("a", "…", "z"), "a\nb\n", False),
        (("a",), "a\na\n", False),
    ],
)
def test_an_ellipsis_stands_for_text_or_lines_and_nothing_else_does(
    expected: tuple[str, ...], printed: str, same: bool
) -> None:
    assert matches(expected, printed) is same


@needs.netns()
@needs.program("bash", "unshare", "ip", "ps")
class TestReader:
    def test_variables_functions_and_here_documents_last(self, reader: Shell) -> None:
        assert reader.run('word=there; say() { echo "$1 $word"; }') == ""
        assert reader.run("say hello; cat <<END\nlast\nEND") == "hello there\nlast\n"

    def test_a_step_that_prints_something_else_fails(self, reader: Shell) -> None:
        reader.check(Step(1, "echo one", ("one",)))
        with pytest.raises(Failed, match=r"line 7:\necho two\nprinted:\ntwo"):
            reader.check(Step(7, "echo two", ("one",)))

    def test_a_command_that_fails_fails_its_step_wherever_it_stands(self, reader: Shell) -> None:
        reader.check(Step(1, "false || true; if false; then true; fi", ()))
        with pytest.raises(Failed, match="failed with 1: false"):
            reader.check(Step(2, "inner() { false; true; }\ninner\necho on", ("on",)))

    def test_a_step_that_hangs_fails(self, reader: Shell) -> None:
        with pytest.raises(Failed, match="not done within 1 s"):
            reader.run("echo begun; read -r line </dev/zero", seconds=1)

    def test_a_step_that_ends_the_shell_fails(self, reader: Shell) -> None:
        with pytest.raises(Failed, match="the shell ended"):
            reader.run("exit 0")

    def test_its_namespaces_are_nobody_elses_and_its_processes_end_with_it(self, tmp_path: Path) -> None:
        marker = f"3600.{os.getpid()}"
        with shell(tmp_path, os.environ) as opened:
            opened.run(f"ip netns add tour-seen; (sleep {marker} &)")
            assert opened.run("ip netns list") == "tour-seen\n"
            listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
            assert "tour-seen" not in listed.stdout
            assert _running(marker)
        assert not _running(marker)

    def test_the_network_comes_once_and_goes_with_all_that_runs_in_it(self, reader: Shell) -> None:
        reader.check(Step(1, "scripts/tour-net up", ()))
        there = "tour-net: the tour's network is there already; scripts/tour-net down removes it"
        reader.check(Step(2, "scripts/tour-net up || true", (there,)))
        reader.check(Step(3, "(ip netns exec tour-client sleep 99 &)", ()))
        reader.check(Step(4, "scripts/tour-net down; ip netns list; ls /etc/netns", ()))
        left = [line.split() for line in reader.run("ps --no-headers -eo stat,comm").splitlines()]
        assert {name for state, name, *_ in left if not state.startswith("Z")} == {"bash", "ps"}


def _running(word: str) -> bool:
    """Whether a process has that word on its command line."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in file.read_text().split("\0"):
                return True
        except OSError:
            continue
    return False
