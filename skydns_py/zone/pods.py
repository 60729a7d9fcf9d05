"""The names of namespaces and pods: ``ns.svc.ZONE``, ``ns.pod.ZONE`` and ``10-0-0-1.ns.pod.ZONE``."""

from collections import Counter

from skydns_py.cluster.objects import Address, Pod
from skydns_py.zone.names import ROOT, address_in_label, from_labels, ip_label, labels
from skydns_py.zone.schema import address_rrsets
from skydns_py.zone.settings import NOTHING, Found, Pods, Touched, ZoneSettings


class PodNames:
    """Namespaces, and the pods in them; pods on the host's network share its address."""

    def __init__(self, settings: ZoneSettings) -> None:
        self._settings = settings
        self._namespaces: set[str] = set()
        self._live: Counter[tuple[str, Address]] = Counter()

    def compute(self, name: bytes) -> Found | None:
        """What ``name``, a wire name in the zone, owns as a namespace or a pod, or None."""
        parts = [label.decode("latin-1") for label in labels(name[: -len(self._settings.name)] + ROOT)]
        if len(parts) == 2 and parts[0] in self._namespaces:
            return NOTHING if parts[1] in self._branches() else None
        address = address_in_label(parts[0]) if len(parts) == 3 and parts[2] == "pod" else None
        if address is None or not self._is_pod(parts[0], parts[1], address):
            return None
        return self._found(address)

    def change_namespace(self, name: str, exists: bool) -> Touched:
        """A namespace came or went."""
        (self._namespaces.add if exists else self._namespaces.discard)(name)
        found = NOTHING if exists else None
        return {from_labels(name, branch, base=self._settings.name): found for branch in self._branches()}

    def change_pod(self, before: Pod | None, after: Pod | None) -> Touched:
        """A pod came, went, finished or got another address."""
        if self._settings.pods is not Pods.VERIFIED:
            return {}
        old, new = _places(before), _places(after)
        self._live.subtract(old)
        self._live.update(new)
        return {self._name(*place): self._settled(place) for place in old ^ new}

    def _settled(self, place: tuple[str, Address]) -> Found | None:
        if self._live[place]:
            return self._found(place[1])
        del self._live[place]
        return None

    def _is_pod(self, label: str, namespace: str, address: Address) -> bool:
        if self._settings.pods is Pods.INSECURE:
            return namespace in self._namespaces
        return (namespace, address) in self._live and label == ip_label(address)

    def _name(self, namespace: str, address: Address) -> bytes:
        return from_labels(ip_label(address), namespace, "pod", base=self._settings.name)

    def _found(self, address: Address) -> Found:
        return Found(address_rrsets([address], self._settings.ttl))

    def _branches(self) -> tuple[str, ...]:
        return ("svc",) if self._settings.pods is Pods.DISABLED else ("svc", "pod")


def _places(pod: Pod | None) -> set[tuple[str, Address]]:
    """Where a live pod is: (namespace, address) for each of its addresses."""
    return {(pod.namespace, address) for address in pod.addresses} if pod and not pod.finished else set()
