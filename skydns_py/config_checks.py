"""What the settings of different sections must not do to each other: the reason, or a ConfigError with it."""

from collections.abc import Callable

from skydns_py import settings as s
from skydns_py.config_fields import Field
from skydns_py.errors import ConfigError


def check_etcd(etcd: s.EtcdSource, refusal: Callable[[str, str], ConfigError]) -> None:
    """The refusal that ``refusal(key, reason)`` makes, where etcd's keys contradict each other."""
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


def check_encrypted(settings: s.Settings, field: Field) -> None:
    """ConfigError where HTTPS has no certificate, nobody uses the one there is, or two share an address."""
    if settings.tls.cert and not settings.tls.listen and not settings.https.listen:
        why = "missing; a certificate serves nobody unless tls.listen or https.listen names an address"
        raise field.refusal(why, "tls.listen", field.key_node("tls"))
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


def within(settings: s.Settings) -> str:
    """Why the balancer's keys cannot be where they are; "" where they can."""
    found = settings.source if isinstance(settings.source, s.EtcdSource) else s.EtcdSource()
    for other in (found.registry_prefix, found.skydns_prefix, found.allocation_prefix):
        if f"{settings.balancer.prefix}/".startswith(f"{other}/"):
            return f"{settings.balancer.prefix} is within {other}, which holds other things; name another"
    return ""


def overlap(settings: s.Settings) -> str:
    """Why the zone cannot stand beside the reverse zones; "" where it can."""
    for reverse in settings.reverse_zones:
        if f".{reverse}".endswith(f".{settings.zone}") or f".{settings.zone}".endswith(f".{reverse}"):
            return f"{settings.zone} and the reverse zone {reverse} overlap; change one"
    return ""
