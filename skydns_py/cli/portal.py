"""``skydns portal``: keeps the kernel's rules to what the cluster says, in the foreground."""

import argparse
import re
from dataclasses import replace

from skydns_py import checks, config
from skydns_py.cli import Commands, add_kubernetes
from skydns_py.config_flags import Flags, flag
from skydns_py.errors import ConfigError
from skydns_py.settings import PortalBackend, Settings
from skydns_py.settings_text import parse_object_name

TIMEOUT, LONGEST_TIMEOUT = 30, 86_400
"""Seconds; the first as with ``kubectl wait``, and well under what systemd gives a unit to start (90)."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "portal", help="programme the kernel so that portal IPs lead to their endpoints", allow_abbrev=False
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="YAML settings; a flag replaces its value")
    parser.add_argument(
        "--manifests", metavar="PATH", default="", help="programme what this file or folder says"
    )
    parser.add_argument(
        "--etcd",
        metavar="URL",
        action="append",
        default=[],
        help="programme what this etcd says (repeatable)",
    )
    add_kubernetes(parser, "programme")
    parser.add_argument("--backend", choices=[each.value for each in PortalBackend], help="(auto)")
    parser.add_argument("--node-name", metavar="NAME", default="", help="this node (the host's own name)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="wait for the source, programme once and exit")
    what.add_argument("--dry-run", action="store_true", help="print what would be run, and change nothing")
    what.add_argument("--cleanup", action="store_true", help="remove everything of ours from the kernel")
    parser.add_argument(
        "--timeout", metavar="SECONDS", default="", help="with --once and --dry-run: give up after that (30)"
    )
    parser.set_defaults(run=run)


def settings(arguments: argparse.Namespace) -> Settings:
    """What the programmer runs with; ConfigError where file and flags give nothing to follow."""
    flags = Flags(arguments.manifests, tuple(arguments.etcd), arguments.kubeconfig, arguments.in_cluster)
    loaded = config.load(arguments.config, flags, need_source=not arguments.cleanup)
    found = checks.with_manifests(loaded)
    portal = found.portal
    if arguments.backend:
        portal = replace(portal, backend=PortalBackend(arguments.backend))
    if arguments.node_name:
        portal = replace(portal, node_name=flag("--node-name", parse_object_name, arguments.node_name))
    return replace(found, portal=portal)


def run(arguments: argparse.Namespace) -> int:
    """Programme until stopped, or as the flags say."""
    found = settings(arguments)
    if not (checks.may(checks.CAP_NET_ADMIN) or arguments.dry_run):
        raise ConfigError("skydns portal changes the kernel's rules: run it as root, or with CAP_NET_ADMIN")
    seconds = timeout(arguments)
    from skydns_py import portal_app  # noqa: PLC0415  # Twisted is for the servers, not for every command

    if arguments.cleanup:
        return portal_app.clean_up(found)
    return portal_app.run(found, portal_app.How(arguments.once, arguments.dry_run, seconds))


def timeout(arguments: argparse.Namespace) -> int:
    """The seconds that ``--once`` and ``--dry-run`` may take; ConfigError for nonsense."""
    if not arguments.timeout:
        return TIMEOUT
    if not (arguments.once or arguments.dry_run):
        raise ConfigError("--timeout: only for --once and --dry-run; else the source is awaited for ever")
    return flag("--timeout", parse_timeout, arguments.timeout)


def parse_timeout(text: str) -> int:
    """Whole seconds from 1 to a day."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text) or int(text) > LONGEST_TIMEOUT:
        raise ValueError(f"{text!r} is not a number of seconds from 1 to {LONGEST_TIMEOUT}")
    return int(text)
