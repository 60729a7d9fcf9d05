"""The settings a command runs with: frozen, complete, their units in their names.

``config`` reads them from a file and from flags.  The parsers here take one value's text and raise
ValueError with a reason that says what to write instead.
"""

import enum
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME_PART = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST_ZONE = 120
NODE_PORTS = (30000, 32767)
"""The API server's default range, first and last."""
_REVERSE_ROOTS = ("in-addr.arpa", "ip6.arpa")


@dataclass(frozen=True, slots=True)
class HostPort:
    """An address to listen on: an IP address in canonical text and a port, 0 where the system chooses."""

    host: str
    port: int

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
class SearchSettings:
    """Short names: whether they are expanded, and the namespaces of clients that are no pods."""

    enabled: bool = True
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

    ``prefix`` is where in etcd it keeps its own keys; ``node_name`` as for the portal programmer.
    """

    pools: tuple[PoolSettings, ...] = ()
    provider: BalancerProvider = BalancerProvider.LAYER2
    webhook: WebhookSettings = WebhookSettings()
    interface: str = ""
    prefix: str = "/skydns.balancer"
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
    reverse_zones: tuple[str, ...] = _REVERSE_ROOTS
    pods: PodRecords = PodRecords.VERIFIED
    legacy_names: bool = True
    edns_size_octets: int = 1232
    dataplane: DataplaneSettings = field(default_factory=DataplaneSettings)
    source: ManifestSource | EtcdSource | None = None
    search: SearchSettings = field(default_factory=SearchSettings)
    portal: PortalSettings = field(default_factory=PortalSettings)
    wait_for_portal: WaitSettings = field(default_factory=WaitSettings)
    balancer: BalancerSettings = field(default_factory=BalancerSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    log_level: LogLevel = LogLevel.INFO


def parse_host_port(text: str) -> HostPort:
    """``ADDR:PORT`` or ``[v6]:PORT``."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not ADDR:PORT or [v6]:PORT, as in 127.0.0.1:53, 0.0.0.0:53 or [::]:53")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r}: the port must be a number from 0 to 65535")
    address = parse_ip(host[1:-1] if bracketed else host)
    if bracketed != (":" in address):
        raise ValueError(f"{text!r}: brackets belong around an IPv6 address, and only there")
    return HostPort(address, int(port))


def parse_ip(text: str) -> str:
    """The canonical text of an IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address; names are not looked up here") from None


def parse_network(text: str) -> IPNetwork:
    """A CIDR whose host bits are zero."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network, as in 10.1.2.0/24") from None
    if "/" not in text or str(network.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
        raise ValueError(f"{text!r} names one address of a network; write {network}")
    return network


def parse_some_network(text: str) -> IPNetwork:
    """A CIDR, or one address, which is the network of itself alone."""
    return parse_network(text) if "/" in text else ipaddress.ip_network(parse_ip(text))


def parse_portal_net(text: str) -> tuple[IPNetwork, ...]:
    """At most one IPv4 and one IPv6 network, with a comma between; none where empty."""
    networks = tuple(parse_network(each.strip()) for each in text.split(",")) if text else ()
    if len({network.version for network in networks}) < len(networks):
        raise ValueError(f"{text!r} has two networks of one family; give one IPv4 and one IPv6 network")
    for network in networks:
        if network.num_addresses < 4:
            raise ValueError(f"{network} has no address to give: the first and the last are never used")
    return networks


def parse_node_ports(text: str) -> tuple[int, int]:
    """``FIRST-LAST``, both included."""
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= 65535:
        raise ValueError(f"{text!r} is not FIRST-LAST from 1 to 65535, as in 30000-32767")
    return int(found[1]), int(found[2])


def parse_addresses(text: str) -> str:
    """``192.0.2.0/24``, ``192.0.2.10-192.0.2.20`` or one address, of either family, in canonical text."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        return str(parse_network(first)) if "/" in first else parse_ip(first)
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        raise ValueError(f"{text!r} is not FIRST-LAST, as 192.0.2.10-192.0.2.20") from None
    if low.version != high.version or int(low) > int(high):
        raise ValueError(f"{text!r} must go from a lower to a higher address of one family")
    return f"{low}-{high}"


def parse_interface(text: str) -> str:
    """The name of a network interface, or nothing."""
    if len(text.encode()) > 15 or re.search(r"[\s/]", text):
        raise ValueError(f"{text!r} is not the name of a network interface")
    return text


def parse_http_url(text: str) -> str:
    """``http://HOST[:PORT]/PATH``, or https."""
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good or not text.isascii() or re.search(r"\s", text) or url.username is not None or url.fragment:
        raise ValueError(f"{text!r} is not http://HOST:PORT/PATH or https://HOST:PORT/PATH")
    return text


def parse_domain(text: str) -> str:
    """A domain name below the root, lower-case and without the final dot (RFC 1035 section 2.3.4)."""
    name = text.lower().removesuffix(".")
    if not name.isascii():
        raise ValueError(f"{text!r} is not ASCII; write its A-labels (xn--…)")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"{text!r} is not a domain name")
    return name


def parse_zone(text: str) -> str:
    """A domain name that leaves room for the names below it.

    Namespace and Service take up to 64 octets each; a name has 255 at the most (RFC 1035 section 2.3.4).
    """
    name = parse_domain(text)
    if len(name) > LONGEST_ZONE:
        raise ValueError(f"{text!r} is longer than {LONGEST_ZONE} octets, which leaves no room for names")
    return name


def parse_reverse_zone(text: str) -> str:
    """A domain name within in-addr.arpa or ip6.arpa."""
    name = parse_domain(text)
    if not any(name == root or name.endswith(f".{root}") for root in _REVERSE_ROOTS):
        raise ValueError(f"{text!r} is not within in-addr.arpa or ip6.arpa")
    return name


def parse_namespace(text: str) -> str:
    """A DNS label in lower case, as Kubernetes wants of a namespace (RFC 1123 section 2.1)."""
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a namespace: at most 63 of a-z, 0-9 and '-', the ends no '-'")
    return text


def parse_object_name(text: str) -> str:
    """The name of a stored object: dotted parts in lower case, at most 253 octets, as Kubernetes has it."""
    if len(text) > 253 or not all(_NAME_PART.fullmatch(part) for part in text.split(".")):
        raise ValueError(f"{text!r} is not a name: dotted parts of a-z, 0-9 and '-', the ends of each no '-'")
    return text


def _rest(url: SplitResult) -> str:
    return url._replace(scheme="", netloc="").geturl()


def parse_etcd_url(text: str) -> str:
    """``http://HOST:PORT`` or ``https://HOST:PORT``, without a path; an IPv6 host stands in brackets."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from None
    if url.username is not None:
        raise ValueError("no user in the URL; use source.etcd.username and password_file")
    if url.scheme not in ("http", "https") or not host or not port or _rest(url) not in ("", "/"):
        raise ValueError(f"{text!r} is not http://HOST:PORT or https://HOST:PORT")
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
