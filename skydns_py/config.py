"""From a YAML file and flags to ``Settings``, or one line that says what to mend.

1. A refusal names file, line and key path: ``skydns.yaml:7: source.etcd.endpoints[0]: …``.
2. Nothing is ignored: an unknown key is a typing error, and a key of a later version a wrong hope.
3. A flag replaces the file's value; the file is still read whole, so a broken file never starts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from skydns_py import settings as s
from skydns_py import settings_text as texts
from skydns_py.config_fields import (
    Field,
    Read,
    boolean,
    choice,
    compose,
    list_of,
    number,
    pairs,
    parsed,
    section,
    text_of,
)
from skydns_py.config_pools import check_portal_net, pools
from skydns_py.errors import ConfigError

T = TypeVar("T")

LATER = frozenset({"forward", "cache", "snapshot", "stub_domains"})
"""Keys that the design names and a later version brings."""


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


def load(path: str | None, flags: Flags = NO_FLAGS, *, need_source: bool = True) -> s.Settings:
    """The settings of the file at ``path`` (None: defaults) under ``flags``; ConfigError where unusable."""
    return parse(_read(path) if path is not None else "", path or "", flags, need_source=need_source)


def parse(text: str, file: str, flags: Flags = NO_FLAGS, *, need_source: bool = True) -> s.Settings:
    """The settings that YAML ``text`` and ``flags`` give; ``file`` is the name that refusals show."""
    node = compose(text, file)
    settings = s.Settings() if node is None else _settings(Field(file, node, ""))
    settings = _with_flags(settings, flags)
    if settings.source is None and need_source:
        raise ConfigError(f"{file}:1: source: missing; {_SOURCE_HINT}" if file else _SOURCE_HINT)
    return settings


def place(path: str | None, key: str) -> str:
    """``skydns.yaml:7: balancer.interface`` where that valid file has the key, otherwise the key alone."""
    node = compose(_read(path), path) if path else None
    if not path or node is None:
        return key
    field, line = Field(path, node, ""), 0
    for name in key.split("."):
        line = next((at.start_mark.line + 1 for each, at, _ in pairs(field) if each == name), 0)
        if not line:
            return key
        field = field.below(name)
    return f"{path}:{line}: {key}"


_SOURCE_HINT = (
    "give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
    "or source.manifests, source.etcd or source.kubernetes in -c FILE"
)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None


def _section(field: Field, readers: Mapping[str, Read]) -> dict[str, Any]:
    return section(field, readers, LATER)


def _networks(field: Field) -> tuple[tuple[s.IPNetwork, str], ...]:
    found: dict[s.IPNetwork, str] = {}
    for key, node, value in pairs(field):
        path = f"{field.path}[{json.dumps(key)}]"
        network = parsed(texts.parse_network)(Field(field.file, node, path))
        if network in found:
            raise field.refusal("given twice", path, node)
        found[network] = parsed(texts.parse_namespace)(Field(field.file, value, path))
    return tuple(found.items())


def _page(field: Field) -> s.HostPort | None:
    found = parsed(lambda text: texts.parse_host_port(text) if text else None)(field)
    return replace(found, where=field.place) if found else None


def _prefix(text: str) -> str:
    if not text.startswith("/") or text.endswith("/") or "//" in text:
        raise ValueError(f"{text!r} must begin with '/' and not end with it, as /registry")
    return text


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("must name a file or folder")
    return text


def _etcd(field: Field) -> s.EtcdSource:
    values = _section(field, _ETCD)
    etcd = s.EtcdSource(**values)
    _check_etcd(etcd, field.key_refusal)
    return etcd


def _check_etcd(etcd: s.EtcdSource, refusal: Callable[[str, str], ConfigError]) -> None:
    secure = {url.startswith("https:") for url in etcd.endpoints}
    if len(secure) > 1:
        raise refusal("endpoints", "http and https are mixed; use one of them for all")
    if secure == {False} and (etcd.ca or etcd.cert or etcd.key):
        raise refusal("endpoints", "ca, cert and key need https:// endpoints")
    if f"{etcd.skydns_prefix}/".startswith(f"{etcd.registry_prefix}/"):
        raise refusal("skydns_prefix", f"must not be within registry_prefix {etcd.registry_prefix}")
    if etcd.portal_net and f"{etcd.allocation_prefix}/".startswith(f"{etcd.skydns_prefix}/"):
        raise refusal("portal_net", f"reservations at {etcd.allocation_prefix} would be within skydns_prefix")
    if bool(etcd.cert) != bool(etcd.key):
        raise refusal("key" if etcd.cert else "cert", "cert and key belong together; give both or neither")
    if bool(etcd.username) != bool(etcd.password_file):
        missing = "password_file" if etcd.username else "username"
        raise refusal(missing, "username and password_file belong together; give both or neither")


def _source(field: Field) -> s.AnySource:
    values: dict[str, s.AnySource] = _section(field, _SOURCES)
    if len(values) != 1:
        at = list(values)[-1] if values else ""
        raise field.refusal("give exactly one of manifests, etcd and kubernetes", node=field.key_node(at))
    return next(iter(values.values()))


def _manifests(field: Field) -> s.ManifestSource:
    values = _section(field, _MANIFESTS)
    if "path" not in values:
        raise field.refusal("missing; name a file or folder", field.child("path"))
    return s.ManifestSource(**values)


def _kubernetes(field: Field) -> s.KubernetesSource:
    found = s.KubernetesSource(**_section(field, _KUBERNETES))
    if bool(found.kubeconfig) == found.in_cluster:
        at = "in_cluster" if found.in_cluster else ""
        raise field.refusal("give exactly one of kubeconfig and in_cluster", node=field.key_node(at))
    return found


_SOURCES: dict[str, Read] = {"manifests": _manifests, "etcd": _etcd, "kubernetes": _kubernetes}


def _balancer(field: Field) -> s.BalancerSettings:
    balancer = s.BalancerSettings(**_section(field, _BALANCER))
    if (balancer.provider is s.BalancerProvider.WEBHOOK) != bool(balancer.webhook.url):
        raise field.key_refusal("provider", "webhook and webhook.url belong together; give both or neither")
    if balancer.pools and balancer.webhook.url:
        raise field.key_refusal("pools", "are for layer2; the webhook knows its own addresses")
    return balancer


def _tls(field: Field) -> s.TlsSettings:
    tls = s.TlsSettings(**_section(field, _TLS))
    if bool(tls.cert) != bool(tls.key):
        missing = "key" if tls.cert else "cert"
        raise field.key_refusal(missing, "cert and key belong together; give both or neither")
    if tls.listen and not tls.cert:
        raise field.key_refusal("cert", "missing; tls.listen needs a certificate and its key")
    return tls


def _check_encrypted(settings: s.Settings, field: Field) -> None:
    """ConfigError where HTTPS has no certificate, or a transport another one's address."""
    if settings.https.listen and not settings.tls.cert:
        why = "missing; https.listen needs a certificate and its key, in tls.cert and tls.key"
        raise field.refusal(why, "tls.cert", field.key_node("https"))
    taken = dict.fromkeys(settings.listen, "listen")
    for key, listen in (("tls", settings.tls.listen), ("https", settings.https.listen)):
        for place in listen:
            if place in taken and place.port:
                why = f"{place} is in {taken[place]} already; every transport needs a port of its own"
                raise field.refusal(why, f"{key}.listen", field.key_node(key))
        taken |= dict.fromkeys(listen, f"{key}.listen")


def _settings(field: Field) -> s.Settings:
    values = _section(field, _TOP)
    settings = s.Settings(**{_RENAMED.get(key, key): value for key, value in values.items()})
    _check_encrypted(settings, field)
    if clash := _overlap(settings):
        raise field.key_refusal("zone", clash)
    if clash := _within(settings):
        raise field.refusal(clash, "balancer.prefix", field.key_node("balancer"))
    check_portal_net(field, settings)
    return settings


def _within(settings: s.Settings) -> str:
    """Why the balancer's keys cannot be where they are; "" where they can."""
    found = settings.source if isinstance(settings.source, s.EtcdSource) else s.EtcdSource()
    for other in (found.registry_prefix, found.skydns_prefix, found.allocation_prefix):
        if f"{settings.balancer.prefix}/".startswith(f"{other}/"):
            return f"{settings.balancer.prefix} is within {other}, which holds other things; name another"
    return ""


def _overlap(settings: s.Settings) -> str:
    """Why the zone cannot stand beside the reverse zones; "" where it can."""
    for reverse in settings.reverse_zones:
        if f".{reverse}".endswith(f".{settings.zone}") or f".{settings.zone}".endswith(f".{reverse}"):
            return f"{settings.zone} and the reverse zone {reverse} overlap; change one"
    return ""


def _with_flags(settings: s.Settings, flags: Flags) -> s.Settings:
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
        if clash := _overlap(settings):
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
    _check_etcd(etcd, lambda _, reason: ConfigError(f"--etcd: {reason}"))
    return etcd


def _kubernetes_flag(settings: s.Settings, kubeconfig: str) -> s.KubernetesSource:
    """The flag's way to the API (``--in-cluster`` without a file) under whatever else the file says."""
    base = settings.source if isinstance(settings.source, s.KubernetesSource) else s.KubernetesSource()
    return replace(base, kubeconfig=kubeconfig, in_cluster=not kubeconfig)


def _portal_net_flag(source: s.EtcdSource | None, text: str) -> s.EtcdSource:
    networks = flag("--portal-net", texts.parse_portal_net, text)
    etcd = replace(source or s.EtcdSource(), portal_net=networks)
    _check_etcd(etcd, lambda _, reason: ConfigError(f"--portal-net: {reason}"))
    return etcd


def flag(name: str, parser: Callable[[str], T], text: str) -> T:
    """The parsed value of a flag; ConfigError that names the flag."""
    try:
        return parser(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


_ALLOCATION: dict[str, Read] = {
    "portal_net": parsed(texts.parse_portal_net),
    "node_ports": parsed(texts.parse_node_ports),
}
_ETCD: dict[str, Read] = {
    "endpoints": list_of(parsed(texts.parse_etcd_url), may_be_empty=False),
    **dict.fromkeys(("registry_prefix", "skydns_prefix"), parsed(_prefix)),
    **dict.fromkeys(("ca", "cert", "key", "username", "password_file"), text_of),
    **_ALLOCATION,
}
_KUBERNETES: dict[str, Read] = {
    "kubeconfig": text_of,
    "in_cluster": boolean,
    "namespaces": list_of(parsed(texts.parse_namespace), may_be_empty=True),
    "label_selector": text_of,
}
_MANIFESTS: dict[str, Read] = {"path": parsed(_path), **_ALLOCATION, "state": text_of}
_SEARCH: dict[str, Read] = {"enabled": boolean, "autopath": boolean, "networks": _networks}
_HTTP: dict[str, Read] = dict.fromkeys(("health", "ready", "metrics"), _page)
_DATAPLANE: dict[str, Read] = {"kind": choice(s.Dataplane), "threads": number(1, 64)}
_PORTAL: dict[str, Read] = {
    "backend": choice(s.PortalBackend),
    "iptables": choice(s.IptablesVariant),
    "node_name": parsed(lambda text: texts.parse_object_name(text) if text else ""),
    "node_addresses": list_of(parsed(texts.parse_some_network), may_be_empty=True),
    "cluster_cidr": list_of(parsed(texts.parse_network), may_be_empty=True),
    **dict.fromkeys(("masquerade_all", "localhost_node_ports"), boolean),
    "untracked": list_of(parsed(texts.parse_ip), may_be_empty=True),
    "announce": text_of,
    "http": lambda field: replace(s.PortalSettings().http, **_section(field, _HTTP)),
}
_WEBHOOK: dict[str, Read] = {
    "url": parsed(lambda text: texts.parse_http_url(text) if text else ""),
    "token_file": text_of,
    "ca": text_of,
    "timeout_seconds": number(1, 300),
    "classes": list_of(text_of, may_be_empty=True),
}
_BALANCER: dict[str, Read] = {
    "pools": pools,
    "provider": choice(s.BalancerProvider),
    "webhook": lambda field: s.WebhookSettings(**_section(field, _WEBHOOK)),
    "interface": parsed(texts.parse_interface),
    "prefix": parsed(_prefix),
    "namespace": parsed(texts.parse_namespace),
    "lease_seconds": number(2, 60),
    "node_name": parsed(lambda text: texts.parse_object_name(text) if text else ""),
    "http": lambda field: replace(s.BalancerSettings().http, **_section(field, _HTTP)),
}
_WAIT: dict[str, Read] = {"socket": text_of, "seconds": number(1, 60)}
_TCP: dict[str, Read] = {"max_connections": number(1, 1_000_000), "idle_seconds": number(1, 3600)}
_LISTEN = list_of(parsed(texts.parse_host_port), may_be_empty=True)
_TLS: dict[str, Read] = {"listen": _LISTEN, **dict.fromkeys(("cert", "key"), text_of)}
_HTTPS: dict[str, Read] = {"listen": _LISTEN, "path": parsed(texts.parse_url_path)}
_TOP: dict[str, Read] = {
    "zone": parsed(texts.parse_zone),
    "listen": list_of(parsed(texts.parse_host_port), may_be_empty=False),
    "ttl": number(0, 3600),
    "reverse_zones": list_of(parsed(texts.parse_reverse_zone), may_be_empty=True),
    "pods": choice(s.PodRecords),
    "legacy_names": boolean,
    "edns_size": number(512, 4096),
    "dataplane": lambda field: s.DataplaneSettings(**_section(field, _DATAPLANE)),
    "source": _source,
    "search": lambda field: s.SearchSettings(**_section(field, _SEARCH)),
    "portal": lambda field: s.PortalSettings(**_section(field, _PORTAL)),
    "balancer": _balancer,
    "wait_for_portal": lambda field: s.WaitSettings(**_section(field, _WAIT)),
    "http": lambda field: s.HttpSettings(**_section(field, _HTTP)),
    "tcp": lambda field: s.TcpSettings(**_section(field, _TCP)),
    "tls": _tls,
    "https": lambda field: s.HttpsSettings(**_section(field, _HTTPS)),
    "logging": lambda field: _section(field, {"level": choice(s.LogLevel)}).get("level", s.LogLevel.INFO),
}
_RENAMED = {"ttl": "ttl_seconds", "edns_size": "edns_size_octets", "logging": "log_level"}
