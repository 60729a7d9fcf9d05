"""From the text of one value to what the settings hold; each raises ValueError with what to write instead."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from skydns_py import special
from skydns_py.settings import LONGEST_ZONE, REVERSE_ROOTS, HostPort, IPNetwork

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME_PART = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


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
    """At most one IPv4 and one IPv6 network that hosts can have, with a comma between; none where empty."""
    networks = tuple(parse_network(each.strip()) for each in text.split(",")) if text else ()
    if len({network.version for network in networks}) < len(networks):
        raise ValueError(f"{text!r} has two networks of one family; give one IPv4 and one IPv6 network")
    for network in networks:
        if network.num_addresses < 4:
            raise ValueError(f"{network} has no address to give: the first and the last are never used")
        special.check_range(network[0], network[-1], network)
    return networks


def parse_node_ports(text: str) -> tuple[int, int]:
    """``FIRST-LAST``, both included."""
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= 65535:
        raise ValueError(f"{text!r} is not FIRST-LAST from 1 to 65535, as in 30000-32767")
    return int(found[1]), int(found[2])


def parse_addresses(text: str) -> str:
    """``192.0.2.0/24``, ``192.0.2.10-192.0.2.20`` or one address, of either family, in canonical text.

    All of them must be addresses that a host can have.
    """
    first, dash, last = (part.strip() for part in text.partition("-"))
    if dash:
        low, high = _address_range(text, first, last)
        found = f"{low}-{high}"
    else:
        found = str(parse_network(first)) if "/" in first else parse_ip(first)
        low, high = bounds(found)
    special.check_range(low, high, found)
    return found


def bounds(text: str) -> tuple[IPAddress, IPAddress]:
    """The first and the last address of what ``parse_addresses`` returned, or of a network."""
    first, dash, last = text.partition("-")
    if dash:
        return ipaddress.ip_address(first), ipaddress.ip_address(last)
    network = ipaddress.ip_network(first)
    return network[0], network[-1]


def _address_range(text: str, first: str, last: str) -> tuple[IPAddress, IPAddress]:
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        raise ValueError(f"{text!r} is not FIRST-LAST, as 192.0.2.10-192.0.2.20") from None
    if low.version != high.version or int(low) > int(high):
        raise ValueError(f"{text!r} must go from a lower to a higher address of one family")
    return low, high


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


def parse_url_path(text: str) -> str:
    """The path of a URL, which needs no escapes."""
    if not re.fullmatch(r"/[A-Za-z0-9/._~-]*", text):
        raise ValueError(f"{text!r} is not a path of a URL, as /dns-query, made of a-z, 0-9 and / . _ ~ -")
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
    if not any(name == root or name.endswith(f".{root}") for root in REVERSE_ROOTS):
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
