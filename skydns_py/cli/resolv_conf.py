"""``skydns resolv-conf``: the client's half of short names, as a pod in one namespace gets it.

No address is made up.  Without ``--nameserver``, those are printed that the file's ``listen`` names and
that another network namespace can use: port 53, which is all resolv.conf can say, and neither a
wildcard nor a loopback address.  Where none is left there is no ``nameserver`` line, and a note on
standard error; glibc would then ask 127.0.0.1.
"""

import argparse
import ipaddress
import sys
from collections.abc import Sequence

from skydns_py import config
from skydns_py.cli import Commands
from skydns_py.config_flags import Flags, flag
from skydns_py.errors import ConfigError
from skydns_py.settings import HostPort
from skydns_py.settings_text import parse_domain, parse_ip, parse_namespace

MAX_NAMESERVERS = 3
"""resolv.conf(5): MAXNS; glibc and musl ignore the rest."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("resolv-conf", help="print a pod's resolv.conf", allow_abbrev=False)
    parser.add_argument("-n", "--namespace", metavar="NS", required=True, help="the pod's namespace")
    parser.add_argument("--zone", metavar="NAME", default="", help="the cluster's domain (cluster.local)")
    parser.add_argument(
        "--nameserver",
        metavar="IP",
        action="append",
        default=[],
        help="the DNS server as a pod reaches it (repeatable)",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="take zone and listen from these settings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    settings = config.load(arguments.config, Flags(zone=arguments.zone), need_source=False)
    namespace = flag("--namespace", parse_namespace, arguments.namespace)
    given = [flag("--nameserver", parse_ip, text) for text in arguments.nameserver]
    if len(given) > MAX_NAMESERVERS:
        raise ConfigError(f"--nameserver: a resolver reads {MAX_NAMESERVERS} of them; give no more")
    nameservers = given or reachable(settings.listen)[:MAX_NAMESERVERS]
    print(render(namespace, settings.zone, nameservers), end="")
    if not nameservers:
        print("skydns: no nameserver line: give --nameserver IP", file=sys.stderr)
    return 0


def render(namespace: str, zone: str, nameservers: Sequence[str]) -> str:
    """The file's text; ConfigError where the namespace makes names too long below this zone."""
    search = flag("--namespace", parse_domain, f"{namespace}.svc.{zone}")
    lines = [f"search {search} svc.{zone} {zone}"]
    lines += [f"nameserver {address}" for address in nameservers]
    return "\n".join([*lines, "options ndots:5", ""])


def reachable(listen: Sequence[HostPort]) -> list[str]:
    """The addresses a client elsewhere can use as they stand."""
    return [at.host for at in listen if at.port == 53 and _is_concrete(at.host)]


def _is_concrete(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return not address.is_unspecified and not address.is_loopback
