"""The settings a command runs with: frozen, complete, their units in their names.

``config`` reads them from a file and from flags, ``settings_text`` one value from its text.
"""

import enum
import ipaddress
from dataclasses import dataclass, field

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST_ZONE = 120
NODE_PORTS = (30000, 32767)
"""The API server's default range, first and last."""
REVERSE_ROOTS = ("in-addr.arpa", "ip6.arpa")


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address to listen on: an IP address in canonical text and a port, 0 where the system chooses.

    ``where`` is the place in a file that asks for it, "" for a default and from a flag.
    """

    host: str
    port: int
    where: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PodRecords(enum.Enum):
    """What answers ``1-2-3-4.NS.pod.ZONE``: nothing, any address, or only a known pod's address."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    VERIFIED = "verified"


class LogLevel(enum.Enum):
    """The least severe message that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ManifestSource:
    """Objects from a file, or from a folder of files, relative to the working directory.

    ``portal_net`` and ``node_ports`` as for ``EtcdSource``; ``state`` is a file that keeps what was given.
    """

    path: str
    portal_net: tuple[IPNetwork, ...] = ()
    node_ports: tuple[int, int] = NODE_PORTS
    state: str = ""


@dataclass(frozen=True, slots=True)
class EtcdSource:
    """Objects from etcd. ``endpoints`` are URLs, all http or all https; "" stands for no file or name.

    Services get addresses from ``portal_net``, at most one network a family (none: they get nothing), and
    node ports from ``node_ports``, the first and the last.
    """

    endpoints: tuple[str, ...] = ("http://127.0.0.1:2379",)
    registry_prefix: str = "/registry"
    skydns_prefix: str = "/skydns"
    ca: str = ""
    cert: str = ""
    key: str = ""
    username: str = ""
    password_file: str = ""
    portal_net: tuple[IPNetwork, ...] = ()
    node_ports: tuple[int, int] = NODE_PORTS

    @property
    def allocation_prefix(self) -> str:
        """Where reservations of addresses and ports are: beside the registry, where nobody watches."""
        return f"{self.registry_prefix}.allocations"


@dataclass(frozen=True, slots=True)
class KubernetesSource:
    """Objects from the Kubernetes API, reached as ``kubeconfig`` says or, ``in_cluster``, as every pod may.

    ``namespaces`` are the only ones looked at, () for all; ``label_selector`` says which Services count.
    """

    kubeconfig: str = ""
    in_cluster: bool = False
    namespaces: tuple[str, ...] = ()
    label_selector: str = ""

    @property
    def portal_net(self) -> tuple[IPNetwork, ...]:
        """None: an API server gives the addresses itself."""
        return ()


AnySource = ManifestSource | EtcdSource | KubernetesSource


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Short names: whether they are expanded, and the namespaces of clients that are no pods.

    ``autopath``: whether a search that a client has begun is gone on with; not where they are not expanded.
    """

    enabled: bool = True
    autopath: bool = True
    networks: tuple[tuple[IPNetwork, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where ``/health``, ``/ready`` and ``/metrics`` are served; None switches one off."""

    health: HostPort | None = HostPort("127.0.0.1", 8080)
    ready: HostPort | None = HostPort("127.0.0.1", 8181)
    metrics: HostPort | None = HostPort("127.0.0.1", 9153)


class PortalBackend(enum.Enum):
    """What programs the kernel: nftables where the kernel and the tool can, else iptables; or one of them."""

    AUTO = "auto"
    NFTABLES = "nftables"
    IPTABLES = "iptables"


class IptablesVariant(enum.Enum):
    """Which iptables: the one whose rules the host already uses, or one of the two."""

    AUTO = "auto"
    NFT = "nft"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """The portal programmer; ``node_name`` "" is the host's own name, in lower case.

    ``node_addresses`` limit node ports; with ``cluster_cidr``, sources outside it are masqueraded;
    ``untracked`` are portal IPs of DNS that a server on this node answers itself; ``announce`` is the path of
    a socket that says what is programmed, for ``WaitSettings``.
    """

    backend: PortalBackend = PortalBackend.AUTO
    iptables: IptablesVariant = IptablesVariant.AUTO
    node_name: str = ""
    node_addresses: tuple[IPNetwork, ...] = ()
    cluster_cidr: tuple[IPNetwork, ...] = ()
    masquerade_all: bool = False
    localhost_node_ports: bool = False
    untracked: tuple[str, ...] = ()
    announce: str = ""
    http: HttpSettings = HttpSettings(
        HostPort("127.0.0.1", 10256), HostPort("127.0.0.1", 10256), HostPort("127.0.0.1", 10249)
    )


@dataclass(frozen=True, slots=True)
class WaitSettings:
    """Names wait until ``skydns portal`` has programmed them: its ``announce``, "" for not waiting."""

    socket: str = ""
    seconds: int = 5


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Addresses for external load balancers: networks, ranges and single addresses, each a text.

    Empty ``namespaces`` are all of them; empty ``classes`` are Services without a ``loadBalancerClass``.
    """

    name: str
    addresses: tuple[str, ...]
    namespaces: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


class BalancerProvider(enum.Enum):
    """What makes an external load balancer: an address on one of the nodes, or a service that is asked."""

    LAYER2 = "layer2"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """The service that makes load balancers; ``token_file`` holds what it is shown as a bearer token.

    ``classes`` as in ``PoolSettings``; ``ca`` is a file of certificates, "" for the system's.
    """

    url: str = ""
    token_file: str = ""
    ca: str = ""
    timeout_seconds: int = 10
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """The external load balancer; ``interface`` "" is the one whose network has the address.

    ``prefix`` is where in etcd it keeps its own keys, ``namespace`` where its Leases are in the Kubernetes
    API; ``node_name`` as for the portal programmer.
    """

    pools: tuple[PoolSettings, ...] = ()
    provider: BalancerProvider = BalancerProvider.LAYER2
    webhook: WebhookSettings = WebhookSettings()
    interface: str = ""
    prefix: str = "/skydns.balancer"
    namespace: str = "kube-system"
    lease_seconds: int = 2
    node_name: str = ""
    http: HttpSettings = HttpSettings(
        HostPort("127.0.0.1", 10266), HostPort("127.0.0.1", 10266), HostPort("127.0.0.1", 10266)
    )


class Dataplane(enum.Enum):
    """Which data plane serves UDP: the native one where it is built, or one of the two."""

    AUTO = "auto"
    NATIVE = "native"
    PURE = "pure"


@dataclass(frozen=True, slots=True)
class DataplaneSettings:
    """What serves UDP; ``threads`` are the native plane's, for each address listened on."""

    kind: Dataplane = Dataplane.AUTO
    threads: int = 1


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """DNS over TLS where ``listen`` says, () for nowhere; ``cert`` and ``key`` are PEM files, HTTPS's too."""

    listen: tuple[HostPort, ...] = ()
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class HttpsSettings:
    """DNS over HTTPS where ``listen`` says, () for nowhere, at this ``path``."""

    listen: tuple[HostPort, ...] = ()
    path: str = "/dns-query"


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """Limits that keep strangers from holding every connection (RFC 7766 section 6.2.2 and 6.2.3)."""

    max_connections: int = 1000
    idle_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything ``skydns serve`` needs. ``source`` is None only for commands that ask for no source."""

    zone: str = "cluster.local"
    listen: tuple[HostPort, ...] = (HostPort("127.0.0.1", 5353), HostPort("::1", 5353))
    ttl_seconds: int = 5
    reverse_zones: tuple[str, ...] = REVERSE_ROOTS
    pods: PodRecords = PodRecords.VERIFIED
    legacy_names: bool = True
    edns_size_octets: int = 1232
    dataplane: DataplaneSettings = field(default_factory=DataplaneSettings)
    source: AnySource | None = None
    search: SearchSettings = field(default_factory=SearchSettings)
    portal: PortalSettings = field(default_factory=PortalSettings)
    wait_for_portal: WaitSettings = field(default_factory=WaitSettings)
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    https: HttpsSettings = field(default_factory=HttpsSettings)
    log_level: LogLevel = LogLevel.INFO
