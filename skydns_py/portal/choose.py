"""Which backend programs this host, and what goes with it.

``auto`` is nftables where the kernel takes the very rules that would be written (``nft --check``), because it
is flat in the number of Services and a change there is a few map elements; else iptables.

Without CAP_NET_ADMIN, in a rehearsal, the kernel is asked in a user namespace (user_namespaces(7)): it is the
same kernel.  nftables that is asked for by name is then taken without asking.
"""

import logging
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from skydns_py import checks
from skydns_py.cluster.objects import Address
from skydns_py.errors import ConfigError, SkydnsError
from skydns_py.portal.backend import Backend, Command
from skydns_py.portal.guard import Guard, LegacyGuard, NfTablesGuard, Unguarded
from skydns_py.portal.iptables import probe
from skydns_py.portal.iptables.backend import IptablesBackend, Tools
from skydns_py.portal.iptables.tools import PREFIX
from skydns_py.portal.netlink import Netlink, attributes, messages
from skydns_py.portal.nftables.backend import NftablesBackend
from skydns_py.portal.nftables.layout import TABLE
from skydns_py.portal.plan.model import Host, Portal, Target
from skydns_py.portal.process import read_now, run_now, which
from skydns_py.settings import IptablesVariant, PortalBackend, PortalSettings

log = logging.getLogger("skydns")

_GET_ADDRESS, _NEW_ADDRESS, _ADDRESS, _LOCAL = 22, 20, 1, 2
_IPTABLES = [(family, table) for family in ("ip", "ip6") for table in ("raw", "filter", "nat")]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The backend, what guards its rules, and what it is: ``nftables``, ``iptables-nft`` or ``-legacy``."""

    backend: Backend
    guard: Guard
    kind: str


def choose(portal: PortalSettings, host: Host, *, rehearsal: bool = False) -> Chosen:
    """What the settings ask for, or what the host supports; ConfigError where there is nothing to use.

    A ``rehearsal`` is not guarded, and may lack CAP_NET_ADMIN.
    """
    if portal.backend is not PortalBackend.IPTABLES:
        refusal = _nftables_refusal(host, asked_for=portal.backend is PortalBackend.NFTABLES)
        if not refusal:
            return _nft(portal, host, rehearsal)
        if portal.backend is PortalBackend.NFTABLES:
            raise ConfigError(f"portal.backend: nftables cannot be used here: {refusal}")
        log.info("nftables cannot be used here: %s", refusal)
    return _iptables(portal.iptables, host, rehearsal)


def _nft(portal: PortalSettings, host: Host, rehearsal: bool) -> Chosen:
    if portal.localhost_node_ports:
        complaint = "portal.localhost_node_ports: nftables has none; set portal.backend to iptables"
        if portal.backend is PortalBackend.NFTABLES:
            raise ConfigError(complaint)
        log.warning("%s", complaint)
    guard = Unguarded() if rehearsal else NfTablesGuard(_nftables(), lambda _: True)
    return Chosen(NftablesBackend(host), guard, NftablesBackend.name)


def every_backend(host: Host) -> Iterator[tuple[str, Backend]]:
    """All that may have programmed this host, with their kinds, as far as their tools are there."""
    if which("nft"):
        yield NftablesBackend.name, NftablesBackend(host)
    for variant in ("nft", "legacy"):
        save4, restore4, save6, restore6 = (
            f"ip{six}tables-{variant}-{verb}" for six in ("", "6") for verb in ("save", "restore")
        )
        if which(save4) and which(save6):
            tools = Tools(restore4=restore4, save4=save4, restore6=restore6, save6=save6)
            yield f"iptables-{variant}", IptablesBackend(host, tools)


def remove(backend: Backend) -> bool:
    """Take everything of this backend's out of the kernel; whether there was anything."""
    commands = backend.cleanup([read_now(each) for each in backend.inventory()])
    for command in commands:
        run_now(command)
    return bool(commands)


def claim() -> socket.socket:
    """Be the one programmer of this network namespace, until the socket closes; ConfigError where one is.

    Two would write over each other for ever.  The name of an abstract socket belongs to the namespace, and
    goes with the process (unix(7)).
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claimed.bind("\0skydns-portal")
    except OSError:
        claimed.close()
        raise ConfigError("another skydns portal programs this network namespace; stop it first") from None
    return claimed


def _nftables() -> list[tuple[str, str]]:
    return [("ip", TABLE), ("ip6", TABLE)]


def _nftables_refusal(host: Host, *, asked_for: bool) -> str:
    """Why the kernel or the tool does not take our rules; "" where they do, or cannot be asked."""
    admin = checks.may(checks.CAP_NET_ADMIN)
    if asked_for and not admin and which("nft"):
        return ""
    prefix = () if admin or not which("nft") else _apart()
    backend = NftablesBackend(host)
    backend.adopt([""] * len(backend.inventory()))
    backend.want(("", ""), [_sample(4), _sample(6)])
    try:
        for command in backend.pending():
            run_now(Command((*prefix, command.argv[0], "--check", *command.argv[1:]), command.stdin))
    except SkydnsError as error:
        return str(error)
    return ""


def _apart() -> tuple[str, ...]:
    """What lets a plain user ask the kernel; ConfigError where it does not let them."""
    try:
        run_now(Command((*probe.APART, "true")))
    except SkydnsError as error:
        raise ConfigError(
            f"only CAP_NET_ADMIN may ask this kernel what it takes; give --backend as well ({error})"
        ) from None
    return probe.APART


def _sample(family: int) -> Portal:
    """A portal that needs every kind of rule there is."""
    address = bytes(4 if family == 4 else 16)[:-1] + b"\1"
    target = (Target(address, 1),)
    return Portal("", "", "", family, "TCP", 1, (address,), node_port=1, cluster=target, affinity_seconds=1)


def _iptables(variant: IptablesVariant, host: Host, rehearsal: bool) -> Chosen:
    tools = probe.detect(variant)
    backend = IptablesBackend(host, tools)
    legacy = "legacy" in run_now(Command((tools.restore4, "--version")))
    kind = f"iptables-{'legacy' if legacy else 'nft'}"
    if rehearsal:
        return Chosen(backend, Unguarded(), kind)
    guarded = LegacyGuard if legacy else NfTablesGuard
    return Chosen(backend, guarded(_tables(tools), lambda name: name.startswith(PREFIX)), kind)


def _tables(tools: Tools) -> list[tuple[str, str]]:
    return [(family, table) for family, table in _IPTABLES if tools.save(4 if family == "ip" else 6)]


def own_addresses() -> tuple[Address, ...]:
    """The addresses of this host's interfaces (rtnetlink(7), RTM_GETADDR), without the loopback's."""
    found: dict[Address, None] = {}
    with Netlink(socket.NETLINK_ROUTE, "addresses") as kernel:
        for datagram in kernel.dump(_GET_ADDRESS, struct.pack("=4BI", 0, 0, 0, 0, 0)):
            for message in messages(datagram):
                if message.kind == _NEW_ADDRESS:
                    values = {
                        kind: datagram[start:end]
                        for kind, start, end in attributes(datagram, message.start + 8, message.end)
                    }
                    found[values.get(_LOCAL, values.get(_ADDRESS, b""))] = None
    loopback = (b"\x7f", bytes(15) + b"\1")
    return tuple(each for each in found if each and not each.startswith(loopback))
