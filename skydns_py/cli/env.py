"""``skydns env``: the variables by which a pod finds Services without DNS: now, then, and what it lacks.

Exit codes: 0 done; 1 where ``--diff`` found a difference, where an object that the pod would see cannot
be decoded (it is named on standard error, and the rest printed), and where etcd cannot be read.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skydns_py import config
from skydns_py.cli import Commands, add_kubernetes, env_diff, env_source
from skydns_py.config_flags import Flags, flag
from skydns_py.errors import ConfigError
from skydns_py.pods.environment import candidates, chosen
from skydns_py.settings import AnySource
from skydns_py.settings_text import parse_namespace

NEWEST = 2**63 - 1
"""The highest number etcd can give a revision."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "env", help="print the variables that tell a pod of Services", allow_abbrev=False
    )
    parser.add_argument("-n", "--namespace", metavar="NS", required=True, help="the pod's namespace")
    _add_source(parser)
    _add_output(parser)
    parser.set_defaults(run=run)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", metavar="FILE", help="take the source from these settings")
    parser.add_argument(
        "--manifests", metavar="PATH", default="", help="take Services from this file or folder"
    )
    parser.add_argument(
        "--etcd", metavar="URL", action="append", default=[], help="take Services from etcd (repeatable)"
    )
    add_kubernetes(parser, "print")
    parser.add_argument(
        "--as-of",
        metavar="REVISION",
        default="",
        help="what a pod started at that revision of etcd, or resourceVersion of the API, got",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        choices=("shell", "json", "docker"),
        help="shell exports, JSON, or lines for docker run --env-file (shell)",
    )
    parser.add_argument("--no-links", action="store_true", help="the pod has enableServiceLinks: false")
    parser.add_argument(
        "--diff",
        metavar="FILE",
        nargs="?",
        const="",
        help="what a running pod lacks (+), has otherwise (~) and has of Services that are gone (-); FILE, or"
        " - for standard input, holds what `env` prints in the pod or its /proc/PID/environ; without FILE,"
        " the pod is one that started at --as-of REVISION; exit code 1 where there is a difference",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the environment, or the difference."""
    _check_usage(arguments)
    flags = Flags(arguments.manifests, tuple(arguments.etcd), arguments.kubeconfig, arguments.in_cluster)
    namespace = flag("--namespace", parse_namespace, arguments.namespace)
    revision = flag("--as-of", _revision, arguments.as_of) if arguments.as_of else 0
    source = config.load(arguments.config, flags).source
    assert source is not None, "load asks for a source"
    wanted = _Wanted(source, namespace, not arguments.no_links)
    if arguments.diff is not None:
        return _print_difference(wanted, arguments.diff, revision, arguments.output)
    return _print_environment(wanted, revision, arguments.output or "shell")


def _check_usage(arguments: argparse.Namespace) -> None:
    """ConfigError where the flags do not go together."""
    if arguments.diff is None:
        return
    if bool(arguments.diff) == bool(arguments.as_of):
        reason = "each say what the pod has; keep one" if arguments.diff else "say what the pod has; give one"
        raise ConfigError(f"--diff FILE and --as-of REVISION {reason}")
    if arguments.output not in (None, "json"):
        raise ConfigError(
            f"--output: --diff prints lines or JSON, not {arguments.output}; say json, or leave it out"
        )


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:20]) <= NEWEST:
        raise ValueError(f"{text!r} is no revision of etcd: a whole number from 1")
    return int(text[:20])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Where Services come from, and for what kind of pod."""

    source: AnySource
    namespace: str
    links: bool

    def at(self, revision: int) -> tuple[dict[str, tuple[str, ...]], int]:
        """The variables with their possible values, and the exit code; what is wrong is told."""
        reading = env_source.read(self.source, self.namespace, revision)
        when = f"at revision {revision}: " if revision else ""
        for line in reading.refusals:
            print(f"skydns: {when}{line}", file=sys.stderr)
        found = candidates(reading.services, self.namespace, links=self.links)
        return found, 1 if reading.refusals else 0


def _print_environment(wanted: _Wanted, revision: int, output: str) -> int:
    found, code = wanted.at(revision)
    _warn_of_contention(found)
    print(RENDER[output](chosen(found)), end="")
    return code


def _print_difference(wanted: _Wanted, file: str, revision: int, output: str | None) -> int:
    had, before = (env_diff.read(file), 0) if file else _then(wanted, revision)
    gets, now = wanted.at(0)
    difference = env_diff.compare(had, gets)
    if output == "json":
        print(json.dumps(difference.document(), indent=2))
    else:
        print("".join(f"{line}\n" for line in difference.lines()), end="")
    return 1 if difference else max(before, now)


def _then(wanted: _Wanted, revision: int) -> tuple[dict[str, str], int]:
    found, code = wanted.at(revision)
    return chosen(found), code


def _warn_of_contention(found: Mapping[str, Sequence[str]]) -> None:
    """A line for each variable that Services contend for: which value a pod gets is not defined."""
    for name, values in found.items():
        if len(set(values)) > 1:
            several = " or ".join(dict.fromkeys(values))
            print(f"skydns: {name}: Services contend for it; a pod gets {several}", file=sys.stderr)


def shell(found: Mapping[str, str]) -> str:
    """Commands for a POSIX shell; a name it cannot have, such as ``3SCALE_PORT``, stands in a comment."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in found.items()]
    return "".join(
        f"# no shell can set {line}\n" if line[0].isdigit() else f"export {line}\n" for line in lines
    )


def docker(found: Mapping[str, str]) -> str:
    """Lines for ``docker run --env-file``, which takes values as they are, quotes included."""
    return "".join(f"{name}={value}\n" for name, value in found.items())


def as_json(found: Mapping[str, str]) -> str:
    """One JSON object."""
    return json.dumps(found, indent=2) + "\n"


RENDER = {"shell": shell, "docker": docker, "json": as_json}
