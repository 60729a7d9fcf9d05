"""What the zone is called and how it answers."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from skydns_py.cluster.objects import Address
from skydns_py.zone.rrset import Names, RRsets


class Pods(enum.Enum):
    """Which names pods get: none, any address's in an existing namespace, or those of known pods."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """Settings of the zone; names are wire names, ``ttl`` is in seconds.

    ``own_addresses`` are where this server is reached: the addresses of the zone's name server.
    """

    name: bytes
    ttl: int = 5
    reverse_zones: tuple[bytes, ...] = ()
    pods: Pods = Pods.VERIFIED
    legacy_names: bool = True
    own_addresses: tuple[Address, ...] = ()

    @property
    def apexes(self) -> tuple[bytes, ...]:
        """Every zone served."""
        return (self.name, *self.reverse_zones)


@dataclass(frozen=True, slots=True)
class Found:
    """What a name owns, and the addresses of the names its records point to; both empty for a bare name."""

    rrsets: RRsets
    glue: Names = field(default_factory=dict)


NOTHING = Found({})

Touched = Mapping[bytes, Found | None]
"""Names with what has become of each: ``None`` where nothing owns it any more."""
