"""What the packet tests have in common: a family's addresses, and a Service with some of the backends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.portal import lab
from tests.portal.objects import Document, endpoint, endpoint_slice, service

NODES = {"b1": lab.NODE_NAME, "b2": "node-2", "b3": "node-3"}
"""The nodes that the endpoints are said to be on; only the first is the one that is programmed."""
DROP_SECONDS = 0.4
"""Waiting longer than this for an answer, one calls it dropped; it would be sent again only after 1 s."""
DROPPED = {"TimeoutError": 1}
REFUSED = {"ConnectionRefusedError": 1}


@dataclass(frozen=True)
class Family:
    """Addresses of one family; ``portal`` and ``outside`` are free for a Service to use."""

    number: int
    portal: str
    outside: str
    client: str
    pod: str
    node: str
    backends: Mapping[str, str]


IPV4 = Family(4, "10.96.0.10", "203.0.113.10", lab.CLIENT, lab.POD, lab.NODE, lab.BACKENDS)
IPV6 = Family(6, "fd00:96::10", "2001:db8:113::10", lab.CLIENT6, lab.POD6, lab.NODE6, lab.BACKENDS6)
each_family = pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ipv4", "ipv6"])
each_protocol = pytest.mark.parametrize("protocol", ["TCP", "UDP"])


def balanced(family: Family, *names: str, name: str = "my-service", **options: Any) -> list[Document]:
    """A Service at ``family.portal`` with these backends, all ready; ``options`` are those of ``service``."""
    protocol = options.get("protocol", "TCP")
    return [
        service(name, options.pop("address", family.portal), **options),
        ready(family, *names, name=name, protocol=protocol),
    ]


def ready(family: Family, *names: str, name: str = "my-service", protocol: str = "TCP") -> Document:
    """The Service's endpoints: these backends, ready, each on its node."""
    found = [endpoint(family.backends[each], NODES[each]) for each in names]
    return endpoint_slice(name, *found, family=family.number, protocol=protocol)
