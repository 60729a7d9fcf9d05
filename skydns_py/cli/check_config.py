"""``skydns check-config``: validate a file and print what it amounts to, defaults included."""

import argparse
from typing import Any

import yaml

from skydns_py import config
from skydns_py.cli import Commands
from skydns_py.settings import EtcdSource, HostPort, ManifestSource, Settings


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check-config", help="validate settings and print them with defaults", allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE", help="YAML settings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the effective settings."""
    print(effective(config.load(arguments.file)), end="")
    return 0


def effective(settings: Settings) -> str:
    """The settings as YAML with every key; reading it gives equal settings."""
    document: dict[str, Any] = {
        "zone": settings.zone,
        "listen": [str(at) for at in settings.listen],
        "ttl": settings.ttl_seconds,
        "reverse_zones": list(settings.reverse_zones),
        "pods": settings.pods.value,
        "legacy_names": settings.legacy_names,
        "edns_size": settings.edns_size_octets,
        "dataplane": {"kind": settings.dataplane.kind.value, "threads": settings.dataplane.threads},
        **({"source": _source(settings.source)} if settings.source else {}),
        "search": {
            "enabled": settings.search.enabled,
            "networks": {str(network): namespace for network, namespace in settings.search.networks},
        },
        "http": {key: _address(getattr(settings.http, key)) for key in ("health", "ready", "metrics")},
        "tcp": {"max_connections": settings.tcp.max_connections, "idle_seconds": settings.tcp.idle_seconds},
        "logging": {"level": settings.log_level.value},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _source(source: ManifestSource | EtcdSource) -> dict[str, Any]:
    if isinstance(source, ManifestSource):
        return {"manifests": {"path": source.path}}
    texts = ("registry_prefix", "skydns_prefix", "ca", "cert", "key", "username", "password_file")
    return {"etcd": {"endpoints": list(source.endpoints), **{key: getattr(source, key) for key in texts}}}


def _address(at: HostPort | None) -> str:
    return str(at) if at else ""
