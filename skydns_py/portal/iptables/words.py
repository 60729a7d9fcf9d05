"""The words of iptables rules: addresses, matches, targets.  Every rule text ends with a newline."""

from base64 import b32encode
from hashlib import blake2b
from ipaddress import ip_address

from skydns_py.cluster.objects import Address
from skydns_py.portal.iptables.tools import PREFIX
from skydns_py.portal.plan.model import Portal, Target

BITS = {4: 32, 6: 128}
ALL = {4: "0.0.0.0/0", 6: "::/0"}


def host(address: Address) -> str:
    """``10.0.0.1/32``, or ``fd00::1/128``."""
    return f"{ip_address(address)}/{8 * len(address)}"


def endpoint(target: Target) -> str:
    """``10.0.0.1:80``, or ``[fd00::1]:80``."""
    text = str(ip_address(target.address))
    return f"{text}:{target.port}" if len(target.address) == 4 else f"[{text}]:{target.port}"


def at_port(protocol: str, ports: int | str) -> str:
    """The match of a protocol and a destination port, or of a range ``low:high``; ends with a space."""
    name = protocol.lower()
    return f"-p {name} -m {name} --dport {ports} "


def at(address: Address, portal: Portal) -> str:
    """The match of one front; ends with a space."""
    return f"-d {host(address)} {at_port(portal.protocol, portal.port)}"


def digest(*parts: object, size: int = 10) -> str:
    """A short name for what is too long to be one: ``8 * size`` bits in base 32, without padding."""
    text = "\0".join(map(str, parts))
    return b32encode(blake2b(text.encode(), digest_size=size).digest()).decode().rstrip("=")


def identity(portal: Portal) -> str:
    """The name of a portal inside chain names: 16 characters, the same as long as the port is the same."""
    return digest(
        portal.namespace, portal.service, portal.port_name, portal.family, portal.protocol, portal.port
    )


def chain(name: str) -> str:
    """A chain of ours; at most 28 characters, which is what the kernel takes."""
    assert len(name) <= 21
    return PREFIX + name


def mark(bit: int) -> str:
    """The match of packets that carry the mark; ends with a space."""
    return f"-m mark --mark {bit:#x}/{bit:#x} "


def set_mark(bit: int) -> str:
    """The target that sets the mark."""
    return f"-j MARK --or-mark {bit:#x}\n"


def clear_mark(bit: int) -> str:
    """The target that clears the mark."""
    return f"-j MARK --and-mark {bit ^ 0xFFFFFFFF:#x}\n"
