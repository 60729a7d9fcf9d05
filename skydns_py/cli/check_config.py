"""``skydns check-config``: validate a file and print what it amounts to, defaults included."""

import argparse
from typing import Any

import yaml

from skydns_py import config
from skydns_py.cli import Commands
from skydns_py.settings import (
    AnySource,
    BalancerSettings,
    EtcdSource,
    HostPort,
    HttpSettings,
    KubernetesSource,
    ManifestSource,
    PoolSettings,
    PortalSettings,
    Settings,
    WebhookSettings,
)


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
            "autopath": settings.search.autopath,
            "networks": {str(network): namespace for network, namespace in settings.search.networks},
        },
        "portal": _portal(settings.portal),
        "balancer": _balancer(settings.balancer),
        "wait_for_portal": {
            "socket": settings.wait_for_portal.socket,
            "seconds": settings.wait_for_portal.seconds,
        },
        "http": _http(settings.http),
        "tcp": {"max_connections": settings.tcp.max_connections, "idle_seconds": settings.tcp.idle_seconds},
        "tls": {
            "listen": [str(at) for at in settings.tls.listen],
            "cert": settings.tls.cert,
            "key": settings.tls.key,
        },
        "https": {"listen": [str(at) for at in settings.https.listen], "path": settings.https.path},
        "logging": {"level": settings.log_level.value},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _source(source: AnySource) -> dict[str, Any]:
    if isinstance(source, KubernetesSource):
        return {"kubernetes": _kubernetes(source)}
    if isinstance(source, ManifestSource):
        return {"manifests": {"path": source.path, **_allocation(source), "state": source.state}}
    texts = ("registry_prefix", "skydns_prefix", "ca", "cert", "key", "username", "password_file")
    values = {key: getattr(source, key) for key in texts}
    return {"etcd": {"endpoints": list(source.endpoints), **values, **_allocation(source)}}


def _kubernetes(source: KubernetesSource) -> dict[str, Any]:
    values = {key: getattr(source, key) for key in ("kubeconfig", "in_cluster", "label_selector")}
    return {**values, "namespaces": list(source.namespaces)}


def _allocation(source: ManifestSource | EtcdSource) -> dict[str, str]:
    first, last = source.node_ports
    return {"portal_net": ",".join(map(str, source.portal_net)), "node_ports": f"{first}-{last}"}


def _portal(portal: PortalSettings) -> dict[str, Any]:
    return {
        "backend": portal.backend.value,
        "iptables": portal.iptables.value,
        "node_name": portal.node_name,
        "node_addresses": [str(each) for each in portal.node_addresses],
        "cluster_cidr": [str(each) for each in portal.cluster_cidr],
        "masquerade_all": portal.masquerade_all,
        "localhost_node_ports": portal.localhost_node_ports,
        "untracked": list(portal.untracked),
        "announce": portal.announce,
        "http": _http(portal.http),
    }


def _balancer(balancer: BalancerSettings) -> dict[str, Any]:
    return {
        "pools": [_pool(each) for each in balancer.pools],
        "provider": balancer.provider.value,
        "webhook": _webhook(balancer.webhook),
        "interface": balancer.interface,
        "prefix": balancer.prefix,
        "namespace": balancer.namespace,
        "lease_seconds": balancer.lease_seconds,
        "node_name": balancer.node_name,
        "http": _http(balancer.http),
    }


def _pool(pool: PoolSettings) -> dict[str, Any]:
    lists = {key: list(getattr(pool, key)) for key in ("addresses", "namespaces", "classes")}
    return {"name": pool.name, **lists}


def _webhook(webhook: WebhookSettings) -> dict[str, Any]:
    texts = {key: getattr(webhook, key) for key in ("url", "token_file", "ca")}
    return {**texts, "timeout_seconds": webhook.timeout_seconds, "classes": list(webhook.classes)}


def _http(http: HttpSettings) -> dict[str, str]:
    return {key: _address(getattr(http, key)) for key in ("health", "ready", "metrics")}


def _address(at: HostPort | None) -> str:
    return str(at) if at else ""
