"""The balancer's pools: each is read by its keys, and then beside the others.

Pools that overlap are refused: which of their limits would count for an address in both?
"""

from itertools import combinations
from typing import Any

from skydns_py import settings as s
from skydns_py import settings_text as texts
from skydns_py.config_fields import Field, Read, list_of, parsed, section, text_of
from skydns_py.errors import ConfigError

POOL: dict[str, Read] = {
    "name": parsed(texts.parse_object_name),
    "addresses": list_of(parsed(texts.parse_addresses), may_be_empty=False),
    "namespaces": list_of(parsed(texts.parse_namespace), may_be_empty=True),
    "classes": list_of(text_of, may_be_empty=True),
}


def pools(field: Field) -> tuple[s.PoolSettings, ...]:
    """The list of pools; ConfigError where two have one name or one address."""
    found = list_of(_pool, may_be_empty=True)(field)
    names = [pool.name for pool in found]
    if double := next((name for name in names if names.count(name) > 1), ""):
        raise field.refusal(f"two pools are called {double}; give each a name of its own")
    for (_, one), (at, other) in combinations(enumerate(found), 2):
        for index, text in enumerate(other.addresses):
            if clash := next((each for each in one.addresses if _overlap(each, text)), ""):
                raise _refusal(field, at, index, f"{text} and {clash} of pool {one.name} overlap")
    return found


def check_portal_net(field: Field, found: s.Settings) -> None:
    """ConfigError where a pool has addresses that are portal IPs; ``field`` is the whole document."""
    networks = getattr(found.source, "portal_net", ())
    for at, pool in enumerate(found.balancer.pools):
        for index, text in enumerate(pool.addresses):
            if clash := next((each for each in networks if _overlap(str(each), text)), None):
                listed = field.below("balancer").below("pools")
                reason = f"{text} and portal_net {clash} overlap; portal IPs are given from there"
                raise _refusal(listed, at, index, reason)


def _pool(field: Field) -> s.PoolSettings:
    values: dict[str, Any] = section(field, POOL)
    for key in ("name", "addresses"):
        if key not in values:
            raise field.refusal("missing", field.child(key))
    return s.PoolSettings(**values)


def _overlap(one: str, other: str) -> bool:
    (low, high), (first, last) = texts.bounds(one), texts.bounds(other)
    return low.version == first.version and int(low) <= int(last) and int(first) <= int(high)


def _refusal(field: Field, at: int, index: int, reason: str) -> ConfigError:
    """About one entry of one pool's addresses."""
    return field.item(at).below("addresses").item(index).refusal(reason)
