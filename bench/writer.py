"""``python -m bench.writer URL PREFIX SERVICES RATE SECONDS``: changes Services in etcd at a steady pace.

Each change is another cluster IP for a random Service below PREFIX; a few go into one transaction.  Prints
``started`` once it is connected, and at the end the number of changes that etcd has acknowledged and the last
one, as JSON.
"""

import ipaddress
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import etcd3

from bench import registry

FOLLOWED = "/registry"
"""The prefix that the server follows."""
_AT_ONCE = 5
_FIRST_CHANGED = int(ipaddress.IPv4Address("10.200.0.1"))
_ADDRESSES = 1 << 20


def main(argv: Sequence[str] | None = None) -> None:
    """Write until the time is over."""
    url, prefix, services, rate, seconds = argv or sys.argv[1:]
    client = etcd3.client(host="127.0.0.1", port=urlsplit(url).port, timeout=20)
    client.status()
    print("started", flush=True)
    chance = random.Random()
    started, made, last = time.monotonic(), 0, (0, "")
    while (passed := time.monotonic() - started) < float(seconds):
        if made > passed * float(rate):
            time.sleep(made / float(rate) - passed)
        puts: list[Any] = []
        for _ in range(_AT_ONCE):
            last = chance.randrange(int(services)), _address(made + len(puts))
            key = registry.service_key(last[0]).replace(FOLLOWED, prefix, 1)
            puts.append(client.transactions.put(key, registry.service_value(*last)))
        puts = _unique(puts)
        client.transaction(compare=[], success=puts, failure=[])
        made += len(puts)
    print(json.dumps({"made": made, "seconds": round(passed, 2), "last": last}))


def _unique(puts: list[Any]) -> list[Any]:
    """The puts without those a later one overrides: no transaction may write a key twice."""
    return list({put.key: put for put in puts}.values())


def _address(number: int) -> str:
    return str(ipaddress.IPv4Address(_FIRST_CHANGED + number % _ADDRESSES))


if __name__ == "__main__":
    main()
