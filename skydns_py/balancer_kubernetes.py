"""``balancer.store.Store`` in a cluster with a Kubernetes API: sessions and keys are Leases there.

1. A session is a Lease of its own, written anew under the condition of its uid and resourceVersion to renew
   it, and read first where an answer was lost.  It is an update and no patch, because API servers treat
   get, create and update of Leases as leader election, which other load does not hold up.  Who ends a
   session for whom is in ``balancer/kubernetes_ledger.py``.
2. There is no transaction over several objects.  Each write has the condition of its own object (that there
   is none, or its resourceVersion); they are made in the order given, and the first that fails ends it.
   Keys that are only compared are read before; that saves work, and nothing may rest on it.
3. A key whose session has ended counts as not there.  Its object is replaced under the condition of its
   resourceVersion, so of several that want it one gets it.
4. Whether a write that went unanswered was made is seen from what is there: a key that hangs on the session
   it was to hang on is this node's own.
5. Of a Service only the status is written, to the subresource, under the condition of the resourceVersion
   that was read.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from skydns_py.balancer import kubernetes_objects as objects
from skydns_py.balancer.kubernetes_objects import Item
from skydns_py.balancer.store import Held, Keys, News, Write
from skydns_py.balancer_kubernetes_api import Api, Place
from skydns_py.balancer_kubernetes_watch import follow
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Kind, Ref
from skydns_py.errors import ConfigError, StoreError
from skydns_py.settings import BalancerSettings, KubernetesSource
from skydns_py.sources.kubernetes import access
from skydns_py.sources.kubernetes_client import ApiClient

REGISTRY = "/registry"
"""Services have the keys here that they have in etcd, for whoever asks for them by key."""
_TRIES = 3


def connector(
    kubernetes: KubernetesSource, balancer: BalancerSettings, keys: Keys, node: str
) -> Callable[[float], Callable[[int], "KubernetesStore"]]:
    """For calls of so many seconds at most: what connects.

    Raises ConfigError where the kubeconfig or the service account cannot be used.
    """
    access(kubernetes)

    def client(seconds: float) -> ApiClient:
        try:
            return ApiClient(access(kubernetes), seconds)  # read anew: it may have been exchanged
        except ConfigError as error:
            raise StoreError(str(error)) from None

    place = Place(client, keys, balancer.namespace, node, balancer.lease_seconds)
    return lambda seconds: lambda _: KubernetesStore(place, seconds)


class KubernetesStore:
    """One connection."""

    transactions = False

    def __init__(self, place: Place, seconds: float) -> None:
        self._place = place
        self._api = Api(place.client(seconds), place)
        self._session: objects.Json | None = None

    def close(self) -> None:
        """See ``Store``."""
        self._api.close()

    def read(self, keys: Sequence[str]) -> dict[str, Held]:
        """See ``Store``; a Service's value is its document."""
        return {key: self._read(key) for key in dict.fromkeys(keys)}

    def write(self, writes: Sequence[Write], seen: Mapping[str, int]) -> dict[str, int]:
        """See ``Store``; where it gives nothing, the first of them may have been made (rule 2)."""
        own = {write.key for write in writes}
        if any(self._read(key).revision != seen[key] for key in seen if key not in own):
            return {}
        made: dict[str, int] = {}
        for write in writes:
            if not (revision := self._write(write, seen[write.key])):
                return {}
            made[write.key] = revision
        return made

    def grant(self, seconds: int) -> tuple[int, int]:
        """See ``Store``."""
        lease = secrets.randbits(63) or 1
        body = objects.session_body(lease, self._place.node, seconds, time.time())
        self._session = self._api.open_session(body)
        return lease, seconds

    def keep_alive(self, lease: int) -> int:
        """See ``Store``."""
        name = objects.session_name(lease)
        for _ in range(_TRIES):
            if self._session is None or self._session["metadata"]["name"] != name:
                self._session = self._api.session(name)
            if self._session is None:
                return 0
            self._session = self._api.renew(objects.renewed(self._session, time.time()))
            if self._session is not None:
                return int(self._session["spec"].get("leaseDurationSeconds") or objects.LONGEST_SECONDS)
        raise StoreError(f"the Lease {name} changes each time it is read; who else writes to it?")

    def revoke(self, lease: int) -> None:
        """See ``Store``; its keys are gone with it, their objects are left to whoever wants them next."""
        self._api.delete(objects.session_name(lease))

    def follow(self, prefix: str) -> Iterator[News]:
        """See ``Store``; ends the sessions of others meanwhile, where they do not renew them."""
        assert prefix == self._place.keys.root, "all of its Leases are followed, or none"
        return follow(self._api, self._place)

    def _read(self, key: str) -> Held:
        if (service := _service(key)) is not None:
            return _document(self._api.service(service.namespace, service.name))
        item = self._api.lease(self._name(key))
        return objects.there(item) if item else Held()

    def _write(self, write: Write, seen: int) -> int:
        """The new revision; 0 where the object is not as it was seen."""
        version = objects.version_at(seen)
        if (service := _service(write.key)) is not None:
            return self._write_status(service, write.value or b"", version)
        if write.value is None:
            return objects.gone(version).revision if self._api.delete(self._name(write.key), version) else 0
        if version:
            return _revision(self._api.replace(self._body(write), version))
        return self._create(write)

    def _write_status(self, service: Ref, value: bytes, version: int) -> int:
        document = json.loads(value)
        document["metadata"]["resourceVersion"] = str(version)
        return _document(self._api.write_status(service.namespace, service.name, document)).revision

    def _create(self, write: Write) -> int:
        """Where nothing is, or what is left of a session that has ended (rules 3 and 4)."""
        version = self._place.ledger.left(write.key)
        for _ in range(_TRIES):
            body = self._body(write)
            made = self._api.replace(body, version) if version else self._api.create(body)
            if made is not None:
                return _revision(made)
            found = self._api.lease(self._name(write.key))
            if found is not None and _is_ours(found, write):
                return _revision(found)
            if found is not None and not self._is_left(found):
                return 0
            version = found.version if found else 0
        return 0

    def _is_left(self, item: Item) -> bool:
        """Whether the session it hangs on has ended."""
        return bool(item.lease) and (
            item.lease < 0 or self._api.lease(objects.session_name(item.lease)) is None
        )

    def _body(self, write: Write) -> objects.Json:
        return objects.key_body(self._name(write.key), write.value or b"", write.lease, time.time())

    def _name(self, key: str) -> str:
        return objects.key_name(*self._place.keys.parse(key))


def _service(key: str) -> Ref | None:
    """The Service that a key stands for; None for a key of the balancer's own."""
    found = registry.parse_key(key, REGISTRY)
    return found if found is not None and found.kind is Kind.SERVICE else None


def _document(document: objects.Json | None) -> Held:
    if document is None:
        return Held()
    version = objects.parse_version(document.get("metadata") or {})
    return Held(json.dumps(document).encode(), objects.revision(version))


def _is_ours(found: Item, write: Write) -> bool:
    return bool(write.lease) and (found.lease, found.value) == (write.lease, write.value)


def _revision(item: Item | None) -> int:
    return objects.there(item).revision if item else 0
