"""An address on an interface of this node, and its neighbours told.

1. An address is added with a lifetime (``validity``), which is prolonged while the lease is.  So the kernel
   takes it away by itself where this process is stopped or dead; see ``election``.
2. It is added as /32 or /128: it gives no route, and is not chosen as a source for other traffic.
3. An address that this node has without a lifetime is its own and never touched: ``Taken``.
4. What somebody else says in ARP about an address of ours (a node that was stopped between two steps, and
   goes on with old news) is contradicted at once, and once a second at most (RFC 5227 section 2.4).

Formats: rtnetlink(7), linux/if_addr.h, packet(7).
"""

import errno
import logging
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from skydns_py.balancer.packets import ETH_ARP, announcement, parse_arp
from skydns_py.cluster.objects import Address
from skydns_py.errors import SkydnsError
from skydns_py.portal.netlink import Netlink, attribute, attributes, messages

log = logging.getLogger("skydns")

_NEW, _DELETE, _GET = 20, 21, 22
_ADDRESS, _LOCAL, _CACHE, _FLAGS = 1, 2, 6, 8
_NO_DAD, _PERMANENT, _NO_PREFIX_ROUTE = 0x02, 0x80, 0x200
_REPLACE, _CREATE = 0x100, 0x400
_BATCH = 128
_GONE = (0, errno.EADDRNOTAVAIL, errno.ENODEV)


class Taken(SkydnsError):
    """The address belongs to this node itself."""


class Present(NamedTuple):
    """An address of an interface; ``bits`` is its prefix, ``permanent``: without a lifetime."""

    interface: int
    address: Address
    bits: int
    permanent: bool


class Layer2:
    """``interface`` "" means the one whose network has the address. SkydnsError where the kernel refuses."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._kernel = Netlink(socket.NETLINK_ROUTE, "balancer")
        self._links: dict[Address, str] = {}
        self._senders: dict[str, socket.socket] = {}

    def close(self) -> None:
        """Done; addresses that are left go by themselves."""
        self._kernel.close()
        for sender in self._senders.values():
            sender.close()

    def own(self) -> list[Address]:
        """What this node is reached by: what has no lifetime, or has a network as from DHCP."""
        return [
            each.address for each in self._present() if each.permanent or each.bits < len(each.address) * 8
        ]

    def hold(self, address: Address, validity: int) -> None:
        """Put it on its interface for so many seconds; Taken, or SkydnsError, where that cannot be."""
        present = list(self._present())
        if any(each.address == address and each.permanent for each in present):
            raise Taken(f"{_text(address)} is this node's own address; take it out of balancer.pools")
        self._links[address] = self._interface or _interface_of(address, present)
        (code,) = self._change([address], validity)
        if code:
            raise SkydnsError(f"{_text(address)} on {self._links[address]}: {_reason(code)}")

    def prolong(self, addresses: Sequence[Address], validity: int) -> list[Address]:
        """``validity`` more seconds from now for each that ``hold`` put there; those that failed."""
        known = [each for each in addresses if each in self._links]
        return [each for each, code in zip(known, self._change(known, validity), strict=True) if code]

    def drop(self, addresses: Sequence[Address]) -> None:
        """Take them off."""
        known = [each for each in addresses if each in self._links]
        requests = [(_DELETE, body) for each in known if (body := self._body(each))]
        for start in range(0, len(requests), _BATCH):
            for code in self._kernel.each(requests[start : start + _BATCH]):
                if code not in _GONE:
                    log.warning("an address cannot be taken off: %s; it goes in a moment", _reason(code))
        for each in known:
            del self._links[each]

    def announce(self, address: Address) -> None:
        """Tell the neighbours, once; nothing where the interface is gone or down."""
        if (link := self._links.get(address)) is None:
            return
        try:
            sender = self._sender(link)
            for frame in announcement(sender.getsockname()[4], address):
                sender.send(frame)
        except OSError as error:
            log.warning("%s cannot be announced on %s: %s", _text(address), link, error.strerror)
            self._forget_sender(link)

    def overheard(self) -> set[Address]:
        """Addresses of ours that somebody else has claimed by ARP since the last call (rule 4)."""
        found = set[Address]()
        for link, sender in tuple(self._senders.items()):
            with suppress(OSError):
                mac = sender.getsockname()[4]
                while heard := parse_arp(sender.recv(64, socket.MSG_DONTWAIT)):
                    if heard.sender_mac != mac and self._links.get(heard.sender) == link:
                        found.add(heard.sender)
        return found

    def _change(self, addresses: Sequence[Address], validity: int) -> list[int]:
        codes: list[int] = []
        times = attribute(_CACHE, struct.pack("=4I", 0, validity, 0, 0))
        for start in range(0, len(addresses), _BATCH):
            bodies = [self._body(each) for each in addresses[start : start + _BATCH]]
            there = [(_NEW, body + times) for body in bodies if body]
            found = iter(self._kernel.each(there, _CREATE | _REPLACE) if there else ())
            codes += [next(found) if body else errno.ENODEV for body in bodies]
        return codes

    def _body(self, address: Address) -> bytes:
        """What names an address to the kernel; nothing where its interface is gone."""
        try:
            index = socket.if_nametoindex(self._links[address])
        except OSError:
            return b""
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        head = struct.pack("=4BI", family, len(address) * 8, _NO_DAD, 0, index)
        flags = attribute(_FLAGS, struct.pack("=I", _NO_DAD | _NO_PREFIX_ROUTE))
        return head + attribute(_LOCAL, address) + attribute(_ADDRESS, address) + flags

    def _present(self) -> Iterator[Present]:
        for datagram in self._kernel.dump(_GET, struct.pack("=4BI", 0, 0, 0, 0, 0)):
            for message in messages(datagram):
                if message.kind == _NEW:
                    yield _present(datagram, message.start, message.end)

    def _sender(self, link: str) -> socket.socket:
        if link not in self._senders:
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            sender.setblocking(False)
            sender.bind((link, ETH_ARP))
            self._senders[link] = sender
        return self._senders[link]

    def _forget_sender(self, link: str) -> None:
        if sender := self._senders.pop(link, None):
            sender.close()


def _present(datagram: bytes, start: int, end: int) -> Present:
    _, bits, low, _, index = struct.unpack_from("=4BI", datagram, start)
    values = {kind: datagram[at:until] for kind, at, until in attributes(datagram, start + 8, end)}
    flags = struct.unpack("=I", values[_FLAGS])[0] if _FLAGS in values else low
    address = values.get(_LOCAL) or values.get(_ADDRESS) or b""
    return Present(index, address, bits, bool(flags & _PERMANENT))


def _interface_of(address: Address, present: Sequence[Present]) -> str:
    """The interface with the narrowest network around the address."""
    wanted = ip_address(address)
    around = [
        (each.bits, each.interface)
        for each in present
        if len(each.address) == len(address) and each.bits < len(address) * 8
        if wanted in ip_network((each.address, each.bits), strict=False)
    ]
    if not around:
        raise SkydnsError(f"no interface has a network with {wanted}; set balancer.interface")
    return socket.if_indextoname(max(around)[1])


def _reason(code: int) -> str:
    return errno.errorcode.get(code, str(code)) if code != errno.ENODEV else "no such interface"


def _text(address: Address) -> str:
    return str(ip_address(address))
