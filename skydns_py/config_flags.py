"""What the command line gives in place of the file's values."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from skydns_py import settings as s
from skydns_py import settings_text as texts
from skydns_py.config_checks import check_etcd, overlap
from skydns_py.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line gives in place of the file's values; "" and () where it gives nothing."""

    manifests: str = ""
    etcd: tuple[str, ...] = ()
    kubeconfig: str = ""
    in_cluster: bool = False
    portal_net: str = ""
    zone: str = ""
    listen: tuple[str, ...] = ()


NO_FLAGS = Flags()


def with_flags(settings: s.Settings, flags: Flags) -> s.Settings:
    """The settings under the flags; ConfigError that names the flag."""
    _check_sources(flags)
    if flags.manifests:
        settings = replace(settings, source=_manifests_flag(settings, flags.manifests))
    if flags.etcd:
        settings = replace(settings, source=_etcd_flag(settings, flags.etcd))
    if flags.kubeconfig or flags.in_cluster:
        settings = replace(settings, source=_kubernetes_flag(settings, flags.kubeconfig))
    if flags.portal_net and isinstance(settings.source, s.EtcdSource | None):
        settings = replace(settings, source=_portal_net_flag(settings.source, flags.portal_net))
    if flags.zone:
        settings = replace(settings, zone=flag("--zone", texts.parse_zone, flags.zone))
        if clash := overlap(settings):
            raise ConfigError(f"--zone: {clash}")
    if flags.listen:
        listen = tuple(flag("--listen", texts.parse_host_port, text) for text in flags.listen)
        settings = replace(settings, listen=tuple(dict.fromkeys(listen)))
    return settings


def _check_sources(flags: Flags) -> None:
    """ConfigError where the flags name more than one source."""
    sources = {
        "--manifests": flags.manifests,
        "--etcd": flags.etcd,
        "--kubeconfig": flags.kubeconfig,
        "--in-cluster": flags.in_cluster,
    }
    if len(given := [name for name, value in sources.items() if value]) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} are both given; keep exactly one")


def _manifests_flag(settings: s.Settings, path: str) -> s.ManifestSource:
    """The flag's path under whatever else the file says of manifests."""
    found = settings.source
    return replace(found, path=path) if isinstance(found, s.ManifestSource) else s.ManifestSource(path)


def _etcd_flag(settings: s.Settings, urls: tuple[str, ...]) -> s.EtcdSource:
    """The flag's endpoints under whatever else the file says of etcd."""
    endpoints = tuple(dict.fromkeys(flag("--etcd", texts.parse_etcd_url, url) for url in urls))
    base = settings.source if isinstance(settings.source, s.EtcdSource) else s.EtcdSource()
    etcd = replace(base, endpoints=endpoints)
    check_etcd(etcd, lambda _, reason: ConfigError(f"--etcd: {reason}"))
    return etcd


def _kubernetes_flag(settings: s.Settings, kubeconfig: str) -> s.KubernetesSource:
    """The flag's way to the API (``--in-cluster`` without a file) under whatever else the file says."""
    base = settings.source if isinstance(settings.source, s.KubernetesSource) else s.KubernetesSource()
    return replace(base, kubeconfig=kubeconfig, in_cluster=not kubeconfig)


def _portal_net_flag(source: s.EtcdSource | None, text: str) -> s.EtcdSource:
    networks = flag("--portal-net", texts.parse_portal_net, text)
    etcd = replace(source or s.EtcdSource(), portal_net=networks)
    check_etcd(etcd, lambda _, reason: ConfigError(f"--portal-net: {reason}"))
    return etcd


def flag(name: str, parser: Callable[[str], T], text: str) -> T:
    """The parsed value of a flag; ConfigError that names the flag."""
    try:
        return parser(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None
