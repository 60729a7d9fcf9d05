"""``skydns serve``: the DNS server, in the foreground."""

import argparse

from skydns_py import checks, config
from skydns_py.cli import Commands, add_kubernetes
from skydns_py.config_flags import Flags
from skydns_py.settings import Settings


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("serve", help="answer DNS queries, in the foreground", allow_abbrev=False)
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="YAML settings; a flag replaces the file's value"
    )
    parser.add_argument("--manifests", metavar="PATH", default="", help="serve what this file or folder says")
    parser.add_argument(
        "--etcd", metavar="URL", action="append", default=[], help="serve what this etcd says (repeatable)"
    )
    add_kubernetes(parser, "serve")
    parser.add_argument("--zone", metavar="NAME", default="", help="the cluster's domain (cluster.local)")
    parser.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        action="append",
        default=[],
        help="UDP and TCP address to answer on (repeatable; 127.0.0.1:5353 and [::1]:5353)",
    )
    parser.set_defaults(run=run)


def settings(arguments: argparse.Namespace) -> Settings:
    """What the server runs with; ConfigError where file and flags give nothing that could be served."""
    flags = Flags(
        manifests=arguments.manifests,
        etcd=tuple(arguments.etcd),
        kubeconfig=arguments.kubeconfig,
        in_cluster=arguments.in_cluster,
        zone=arguments.zone,
        listen=tuple(arguments.listen),
    )
    return checks.with_manifests(config.load(arguments.config, flags))


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    found = settings(arguments)
    from skydns_py.app import run as serve  # noqa: PLC0415  # Twisted is for the server, not for every command

    return serve(found)
