"""``skydns balancer``: external load balancers, in the foreground; one runs on each node."""

import argparse
import os
from dataclasses import replace

from skydns_py import checks, config
from skydns_py.balancer import startup
from skydns_py.cli import Commands, add_kubernetes
from skydns_py.config_flags import Flags, flag
from skydns_py.errors import ConfigError
from skydns_py.settings import BalancerProvider, EtcdSource, KubernetesSource, Settings
from skydns_py.settings_text import parse_interface, parse_object_name


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "balancer", help="give Services addresses from outside, and announce them", allow_abbrev=False
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="YAML settings, with the pools")
    parser.add_argument(
        "--etcd", metavar="URL", action="append", default=[], help="the cluster's etcd (repeatable)"
    )
    add_kubernetes(parser, "serve")
    parser.add_argument("--node-name", metavar="NAME", default="", help="this node (the host's own name)")
    parser.add_argument(
        "--interface", metavar="NAME", default="", help="announce here (where the address's network is)"
    )
    parser.set_defaults(run=run)


def settings(arguments: argparse.Namespace) -> Settings:
    """What the balancer runs with; ConfigError where that is not enough."""
    flags = Flags("", tuple(arguments.etcd), arguments.kubeconfig, arguments.in_cluster)
    found = config.load(arguments.config, flags)
    if not isinstance(found.source, EtcdSource | KubernetesSource):
        raise ConfigError(
            "skydns balancer needs etcd or the Kubernetes API, where it writes what it gives: "
            "--etcd URL, --kubeconfig FILE or --in-cluster"
        )
    balancer = found.balancer
    if arguments.node_name:
        name = flag("--node-name", parse_object_name, arguments.node_name)
        balancer = replace(balancer, node_name=name)
    if arguments.interface:
        name = flag("--interface", parse_interface, arguments.interface)
        balancer = replace(balancer, interface=name)
    if balancer.provider is BalancerProvider.LAYER2 and not balancer.pools:
        raise ConfigError("balancer.pools: there are no addresses to give; name some in -c FILE")
    if isinstance(found.source, KubernetesSource):
        _check_name(balancer.node_name or os.uname().nodename.lower())
    return replace(found, balancer=balancer)


def _check_name(node: str) -> None:
    """ConfigError for a host whose name can be no Lease's."""
    try:
        parse_object_name(node)
    except ValueError:
        raise ConfigError(
            f"--node-name: this host is called {node!r}, which the Kubernetes API does not take; give a name"
        ) from None


def run(arguments: argparse.Namespace) -> int:
    """Take part until stopped."""
    found = settings(arguments)
    if found.balancer.provider is BalancerProvider.LAYER2 and not checks.may(
        checks.CAP_NET_ADMIN, checks.CAP_NET_RAW
    ):
        raise ConfigError(
            "skydns balancer announces addresses: run it as root, or with CAP_NET_ADMIN and CAP_NET_RAW"
        )
    startup.check(found.balancer, lambda key: place(arguments, key))
    from skydns_py import balancer_app  # noqa: PLC0415  # Twisted is for the servers, not for every command

    return balancer_app.run(found)


def place(arguments: argparse.Namespace, key: str) -> str:
    """Where a value came from: the flag, or file, line and key."""
    flag = {"balancer.interface": "--interface"}.get(key, "") if arguments.interface else ""
    return flag or config.place(arguments.config, key)
