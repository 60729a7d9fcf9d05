"""Effective settings, printed so that they can be read again."""

import ipaddress
from collections.abc import Callable
from dataclasses import replace

import yaml
from hypothesis import given
from hypothesis import strategies as st

from skydns_py import config
from skydns_py.cli.check_config import effective
from skydns_py.settings import (
    BalancerProvider,
    BalancerSettings,
    EtcdSource,
    HostPort,
    HttpSettings,
    HttpsSettings,
    IptablesVariant,
    LogLevel,
    ManifestSource,
    PodRecords,
    PoolSettings,
    PortalBackend,
    PortalSettings,
    SearchSettings,
    Settings,
    TcpSettings,
    TlsSettings,
    WaitSettings,
    WebhookSettings,
)
from tests.cli.conftest import Run

ADDRESSES = st.builds(HostPort, st.ip_addresses().map(str), st.integers(0, 65535))
PATHS = st.text(min_size=1).filter(lambda text: "\0" not in text)
PORTAL_NETS = st.lists(
    st.sampled_from(["10.0.0.0/24", "fd00:10::/108"]).map(ipaddress.ip_network), unique=True
).map(tuple)
NODE_PORTS = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted).map(tuple)
ETCD = st.builds(
    EtcdSource,
    endpoints=st.lists(
        st.sampled_from(["https://a:1", "https://[2001:db8::1]:2379", "https://10.0.0.1:2379"]),
        min_size=1,
        unique=True,
    ).map(tuple),
    registry_prefix=st.sampled_from(["/registry", "/a/b"]),
    skydns_prefix=st.sampled_from(["/skydns", "/true"]),
    ca=st.text(),
    cert=st.just("on"),
    key=st.just("null"),
    username=st.just("1"),
    password_file=PATHS,
    portal_net=PORTAL_NETS,
    node_ports=NODE_PORTS,
)
NETWORKS = st.lists(
    st.tuples(
        st.sampled_from(["0.0.0.0/0", "10.1.0.0/16", "::/0", "2001:db8::/32"]).map(ipaddress.ip_network),
        st.sampled_from(["a", "no", "1", "my-ns"]),
    ),
    unique_by=lambda pair: pair[0],
).map(tuple)
TEXTS = st.lists(st.text(), unique=True).map(tuple)


def _apart(pools: list[PoolSettings]) -> tuple[PoolSettings, ...]:
    """Pools that do not overlap."""
    texts = [("192.0.2.10-192.0.2.20", "2001:db8::/120"), ("192.0.2.1",), ("198.51.100.0/24",)]
    return tuple(replace(pool, addresses=each) for pool, each in zip(pools, texts, strict=False))


BALANCER = st.builds(
    BalancerSettings,
    pools=st.lists(
        st.builds(
            PoolSettings,
            st.sampled_from(["a", "1", "no"]),
            st.just(()),
            st.lists(st.sampled_from(["my-ns", "1"]), unique=True).map(tuple),
            TEXTS,
        ),
        unique_by=lambda pool: pool.name,
    ).map(_apart),
    interface=st.sampled_from(["", "eth0", "1"]),
    prefix=st.sampled_from(["/lb", "/skydns.balancer"]),
    namespace=st.sampled_from(["kube-system", "lb"]),
    lease_seconds=st.integers(2, 60),
    node_name=st.sampled_from(["", "no", "node-1"]),
    http=st.builds(HttpSettings, *[st.none() | ADDRESSES] * 3),
) | st.builds(
    BalancerSettings,
    provider=st.just(BalancerProvider.WEBHOOK),
    webhook=st.builds(
        WebhookSettings, st.just("https://lb.example/x"), st.text(), st.text(), st.integers(1, 300), TEXTS
    ),
)
SETTINGS = st.builds(
    Settings,
    zone=st.sampled_from(["cluster.local", "a", "1.2", "xn--bcher-kva.example"]),
    listen=st.lists(ADDRESSES, min_size=1, unique=True).map(tuple),
    ttl_seconds=st.integers(0, 3600),
    reverse_zones=st.lists(st.sampled_from(["in-addr.arpa", "0.d.f.ip6.arpa"]), unique=True).map(tuple),
    pods=st.sampled_from(PodRecords),
    legacy_names=st.booleans(),
    edns_size_octets=st.integers(512, 4096),
    source=ETCD | st.builds(ManifestSource, PATHS, PORTAL_NETS, NODE_PORTS, st.text()),
    search=st.builds(SearchSettings, enabled=st.booleans(), autopath=st.booleans(), networks=NETWORKS),
    http=st.builds(HttpSettings, *[st.none() | ADDRESSES] * 3),
    portal=st.builds(
        PortalSettings,
        backend=st.sampled_from(PortalBackend),
        iptables=st.sampled_from(IptablesVariant),
        node_name=st.sampled_from(["", "no", "node-1.example"]),
        node_addresses=NETWORKS.map(lambda pairs: tuple(network for network, _ in pairs)),
        masquerade_all=st.booleans(),
        localhost_node_ports=st.booleans(),
        untracked=st.lists(st.ip_addresses().map(str), unique=True).map(tuple),
        http=st.builds(HttpSettings, *[st.none() | ADDRESSES] * 3),
    ),
    wait_for_portal=st.builds(WaitSettings, st.text(), st.integers(1, 60)),
    balancer=BALANCER,
    tcp=st.builds(TcpSettings, st.integers(1, 1_000_000), st.integers(1, 3600)),
    tls=st.sampled_from(
        [TlsSettings((), "a", "b"), TlsSettings((HostPort("::1", 0), HostPort("::1", 853)), "/a", "/b")]
    ),
    https=st.sampled_from([HttpsSettings(), HttpsSettings((HostPort("::1", 443),), "/")]),
    log_level=st.sampled_from(LogLevel),
).filter(lambda settings: settings.tls.listen or settings.https.listen)


@given(SETTINGS)
def test_printed_settings_are_read_as_the_same_settings(settings: Settings) -> None:
    assert config.parse(effective(settings), "effective.yaml") == settings


def test_defaults_are_printed_with_what_the_file_says(
    skydns: Run, manifest: Callable[[str, str], str]
) -> None:
    done = skydns("check-config", manifest("s.yaml", "ttl: 30\nsource: {manifests: {path: demo}}\n"))
    assert (done.code, done.err) == (0, [])
    assert yaml.safe_load(done.text) == {
        "zone": "cluster.local",
        "listen": ["127.0.0.1:5353", "[::1]:5353"],
        "ttl": 30,
        "reverse_zones": ["in-addr.arpa", "ip6.arpa"],
        "pods": "verified",
        "legacy_names": True,
        "edns_size": 1232,
        "dataplane": {"kind": "auto", "threads": 1},
        "source": {"manifests": {"path": "demo", "portal_net": "", "node_ports": "30000-32767", "state": ""}},
        "search": {"enabled": True, "autopath": True, "networks": {}},
        "portal": {
            "backend": "auto",
            "iptables": "auto",
            "node_name": "",
            "node_addresses": [],
            "cluster_cidr": [],
            "masquerade_all": False,
            "localhost_node_ports": False,
            "untracked": [],
            "announce": "",
            "http": {"health": "127.0.0.1:10256", "ready": "127.0.0.1:10256", "metrics": "127.0.0.1:10249"},
        },
        "balancer": {
            "pools": [],
            "provider": "layer2",
            "webhook": {"url": "", "token_file": "", "ca": "", "timeout_seconds": 10, "classes": []},
            "interface": "",
            "prefix": "/skydns.balancer",
            "namespace": "kube-system",
            "lease_seconds": 2,
            "node_name": "",
            "http": {"health": "127.0.0.1:10266", "ready": "127.0.0.1:10266", "metrics": "127.0.0.1:10266"},
        },
        "wait_for_portal": {"socket": "", "seconds": 5},
        "http": {"health": "127.0.0.1:8080", "ready": "127.0.0.1:8181", "metrics": "127.0.0.1:9153"},
        "tcp": {"max_connections": 1000, "idle_seconds": 10},
        "tls": {"listen": [], "cert": "", "key": ""},
        "https": {"listen": [], "path": "/dns-query"},
        "logging": {"level": "info"},
    }


def test_the_output_is_a_config_whose_output_is_the_same(
    skydns: Run, manifest: Callable[[str, str], str]
) -> None:
    first = skydns("check-config", manifest("a.yaml", "source: {etcd: {username: me, password_file: p}}"))
    again = skydns("check-config", manifest("b.yaml", first.text))
    assert (again.code, again.out) == (0, first.out)


def test_a_bad_file_prints_nothing_and_exits_2(skydns: Run, manifest: Callable[[str, str], str]) -> None:
    path = manifest("s.yaml", "ttl: 5\nforward: {}\n")
    done = skydns("check-config", path)
    assert (done.code, done.out) == (2, [])
    assert done.err == [f"skydns: {path}:2: forward: not available in this version; remove it"]
