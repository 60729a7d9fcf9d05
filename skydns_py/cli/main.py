"""The ``skydns`` command: parse, dispatch, and turn every outcome into an exit code.

0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.  What went wrong is one line on
standard error (one a document, where several are wrong), never a traceback for what a user did.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from skydns_py import __version__
from skydns_py.errors import ConfigError, SkydnsError

COMMANDS = (
    "serve",
    "portal",
    "balancer",
    "apply",
    "get",
    "delete",
    "repair",
    "resolv-conf",
    "env",
    "check-config",
)
"""In the order of the help; each is a module beside this one, with ``-`` for ``_``."""
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing a usage block and leaving."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def parser(first: str = "") -> argparse.ArgumentParser:
    """The command line; of it all, or where ``first`` is a subcommand, that one alone.

    Each subcommand sets ``run``: arguments in, exit code out.  What the others import is a tenth of a second.
    """
    about = "Cluster DNS from etcd, the Kubernetes API or manifests."
    top = _Parser(prog="skydns", description=about, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"skydns {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in (first,) if first in COMMANDS else COMMANDS:
        importlib.import_module(f"skydns_py.cli.{name.replace('-', '_')}").add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return the exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; its log lines are no message to a user
    try:
        given = sys.argv[1:] if argv is None else list(argv)
        arguments = parser(given[0] if given else "").parse_args(given)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except SkydnsError as error:
        _report(str(error))
        return USAGE if isinstance(error, ConfigError) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        _abandon_output()
        return FAILED
    except OSError as error:
        _abandon_output()
        _report(f"{error.filename or 'standard output'}: {error.strerror}")
        return FAILED
    return code


def _report(text: str) -> None:
    for line in text.splitlines():
        print(f"skydns: {line}", file=sys.stderr)


def _abandon_output() -> None:
    """Let the interpreter's last flush go nowhere, since it would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
