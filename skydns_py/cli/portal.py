"""``skydns portal``: keeps the kernel's rules to what the cluster says, in the foreground."""

import argparse
from dataclasses import replace

from skydns_py import checks, config
from skydns_py.cli import Commands
from skydns_py.errors import ConfigError
from skydns_py.settings import PortalBackend, Settings
from skydns_py.settings_text import parse_object_name


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
    parser.add_argument("--backend", choices=[each.value for each in PortalBackend], help="(auto)")
    parser.add_argument("--node-name", metavar="NAME", default="", help="this node (the host's own name)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="wait for the source, programme once and exit")
    what.add_argument("--dry-run", action="store_true", help="print what would be run, and change nothing")
    what.add_argument("--cleanup", action="store_true", help="remove everything of ours from the kernel")
    parser.set_defaults(run=run)


def settings(arguments: argparse.Namespace) -> Settings:
    """What the programmer runs with; ConfigError where file and flags give nothing to follow."""
    flags = config.Flags(manifests=arguments.manifests, etcd=tuple(arguments.etcd))
    loaded = config.load(arguments.config, flags, need_source=not arguments.cleanup)
    found = checks.with_manifests(loaded)
    portal = found.portal
    if arguments.backend:
        portal = replace(portal, backend=PortalBackend(arguments.backend))
    if arguments.node_name:
        portal = replace(portal, node_name=config.flag("--node-name", parse_object_name, arguments.node_name))
    return replace(found, portal=portal)


def run(arguments: argparse.Namespace) -> int:
    """Programme until stopped, or as the flags say."""
    found = settings(arguments)
    if not (checks.may(checks.CAP_NET_ADMIN) or arguments.dry_run):
        raise ConfigError("skydns portal changes the kernel's rules: run it as root, or with CAP_NET_ADMIN")
    from skydns_py import portal_app  # noqa: PLC0415  # Twisted is for the servers, not for every command

    if arguments.cleanup:
        return portal_app.clean_up(found)
    return portal_app.run(found, once=arguments.once, dry_run=arguments.dry_run)
