"""A small cluster with something of everything, and the names worth asking it for."""

from ipaddress import ip_network

from skydns_py.answers.search import Network
from skydns_py.cluster.objects import ClusterObject, Namespace, Record
from tests import builders
from tests.builders import REVERSE_ZONES, Served, alias, endpoints, headless, pod, service

ZONE = builders.ZONE

MAPPED = "127.0.0.2"
"""A client in ``my-ns``; the same as a sender of packets, where sockets are in play."""
NETWORKS = {f"{MAPPED}/32": "my-ns"}

FEW, WIDE, HUGE = 3, 120, 4000
"""Endpoints: for every size; for no UDP reply; for most of a TCP message."""


def addresses(count: int, net: int, *, v6: bool = False) -> str:
    """``count`` addresses in a network of their own, as the builders take them."""
    if v6:
        return " ".join(f"fd00:{net:x}::{host + 1:x}" for host in range(count))
    return " ".join(f"10.{net}.{host // 250}.{host % 250 + 1}" for host in range(count))


def _chain(length: int) -> list[ClusterObject]:
    return [alias(f"step-{i}", f"step-{i + 1}.my-ns.svc") for i in range(length)]


def objects() -> list[ClusterObject]:
    """Everything in the cluster."""
    dual = f"{addresses(FEW, 2)} {addresses(FEW, 2, v6=True)}"
    return [
        *map(Namespace, ("my-ns", "other", "empty")),
        service("my-service", "10.0.0.20 fd00::20", "http:80 dns:53/UDP"),
        service("plain", "10.0.0.21", ns="other"),
        service("pending"),
        headless("few", "http:80"),
        endpoints("few", dual, "http:80"),
        headless("db", "sql:5432"),
        endpoints("db", "db-0=10.3.0.1 db-1=10.3.0.2 db-2=10.3.0.3!", "sql:5432"),
        headless("wide", "http:80"),
        endpoints("wide", addresses(WIDE, 4), "http:80"),
        headless("idle"),
        alias("outside", "www.example.com."),
        alias("inside", "few.my-ns.svc"),
        alias("dangling", "nothing.other.svc"),
        alias("ring", "ring.my-ns.svc"),
        *_chain(12),
        pod("a", "10.5.0.1 fd00:5::1"),
        pod("b", "10.5.0.2", ns="other"),
        pod("c", "10.5.0.3", finished=True),
        *_traps(),
        *_records(),
    ]


def _traps() -> list[ClusterObject]:
    """Services and a record that no search may end at, and a pod in a top-level domain's namespace."""
    return [
        service("db-2", "10.0.9.1", ns="db"),
        service("plain", "10.0.9.4", ns="svc"),
        Record("local/cluster/localhost", "192.0.2.10"),
        service("example", "10.0.9.2", ns="com"),
        service("www", "10.0.9.3", ns="google"),
        pod("d", "10.5.0.4", ns="dev"),
    ]


def _records() -> list[ClusterObject]:
    return [
        Record("local/cluster/sky/east/a", "192.0.2.1", port=8080, weight=20),
        Record("local/cluster/sky/east/b", "192.0.2.2", port=8080, priority=20),
        Record("local/cluster/sky/west/c", "2001:db8::1", ttl=60),
        Record("local/cluster/sky/mail", "mx.example.com", mail=True),
        Record("local/cluster/sky/text", text="x" * 2000),
        Record("local/cluster/sky/*/star", "192.0.2.9"),
        Record("arpa/in-addr/198/51/100/7", "pointed.example.com"),
    ]


SERVICE = f"my-service.my-ns.svc.{ZONE}"
FEW_NAME = f"few.my-ns.svc.{ZONE}"
WIDE_NAME = f"wide.my-ns.svc.{ZONE}"

OWNERS = (
    SERVICE,
    FEW_NAME,
    WIDE_NAME,
    *(f"{name}.my-ns.svc.{ZONE}" for name in ("pending", "db", "outside", "inside", "dangling", "ring")),
    *(f"{name}.my-ns.svc.{ZONE}" for name in ("step-0", "step-9", "db-0.db", "10-2-0-1.few")),
    *(f"{name}.{SERVICE}" for name in ("_http._tcp", "_dns._udp")),
    f"_http._tcp.{WIDE_NAME}",
    f"plain.other.svc.{ZONE}",
    f"plain.other.{ZONE}",
    f"10-5-0-1.my-ns.pod.{ZONE}",
    *(f"{name}.{ZONE}" for name in ("east.sky", "a.east.sky", "sky", "text.sky", "mail.sky", "dns-version")),
    f"ns.dns.{ZONE}",
    ZONE,
    *REVERSE_ZONES,
    "20.0.0.10.in-addr.arpa",
    "1.0.2.10.in-addr.arpa",
    "7.100.51.198.in-addr.arpa",
)
"""Names that own records."""

BARE = (f"svc.{ZONE}", f"my-ns.svc.{ZONE}", f"_tcp.{SERVICE}", f"empty.svc.{ZONE}", "10.in-addr.arpa")
"""Names that exist and own nothing."""

ABSENT = (
    f"nothing.my-ns.svc.{ZONE}",
    f"idle.my-ns.svc.{ZONE}",
    f"my-service.gone.svc.{ZONE}",
    f"x.{SERVICE}",
    f"{SERVICE}.svc.{ZONE}",
    f"10-5-0-3.my-ns.pod.{ZONE}",
    f"x.{ZONE}",
    "1.2.0.192.in-addr.arpa",
    "x.ip6.arpa",
    f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 46}.{ZONE}",
)
"""Names in the zones that do not exist; the last has 255 octets."""

WILD = (f"*.sky.{ZONE}", f"any.east.sky.{ZONE}", f"*.*.sky.{ZONE}", f"any.{ZONE}", f"*.my-ns.svc.{ZONE}")
"""Names with wildcard labels."""

STRANGE = (
    "",
    "local",
    f"x{ZONE}",
    "example.com",
    "my-service",
    "my-service.my-ns",
    "my-service.my-ns.svc",
    "few.my-ns",
    f"a\0b.{ZONE}",
    f"\0.{ZONE}",
    f"\xff.{ZONE}",
    f"MY-SERVICE.\0.{ZONE}",
)
"""Names outside the zones, short names, and names with octets nobody uses."""

HITS = (
    *(
        "plain.other",
        "plain.other.svc",
        "few.my-ns",
        "few.my-ns.svc",
        "_http._tcp.my-service.my-ns",
        "db-0.db.my-ns",
    ),
    *(
        "10-5-0-1.my-ns.pod",
        "dns-version",
        "ns.dns",
        "wide.my-ns",
        "outside.my-ns",
        "inside.my-ns",
        "ring.my-ns",
    ),
    *("dangling.my-ns", "sky", "step-0.my-ns", "PLAIN.Other"),
)
"""What a client searches for and its path has, beyond its own namespace."""

FAILURES = (
    *(
        "db-2.db",
        "example.com",
        "www.example.com",
        "localhost",
        "nothing.other",
        "pending.my-ns",
        "svc",
        "pod",
        "other",
        "my-ns.pod",
    ),
    *(
        "plain.svc",
        "20.0.0.10.in-addr.arpa",
        SERVICE,
        ZONE,
        f"x{ZONE}",
        "*.sky",
        "text.sky",
        "any.sky",
        "*",
        "any",
        "a\0b",
        "\3svc",
    ),
    "a.b.c.d.e.f",
)
"""What it searches for in vain."""

SEARCHED = (
    *(f"{name}.my-ns.svc.{ZONE}" for name in (*HITS, *FAILURES)),
    f"www.google.dev.svc.{ZONE}",
    f"plain.other.dev.svc.{ZONE}",
    f"plain.other.x\5my-ns.svc.{ZONE}",
)
"""First steps of searches, and a second one: names that do not exist, whose client may mean others."""

NAMES = (*OWNERS, *BARE, *ABSENT, *WILD, *STRANGE, *SEARCHED)


def served(**settings: object) -> Served:
    """A server of this cluster, short names included."""
    return Served(*objects(), networks=NETWORKS, **settings)  # type: ignore[arg-type]  # passed on as it is


def served_networks() -> dict[Network, str]:
    """``NETWORKS`` as a ``Feed`` takes them."""
    return {ip_network(network): namespace for network, namespace in NETWORKS.items()}
