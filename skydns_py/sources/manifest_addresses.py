"""Portal addresses and node ports for the Services of manifests that name none.

1. Without a state file what is given follows from the Services alone (``allocation.assign``).  So every
   process that reads the same files gives the same: the DNS server, the portal programmers of all nodes,
   and each of them after a restart.  That is worth more than keeping, in one process, an address that the
   others would not know of; the price is that a Service which comes or goes may, seldom, move another.
2. With one, what was given is kept in it while its Service exists.  The processes of one machine share it:
   each holds a lock from reading it to writing it.  The manifests' folder itself is never written to.
3. A state file that cannot be used is said, and rule 1 applies.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, NamedTuple

from skydns_py.balancer.allocation import service as rules
from skydns_py.balancer.allocation.assign import assign
from skydns_py.balancer.allocation.document import wish_of
from skydns_py.balancer.allocation.ledger import Ledger
from skydns_py.balancer.allocation.pool import AddressPool, Pool, hosts
from skydns_py.balancer.allocation.service import PLAIN, Grant, Wish
from skydns_py.cluster.objects import Exposure, Kind, Ref, Service, ServicePort
from skydns_py.errors import DecodeError
from skydns_py.settings import ManifestSource

LOCK_SECONDS = 2.0
"""For the lock of the state file, which another process holds for milliseconds."""
_TRY_SECONDS = 0.02
_PRIVATE = 0o600


class Wanting(NamedTuple):
    """A Service of a manifest, what only its document says, and where that is."""

    service: Service
    wish: Wish | DecodeError
    where: str


class Given(NamedTuple):
    """The Services with what they have, and (where, reason) of what could not be given."""

    services: dict[Ref, Service]
    refusals: list[tuple[str, str]]


class Addresses:
    """Gives addresses by the settings of a manifest source; nothing without ``portal_net``."""

    def __init__(self, settings: ManifestSource) -> None:
        self._settings = settings
        self._last: tuple[list[Wanting], Given] = ([], Given({}, []))

    def give(self, wanting: Iterable[Wanting]) -> Given:
        """Every Service of the manifests with what it has; reads and writes the state file."""
        if not self._settings.portal_net:
            return Given({}, [])
        every = list(wanting)
        if not self._settings.state:
            if every != self._last[0]:  # quick: what has not changed is the same object
                self._last = every, self._given(every, {})[0]
            return self._last[1]
        try:
            with _locked(self._settings.state):
                before = _read(self._settings.state)
                given, after = self._given(every, before)
                if after != before:
                    _write(self._settings.state, after)
                return given
        except (OSError, ValueError) as error:
            given, _ = self._given(every, {})
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            refusal = (self._settings.state, f"cannot be used: {reason}; addresses may move meanwhile")
            return Given(given.services, [*given.refusals, refusal])

    def _given(self, every: list[Wanting], before: Mapping[str, Any]) -> tuple[Given, dict[str, Any]]:
        """What is given, and the state then."""
        wishes = [
            (each.service, PLAIN if isinstance(each.wish, DecodeError) else each.wish) for each in every
        ]
        ledger = Ledger(AddressPool(map(hosts, self._settings.portal_net)), Pool([self._settings.node_ports]))
        found = assign(wishes, ledger, {owner: _remembered(owner, row) for owner, row in before.items()})
        services, refusals, state = dict[Ref, Service](), list[tuple[str, str]](), dict[str, Any]()
        for service, wish, where in every:
            owner = f"{service.namespace}/{service.name}"
            services[service.ref] = rules.with_grant(service, found.grants[owner])
            error = wish if isinstance(wish, DecodeError) else found.refused.get(owner)
            refusals += [(where, str(error))] if error else []
            if row := _row(service, found.grants[owner]):
                state[owner] = row
        return Given(services, refusals), state


def wishes(document: object) -> dict[Ref, Wish | DecodeError]:
    """What the Services of a document, or of a list, ask for; those that cannot be decoded may be missing."""
    found: dict[Ref, Wish | DecodeError] = {}
    for item in _items(document):
        meta = item.get("metadata")
        meta = meta if isinstance(meta, Mapping) else {}
        name, namespace = meta.get("name") or item.get("id"), meta.get("namespace") or item.get("namespace")
        if item.get("kind") == "Service" and isinstance(item.get("spec") or {}, Mapping):
            try:
                wish: Wish | DecodeError = wish_of(item)
            except DecodeError as error:
                wish = error
            found.setdefault(Ref(Kind.SERVICE, str(namespace or "default"), str(name)), wish)
    return found


def _items(document: object) -> Iterator[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return
    kind = str(document.get("kind"))
    items = document.get("items") if kind.endswith("List") else [document]
    types = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            yield {**types, **item}


def _row(service: Service, has: Grant) -> dict[str, Any]:
    """What was given and not named, as the state file has it; {} for nothing."""
    named = rules.granted(service).items
    ports = zip(service.ports, has.node_ports, strict=True)
    row = {
        "addresses": [str(ip_address(each)) for each in has.addresses if each not in named],
        "nodePorts": {port.name: number for port, number in ports if number and number not in named},
        "healthCheckNodePort": has.health_port if has.health_port not in named else 0,
    }
    return {key: value for key, value in row.items() if value}


def _remembered(owner: str, row: Any) -> Service:
    """A Service as the state file has it; ValueError where that is nothing that ``_row`` writes."""
    namespace, _, name = owner.partition("/")
    try:
        ports = [
            ServicePort(key, "TCP", 0, 0, int(number)) for key, number in row.get("nodePorts", {}).items()
        ]
        addresses = tuple(ip_address(text).packed for text in row.get("addresses", ()))
        exposure = Exposure(health_check_node_port=int(row.get("healthCheckNodePort", 0)))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(f"{owner!r} is not as this program writes it; remove the file") from None
    return Service(namespace, name, tuple(ports), addresses, exposure=exposure)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """While nobody else has the lock beside ``path``; TimeoutError where somebody keeps it."""
    deadline = time.monotonic() + LOCK_SECONDS
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        while not _try(lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path}.lock is held by another process")
            time.sleep(_TRY_SECONDS)
        yield
    finally:
        os.close(lock)


def _try(call: Callable[[], object]) -> bool:
    with suppress(BlockingIOError):
        call()
        return True
    return False


def _read(path: str) -> dict[str, Any]:
    """What the state file has; nothing where there is none yet. ValueError where it is none of ours."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error}); remove the file") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object; remove the file")
    return found


def _write(path: str, state: Mapping[str, Any]) -> None:
    """In one step, and on the disk before the step: half a file is never seen."""
    draft = f"{path}.new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
