"""Objects from the Kubernetes API, listed and then watched, as a service account that may read them.

Each resource has a daemon thread and a connection of its own (``kubernetes_follow``); the sink is called on
the reactor's thread only, through one ``handover`` that keeps the order of each resource.  Between resources
there is no order, as with any client of this API, but for one: the first Services come after the first
EndpointSlices, so that no Service has its endpoints derived from Pods meanwhile.
"""

from collections.abc import Collection
from functools import partial

from skydns_py.cluster.objects import Kind
from skydns_py.settings import KubernetesSource as KubernetesSettings
from skydns_py.sources import Sink
from skydns_py.sources.handover import Handover, Reactor
from skydns_py.sources.kubernetes_access import Access, from_kubeconfig, in_cluster
from skydns_py.sources.kubernetes_follow import Follower, Timing, instead_of
from skydns_py.sources.kubernetes_resources import Resource, resources
from skydns_py.sources.kubernetes_roll import Roll

__all__ = ["KubernetesSettings", "KubernetesSource", "Timing", "access"]


def access(settings: KubernetesSettings) -> Access:
    """How the API is reached; ConfigError where that cannot be found out."""
    return in_cluster() if settings.in_cluster else from_kubeconfig(settings.kubeconfig)


class KubernetesSource:
    """A ``Source`` that follows the Kubernetes API, for ever. ``settings`` are as in the configuration."""

    def __init__(
        self,
        settings: KubernetesSettings,
        sink: Sink,
        reactor: Reactor,
        kinds: Collection[Kind] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """``kinds`` are those to list and watch, None all the API has.

        Raises ConfigError where the API cannot be reached as it is set, ValueError where it has none of
        the kinds.
        """
        access(settings)
        wanted = resources(
            frozenset(Kind if kinds is None else kinds), settings.namespaces, settings.label_selector
        )
        if not wanted:
            raise ValueError("none of the kinds wanted is kept in the Kubernetes API")
        self._sink = sink
        self._handover = Handover(sink, reactor)
        self._roll = Roll(sink, self._handover)
        reach, pace = partial(access, settings), timing or Timing()
        self._followers = {each: Follower(each, instead_of(each), reach, pace) for each in wanted}

    def start(self) -> None:
        """See ``Source.start``."""
        for follower in self._followers.values():
            self._roll.absent(follower)
        for resource, follower in self._followers.items():
            slices = self._followers.get(Resource(Kind.SLICE, resource.namespace))
            after = slices.begun if slices and resource.kind is Kind.SERVICE else None
            follower.start(self._sink, self._handover, self._roll, after)

    def stop(self) -> None:
        """See ``Source.stop``; the threads end soon after."""
        self._handover.close()
        for follower in self._followers.values():
            follower.stop()
