"""Endpoints where nobody writes any: derived from a Service's selector and the Pods that carry it.

1. A Pod counts when it carries every pair of the selector, has an address and has not finished; one on its
   node's network counts too.  An empty selector is carried by every Pod of the namespace.
2. An endpoint is ready where its Pod is ready and not being deleted; ``serving`` looks at readiness alone, so
   that a Pod which is going away can finish its work.  So does the EndpointSlice controller, also in 3 and 4.
3. A port's target is a number, or the name of a container port of the same protocol, which may differ from
   Pod to Pod: Pods with equal numbers make one subset.  A Pod without a port of that name is left out of that
   port, and is an endpoint without ports where it has none of them.
4. An endpoint has a hostname where its Pod's subdomain is the Service's name.
5. Every address of a Pod is an endpoint, whatever its family; Pods come in the order of their names, so that
   equal Pods give equal subsets.

``Selectors`` finds the Pods of a Service and the Services of a Pod, at a cost that does not grow with the
cluster, and holds nothing for a Service that has endpoints of its own:

6. A Service is found by one pair of its selector (its anchor), which is then compared whole.  That is the
   pair by which the fewest others are found, so that ``tier=backend`` does not lead to all the Services that
   select by it and by something else.
7. Pods are listed by the values of just those labels that selectors name, one namespace at a time, and only
   once a Service asks: until then, and after the last such Service is gone, nothing is kept.  A Service reads
   the shortest of the lists that its selector's pairs lead to.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from skydns_py.cluster.objects import Endpoint, EndpointPort, Pod, Service, ServicePort, Subset

Pair = tuple[str, str]
"""A label and its value."""

Selector = tuple[Pair, ...]

_Key = tuple[str, str]
_Lists = dict[str, dict[str, dict[str, Pod]]]
"""By label, by its value, by name: the Pods of one namespace."""

_EVERY: Pair = ("", "")
"""Listed for every Pod, so that an empty selector has a pair to be found by."""


def derive(service: Service, pods: Iterable[Pod]) -> tuple[Subset, ...]:
    """The subsets that ``pods``, which match the Service's selector, make for it."""
    groups: dict[tuple[int, ...], list[Endpoint]] = {}
    by_name = any(isinstance(port.target, str) for port in service.ports)
    numbers = () if by_name else tuple([_number(port, ()) for port in service.ports])
    for pod in pods:
        if by_name:
            numbers = tuple([_number(port, pod.ports) for port in service.ports])
        groups.setdefault(numbers, []).extend(_endpoints(service, pod))
    return tuple([Subset(tuple(found), _ports(service, numbers)) for numbers, found in groups.items()])


def _number(port: ServicePort, named: tuple[EndpointPort, ...]) -> int:
    """The number that a Pod with these named ports listens on for a Service's port; 0 where it does not."""
    if isinstance(port.target, int):
        return port.target or port.port
    wanted = (port.target, port.protocol)
    return next((each.port for each in named if (each.name, each.protocol) == wanted), 0)


def _ports(service: Service, numbers: tuple[int, ...]) -> tuple[EndpointPort, ...]:
    both = zip(service.ports, numbers, strict=True)
    return tuple([EndpointPort(port.name, port.protocol, number) for port, number in both if number])


def _endpoints(service: Service, pod: Pod) -> list[Endpoint]:
    hostname = pod.hostname if pod.subdomain == service.name else ""
    ready = pod.ready and not pod.terminating
    return [
        Endpoint(address, hostname, ready, pod.ready, pod.terminating, pod.node) for address in pod.addresses
    ]


def _pairs_of(pod: Pod) -> Selector:
    """What a Pod that counts is listed by (rule 1); nothing if it does not."""
    if pod.finished or not pod.addresses:
        return ()
    return pod.labels if _EVERY in pod.labels else (*pod.labels, _EVERY)


def _carries(pod: Pod, selector: Selector) -> bool:
    return all(pair in pod.labels for pair in selector)


class Selectors:
    """The Services whose endpoints are derived. ``pods`` is the caller's: all Pods, as they are now."""

    def __init__(self, pods: Mapping[_Key, object]) -> None:
        self._all_pods = pods
        self._held: dict[_Key, tuple[Selector, Pair]] = {}
        self._anchored: dict[tuple[str, Pair], tuple[str, ...]] = {}
        self._named: dict[str, Counter[str]] = {}
        self._lists: dict[str, _Lists] = {}

    def hold(self, key: _Key, selector: Selector | None) -> None:
        """Derive this Service's endpoints by ``selector`` from now on; None: no longer."""
        held = self._held.get(key)
        if (held[0] if held else None) == selector:
            return
        if held is not None:
            self._drop(key, *held)
        if selector is not None:
            self._add(key, selector)

    def pods(self, key: _Key) -> list[Pod]:
        """The Pods whose endpoints this Service has, by name; none where they are not derived."""
        if key not in self._held:
            return []
        selector, _ = self._held[key]
        found = min((self._listed(key[0], pair) for pair in selector or (_EVERY,)), key=len)
        return [found[name] for name in sorted(found) if _carries(found[name], selector)]

    def services(self, pod: Pod | None) -> list[_Key]:
        """The Services that have endpoints from this Pod; None has none."""
        if pod is None or not self._held:
            return []
        names = [self._anchored.get((pod.namespace, pair), ()) for pair in _pairs_of(pod)]
        keys = [(pod.namespace, name) for each in names for name in each]
        return [key for key in keys if _carries(pod, self._held[key][0])]

    def move(self, old: Pod | None, new: Pod | None) -> None:
        """One Pod has become another; None where it was, or is, not there."""
        for pod, change in ((old, _unlist), (new, _list)):
            if pod is not None and pod.namespace in self._lists:
                change(pod, self._lists[pod.namespace])

    def _add(self, key: _Key, selector: Selector) -> None:
        namespace, name = key
        pairs = selector or (_EVERY,)
        anchor = min(pairs, key=lambda pair: len(self._anchored.get((namespace, pair), ())))
        self._held[key] = (selector, anchor)
        self._anchored[namespace, anchor] = (*self._anchored.get((namespace, anchor), ()), name)
        self._named.setdefault(namespace, Counter()).update(label for label, _ in pairs)

    def _drop(self, key: _Key, selector: Selector, anchor: Pair) -> None:
        namespace, name = key
        del self._held[key]
        left = tuple([each for each in self._anchored.pop((namespace, anchor)) if each != name])
        if left:
            self._anchored[namespace, anchor] = left
        for label, _ in selector or (_EVERY,):
            self._forget(namespace, label)
        if not self._held:
            self._held.clear()  # a dict that has shrunk keeps its table until then
            self._anchored.clear()

    def _forget(self, namespace: str, label: str) -> None:
        """One selector fewer names the label."""
        named, lists = self._named[namespace], self._lists.get(namespace, {})
        named[label] -= 1
        if not named[label]:
            del named[label]
            lists.pop(label, None)
        if not named:
            del self._named[namespace]
            self._lists.pop(namespace, None)

    def _listed(self, namespace: str, pair: Pair) -> Mapping[str, Pod]:
        label, value = pair
        if label not in self._lists.get(namespace, ()):
            self._list_missing()
        return self._lists[namespace][label].get(value, {})

    def _list_missing(self) -> None:
        """List the Pods by all labels that selectors name and nobody asked for yet, in one go."""
        missing: dict[str, _Lists] = {}
        for namespace, named in self._named.items():
            lists = self._lists.setdefault(namespace, {})
            if new := {label: dict[str, dict[str, Pod]]() for label in named if label not in lists}:
                missing[namespace] = new
                lists.update(new)
        for (namespace, _), pod in self._all_pods.items():
            if namespace in missing and isinstance(pod, Pod):
                _list(pod, missing[namespace])


def _list(pod: Pod, lists: _Lists) -> None:
    for label, value in _pairs_of(pod):
        if label in lists:
            lists[label].setdefault(value, {})[pod.name] = pod


def _unlist(pod: Pod, lists: _Lists) -> None:
    for label, value in _pairs_of(pod):
        if label in lists:
            del lists[label][value][pod.name]
            if not lists[label][value]:
                del lists[label][value]
