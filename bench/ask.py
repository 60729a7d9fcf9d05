"""One question at a time, to learn whether a server is there and answers a row of the report correctly."""

import urllib.error
import urllib.request

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from bench import cluster

_SECONDS = 0.5
_EDNS_SIZE = 1232


def ask(port: int, line: str) -> dns.message.Message | None:
    """The answer of 127.0.0.1:port to ``NAME TYPE``; None where there was none in time."""
    name, kind = line.split()
    try:
        return dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", _SECONDS, port)
    except (dns.exception.DNSException, OSError):
        return None


def replies(port: int) -> bool:
    """Whether anything comes back, as from the echo."""
    return ask(port, f"{cluster.ZONE} SOA") is not None


def serves(port: int, row: str, index: int, count: int) -> bool:
    """Whether the answer to ``row`` for Service number ``index`` is what the report's title says it is."""
    message = ask(port, cluster.ROWS[row](index, count))
    if message is None:
        return False
    if row == "A, no such name":
        return message.rcode() == dns.rcode.NXDOMAIN and not message.answer
    if message.rcode() != dns.rcode.NOERROR:
        return False
    found = {(rrset.rdtype, str(rdata)) for rrset in message.answer for rdata in rrset}
    return _expected(row, index) <= found if row != "AAAA, no data" else not found


def serves_headless(port: int, row: str) -> bool:
    """Whether the headless Service is answered: truncated over UDP, with every address over TCP."""
    name, kind = cluster.HEADLESS_QUERY.split()
    query = dns.message.make_query(name, kind, use_edns=0, payload=_EDNS_SIZE)
    try:
        if row == cluster.HEADLESS_UDP:
            return bool(dns.query.udp(query, "127.0.0.1", _SECONDS, port).flags & dns.flags.TC)
        message = dns.query.tcp(query, "127.0.0.1", _SECONDS, port)
    except (dns.exception.DNSException, OSError):
        return False
    return {str(rdata) for rrset in message.answer for rdata in rrset} == set(cluster.backends())


def _expected(row: str, index: int) -> set[tuple[int, str]]:
    if row == "SRV":
        return {(dns.rdatatype.SRV, f"0 {cluster.weight(index)} {cluster.PORT} {cluster.fqdn(index)}.")}
    if row == "AAAA":
        return {(dns.rdatatype.AAAA, cluster.address6(index - index % 2))}
    if row == "A, svc":
        index -= index % cluster.NAMESPACES
    return {(dns.rdatatype.A, cluster.address(index))}


def is_well(port: int, path: str) -> bool:
    """Whether GET ``path`` on 127.0.0.1:port says 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
