"""From a YAML file and flags to ``Settings``, or one line that says what to mend.

1. A refusal names file, line and key path: ``skydns.yaml:7: source.etcd.endpoints[0]: …``.
2. Nothing is ignored: an unknown key is a typing error, and a key of a later version a wrong hope.
3. A flag replaces the file's value; the file is still read whole, so a broken file never starts.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from skydns_py import settings as s
from skydns_py import settings_text as texts
from skydns_py.config_checks import check_encrypted, check_etcd, overlap, within
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
from skydns_py.config_flags import NO_FLAGS, Flags, with_flags
from skydns_py.config_pools import check_portal_net, pools
from skydns_py.errors import ConfigError
from skydns_py.settings_selector import parse_selector

LATER = frozenset({"forward", "cache", "snapshot", "stub_domains"})
"""Keys that the design names and a later version brings."""


def load(path: str | None, flags: Flags = NO_FLAGS, *, need_source: bool = True) -> s.Settings:
    """The settings of the file at ``path`` (None: defaults) under ``flags``; ConfigError where unusable."""
    return parse(_read(path) if path is not None else "", path or "", flags, need_source=need_source)


def parse(text: str, file: str, flags: Flags = NO_FLAGS, *, need_source: bool = True) -> s.Settings:
    """The settings that YAML ``text`` and ``flags`` give; ``file`` is the name that refusals show."""
    node = compose(text, file)
    settings = s.Settings() if node is None else _settings(Field(file, node, ""))
    settings = with_flags(settings, flags)
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
    check_etcd(etcd, field.key_refusal)
    return etcd


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


def _settings(field: Field) -> s.Settings:
    values = _section(field, _TOP)
    settings = s.Settings(**{_RENAMED.get(key, key): value for key, value in values.items()})
    check_encrypted(settings, field)
    if clash := overlap(settings):
        raise field.key_refusal("zone", clash)
    if clash := within(settings):
        raise field.refusal(clash, "balancer.prefix", field.key_node("balancer"))
    check_portal_net(field, settings)
    return settings


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
    "label_selector": parsed(parse_selector),
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
