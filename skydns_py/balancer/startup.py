"""What is asked of this node before the balancer starts: so that it fails at once, not at the first Service.

1. ``interface`` must be there.  A typing error is likelier than one that comes later; a node whose interface
   comes later has the unit started after it, or started again.
2. The webhook's files must be readable then.  They are read anew for each request, as tokens are changed.
3. A pool may hold the node's own address: it is never announced by this node, and another node might take it
   away from it.  That is a warning: the pools are the same on every node, and the others may do without it.
"""

import logging
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from ipaddress import ip_address
from pathlib import Path

from skydns_py.balancer.allocation.pool import AddressPool, parse_range
from skydns_py.cluster.objects import Address
from skydns_py.errors import ConfigError
from skydns_py.settings import BalancerProvider, BalancerSettings, PoolSettings

log = logging.getLogger("skydns")


def check(settings: BalancerSettings, place: Callable[[str], str]) -> None:
    """ConfigError where this node cannot do what is set; ``place`` says where a key stands, by its path."""
    if settings.provider is BalancerProvider.LAYER2:
        complaints = {"balancer.interface": _interface_complaint(settings.interface)}
    else:
        complaints = {
            "balancer.webhook.token_file": _token_complaint(settings.webhook.token_file),
            "balancer.webhook.ca": _certificates_complaint(settings.webhook.ca),
        }
    for key, complaint in complaints.items():
        if complaint:
            raise ConfigError(f"{place(key)}: {complaint}")


def warn_of_own(pools: Sequence[PoolSettings], own: Collection[Address]) -> None:
    """A line for each pool that holds addresses of this node."""
    for pool in pools:
        addresses = AddressPool(map(parse_range, pool.addresses))
        if found := ", ".join(str(ip_address(each)) for each in own if each in addresses):
            log.warning(
                "balancer.pools: %s holds this node's own address %s; no Service must get it: leave it out",
                *(pool.name, found),
            )


def _interface_complaint(name: str) -> str:
    there = [each for _, each in socket.if_nameindex()]
    return f"this node has no {name}; it has {', '.join(there)}" if name and name not in there else ""


def _token_complaint(file: str) -> str:
    try:
        empty = bool(file) and not Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        return f"{file}: {error.strerror}"
    except UnicodeDecodeError:
        return f"{file}: not UTF-8 text"
    return f"{file}: holds no token" if empty else ""


def _certificates_complaint(file: str) -> str:
    try:
        if file:
            ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        return f"{file}: holds no certificates (PEM)"
    except OSError as error:
        return f"{file}: {error.strerror}"
    return ""
