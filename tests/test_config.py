"""Settings from a file and from flags: every default, every refusal with its file, line and key path."""

import ipaddress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skydns_py import config
from skydns_py.config_flags import NO_FLAGS, Flags
from skydns_py.config_pools import POOL
from skydns_py.errors import ConfigError
from skydns_py.settings import (
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
)
from skydns_py.settings_text import parse_host_port

WHOLE = """\
zone: Example.Org.
listen: ["192.0.2.1:53", "[2001:DB8::1]:53"]
ttl: 30
reverse_zones: [10.in-addr.arpa]
pods: insecure
legacy_names: no
edns_size: 4096
source:
  etcd:
    endpoints: ["https://one.example:2379", "https://[2001:db8::2]:2379/"]
    registry_prefix: /cluster
    skydns_prefix: /names
    ca: /etc/ca.pem
    cert: /etc/cert.pem
    key: /etc/key.pem
    username: dns
    password_file: /etc/password
    portal_net: 10.96.0.0/12, fd00:10::/108
    node_ports: 31000-31999
search:
  enabled: false
  autopath: false
  networks: {"10.1.2.0/24": my-ns, "2001:db8:1::/48": other-ns}
portal:
  backend: iptables
  iptables: legacy
  node_name: node-a.example
  node_addresses: [192.0.2.7, "2001:db8::/64"]
  cluster_cidr: [10.1.0.0/16]
  masquerade_all: true
  localhost_node_ports: yes
  untracked: [10.0.0.10]
  announce: /run/portal.sock
  http: {health: "", ready: "127.0.0.1:1"}
balancer:
  pools:
    - {name: web, addresses: [192.0.2.10-192.0.2.20, 2001:DB8::/120], namespaces: [my-ns], classes: [a/b]}
    - {name: one, addresses: [192.0.2.30]}
  interface: eth1
  prefix: /lb
  namespace: lb
  lease_seconds: 5
  node_name: node-a
  http: {ready: ""}
wait_for_portal: {socket: /run/portal.sock, seconds: 2}
http:
  health: ""
  ready: "[::1]:81"
  metrics: 0.0.0.0:0
tcp: {max_connections: 7, idle_seconds: 3600}
tls: {listen: ["192.0.2.1:853"], cert: /etc/tls.crt, key: /etc/tls.key}
https: {listen: ["192.0.2.1:443", "[2001:DB8::1]:443"], path: /dns}
logging: {level: debug}
"""


def parse(text: str, flags: Flags = NO_FLAGS) -> Settings:
    return config.parse(text, "skydns.yaml", flags, need_source=False)


def refusal(text: str, flags: Flags = NO_FLAGS) -> str:
    with pytest.raises(ConfigError) as refused:
        parse(text, flags)
    return str(refused.value)


def test_an_empty_file_gives_the_documented_defaults() -> None:
    assert parse("# nothing\n") == Settings(
        zone="cluster.local",
        listen=(HostPort("127.0.0.1", 5353), HostPort("::1", 5353)),
        ttl_seconds=5,
        reverse_zones=("in-addr.arpa", "ip6.arpa"),
        pods=PodRecords.VERIFIED,
        legacy_names=True,
        edns_size_octets=1232,
        source=None,
        search=SearchSettings(enabled=True, autopath=True, networks=()),
        http=HttpSettings(
            health=HostPort("127.0.0.1", 8080),
            ready=HostPort("127.0.0.1", 8181),
            metrics=HostPort("127.0.0.1", 9153),
        ),
        tcp=TcpSettings(max_connections=1000, idle_seconds=10),
        log_level=LogLevel.INFO,
    )


def test_every_key_is_read_and_normalised() -> None:
    assert parse(WHOLE) == Settings(
        zone="example.org",
        listen=(HostPort("192.0.2.1", 53), HostPort("2001:db8::1", 53)),
        ttl_seconds=30,
        reverse_zones=("10.in-addr.arpa",),
        pods=PodRecords.INSECURE,
        legacy_names=False,
        edns_size_octets=4096,
        source=EtcdSource(
            endpoints=("https://one.example:2379", "https://[2001:db8::2]:2379"),
            registry_prefix="/cluster",
            skydns_prefix="/names",
            ca="/etc/ca.pem",
            cert="/etc/cert.pem",
            key="/etc/key.pem",
            username="dns",
            password_file="/etc/password",
            portal_net=(ipaddress.ip_network("10.96.0.0/12"), ipaddress.ip_network("fd00:10::/108")),
            node_ports=(31000, 31999),
        ),
        search=SearchSettings(
            enabled=False,
            autopath=False,
            networks=(
                (ipaddress.ip_network("10.1.2.0/24"), "my-ns"),
                (ipaddress.ip_network("2001:db8:1::/48"), "other-ns"),
            ),
        ),
        portal=PortalSettings(
            backend=PortalBackend.IPTABLES,
            iptables=IptablesVariant.LEGACY,
            node_name="node-a.example",
            node_addresses=(ipaddress.ip_network("192.0.2.7/32"), ipaddress.ip_network("2001:db8::/64")),
            cluster_cidr=(ipaddress.ip_network("10.1.0.0/16"),),
            masquerade_all=True,
            localhost_node_ports=True,
            untracked=("10.0.0.10",),
            announce="/run/portal.sock",
            http=HttpSettings(None, HostPort("127.0.0.1", 1), HostPort("127.0.0.1", 10249)),
        ),
        balancer=BalancerSettings(
            pools=(
                PoolSettings("web", ("192.0.2.10-192.0.2.20", "2001:db8::/120"), ("my-ns",), ("a/b",)),
                PoolSettings("one", ("192.0.2.30",)),
            ),
            interface="eth1",
            prefix="/lb",
            namespace="lb",
            lease_seconds=5,
            node_name="node-a",
            http=HttpSettings(HostPort("127.0.0.1", 10266), None, HostPort("127.0.0.1", 10266)),
        ),
        wait_for_portal=WaitSettings("/run/portal.sock", 2),
        http=HttpSettings(health=None, ready=HostPort("::1", 81), metrics=HostPort("0.0.0.0", 0)),
        tcp=TcpSettings(max_connections=7, idle_seconds=3600),
        tls=TlsSettings((HostPort("192.0.2.1", 853),), "/etc/tls.crt", "/etc/tls.key"),
        https=HttpsSettings((HostPort("192.0.2.1", 443), HostPort("2001:db8::1", 443)), "/dns"),
        log_level=LogLevel.DEBUG,
    )


def test_manifests_are_read_with_what_lets_addresses_be_given() -> None:
    text = (
        "source: {manifests: {path: demo, portal_net: 10.0.0.0/24, node_ports: 31000-31000, state: s.json}}"
    )
    networks = (ipaddress.ip_network("10.0.0.0/24"),)
    source = ManifestSource("demo", networks, (31000, 31000), "s.json")
    assert parse(text).source == source
    assert parse(text, Flags(manifests="other")).source == ManifestSource(
        "other", networks, (31000, 31000), "s.json"
    )


def test_the_portal_net_flag_replaces_the_files_and_leaves_manifests_alone() -> None:
    networks = (ipaddress.ip_network("10.0.0.0/24"),)
    flags = Flags(portal_net="10.0.0.0/24")
    assert parse("", flags).source == EtcdSource(portal_net=networks)
    source = parse(WHOLE, flags).source
    assert isinstance(source, EtcdSource)
    assert (source.portal_net, source.username) == (networks, "dns")
    assert source.allocation_prefix == "/cluster.allocations"
    assert parse("source: {manifests: {path: demo}}", flags).source == ManifestSource("demo")


def test_a_section_left_empty_keeps_its_defaults() -> None:
    assert parse("http:\nsearch:\n  networks:\ntcp:\nlogging:\n") == Settings()


HERE = Path(__file__).parent
REFUSALS = [
    (case["file"], case["refusal"])
    for case in yaml.safe_load((HERE / "data/config-refusals.yaml").read_text(encoding="utf-8"))
] + [
    ("ttl: 5\n\tzone: x\n", "2: not YAML: found character '\\t' that cannot start any token"),
    ("zone: a\0b", "1: not YAML: unacceptable character #x0000: special characters are not allowed"),
    ('zone: "\\UFFFFFFFF"', "1: not YAML: an escape beyond Unicode"),
    ("[" * 5000, "1: nested too deeply"),
    ("tcp: {max_connections: 1_0}", "1: tcp.max_connections: must be a whole number from 1 to 1000000"),
]


@pytest.mark.parametrize(("text", "expected"), REFUSALS, ids=[text[:40] for text, _ in REFUSALS])
def test_a_refusal_names_file_line_and_key(text: str, expected: str) -> None:
    assert refusal(text) == f"skydns.yaml:{expected}"


@pytest.mark.parametrize("path", sorted(config.LATER))
def test_a_key_of_a_later_version_is_refused_as_such(path: str) -> None:
    *above, key = path.split(".")
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate([*above, key])]
    expected = f"skydns.yaml:{len(lines)}: {path}: not available in this version; remove it"
    assert refusal("\n".join(lines)) == expected


def test_every_key_of_the_design_is_read_or_named_as_later() -> None:
    design = {
        *(
            "zone",
            "listen",
            "ttl",
            "reverse_zones",
            "pods",
            "legacy_names",
            "source",
            "snapshot",
        ),
        *("search", "forward", "stub_domains", "cache", "portal", "balancer", "http"),
    }
    assert design <= set(yaml.safe_load(WHOLE)) | config.LATER


def test_every_key_is_documented() -> None:
    documented = (HERE.parent / "docs/configuration.md").read_text(encoding="utf-8")
    sections = {
        "source": {},
        "search": config._SEARCH,
        "http": config._HTTP,
        "tcp": config._TCP,
        "tls": config._TLS,
        "https": config._HTTPS,
        "dataplane": config._DATAPLANE,
        "portal": {key: config._PORTAL[key] for key in config._PORTAL if key != "http"},
        "portal.http": config._HTTP,
        "balancer": {
            key: config._BALANCER[key] for key in config._BALANCER if key not in ("http", "webhook")
        },
        "balancer.http": config._HTTP,
        "balancer.webhook": config._WEBHOOK,
        "balancer.pools[]": POOL,
        "wait_for_portal": config._WAIT,
    }
    paths = [key for key in config._TOP if key not in (*sections, "logging")]
    paths += [f"{name}.{key}" for name, keys in sections.items() for key in keys]
    paths += [f"source.etcd.{key}" for key in config._ETCD] + ["logging.level"]
    paths += [f"source.manifests.{key}" for key in config._MANIFESTS]
    paths += [f"source.kubernetes.{key}" for key in config._KUBERNETES]
    assert [path for path in paths if f"`{path}`" not in documented] == []


def test_a_source_is_asked_for_where_a_command_needs_one() -> None:
    hint = (
        "give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
        "or source.manifests, source.etcd or source.kubernetes in -c FILE"
    )
    with pytest.raises(ConfigError) as refused:
        config.parse("ttl: 5\n", "skydns.yaml")
    assert str(refused.value) == f"skydns.yaml:1: source: missing; {hint}"
    with pytest.raises(ConfigError) as refused:
        config.load(None)
    assert str(refused.value) == hint


def test_flags_replace_what_the_file_says() -> None:
    flags = Flags(manifests="demo", zone="Other.Example", listen=("0.0.0.0:53", "0.0.0.0:53"))
    settings = parse(WHOLE, flags)
    assert settings.source == ManifestSource("demo")
    assert settings.zone == "other.example"
    assert settings.listen == (HostPort("0.0.0.0", 53),)
    assert settings.ttl_seconds == 30


def test_the_etcd_flag_keeps_the_files_other_etcd_settings() -> None:
    source = parse(WHOLE, Flags(etcd=("https://three.example:1",))).source
    assert isinstance(source, EtcdSource)
    assert source.endpoints == ("https://three.example:1",)
    assert (source.username, source.registry_prefix) == ("dns", "/cluster")


def test_the_etcd_flag_replaces_manifests_of_the_file() -> None:
    settings = parse(
        "source: {manifests: {path: demo}}", Flags(etcd=("http://a:1", "http://a:1/", "http://b:1"))
    )
    assert settings.source == EtcdSource(endpoints=("http://a:1", "http://b:1"))


BOTH = "--manifests and --etcd are both given; keep exactly one"
MIXED = "--etcd: http and https are mixed; use one of them for all"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (Flags(manifests="a", etcd=("http://a:1",)), BOTH),
        (Flags(etcd=("a",)), "--etcd: 'a' is not http://HOST:PORT or https://HOST:PORT"),
        (Flags(etcd=("http://a:1", "https://a:1")), MIXED),
        (Flags(portal_net="10.0.0.0"), "--portal-net: '10.0.0.0' names one address of a network; "
         "write 10.0.0.0/32"),
        (Flags(zone="a..b"), "--zone: 'a..b' is not a domain name"),
        (Flags(zone="arpa"), "--zone: arpa and the reverse zone in-addr.arpa overlap; change one"),
        (Flags(listen=("[::1]",)), "--listen: '[::1]' is not ADDR:PORT or [v6]:PORT, as in 127.0.0.1:53, "
         "0.0.0.0:53 or [::]:53"),
    ],
)  # fmt: skip
def test_a_bad_flag_is_refused_by_its_name(flags: Flags, expected: str) -> None:
    assert refusal("", flags) == expected


def test_a_broken_file_is_refused_even_where_a_flag_would_replace_the_value() -> None:
    assert (
        refusal("zone: a..b", Flags(zone="fine.example"))
        == "skydns.yaml:1: zone: 'a..b' is not a domain name"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"zone: b\xfccher")
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as refused:
            config.load(str(path))
        assert str(refused.value) == f"{path}: {reason}"
    with pytest.raises(ConfigError) as refused:
        config.load(str(latin))
    assert str(refused.value) == f"{latin}: not UTF-8 text"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_to_listen_on_survives_its_text(address: object, port: int) -> None:
    at = HostPort(str(address), port)
    assert parse_host_port(str(at)) == at


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1.2.3.4:53", "a.b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text() | st.sampled_from([*config._TOP, *config._ETCD, "etcd", "path"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.text() | VALUES.map(yaml.safe_dump))
def test_any_text_gives_settings_or_one_line(text: str) -> None:
    refused = ""
    try:
        parse(text)
    except ConfigError as error:
        refused = str(error)
    assert refused == "" or refused.startswith("skydns.yaml:")
    assert len(refused.splitlines()) <= 1
