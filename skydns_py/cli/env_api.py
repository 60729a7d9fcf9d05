"""The Services a pod may see, read once from the Kubernetes API.

1. Listed are the pod's namespace and, for the master Service, ``default``, at one revision.
2. Whether the namespace is there is asked only where it has no Service.  Who may not list namespaces is
   taken at his word.
3. ``namespaces`` and ``label_selector`` of the settings say what is served; a kubelet does not know them.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from skydns_py.cli.kinds import title
from skydns_py.cli.store import PATIENCE
from skydns_py.cluster.decode_json import decode_object
from skydns_py.cluster.objects import Kind, Service
from skydns_py.errors import ConfigError, DecodeError, StoreError
from skydns_py.pods.environment import MASTER_NAMESPACE, is_master
from skydns_py.settings import KubernetesSource
from skydns_py.sources.kubernetes import access
from skydns_py.sources.kubernetes_client import ApiClient, ApiError
from skydns_py.sources.kubernetes_resources import Entry, Resource
from skydns_py.sources.kubernetes_roll import describe

PAGE = 500
"""Objects of one page of a list."""
_FORBIDDEN, _GONE, _TIMEOUT = 403, 410, 504


@dataclass(frozen=True, slots=True)
class Found:
    """The Services, a line for each that is not readable, and the namespaces that are known, if asked for."""

    services: tuple[Service, ...]
    refusals: tuple[str, ...]
    namespaces: frozenset[str]


def read(source: KubernetesSource, namespace: str, revision: int = 0) -> Found:
    """What the API says now, or said at ``revision``; it blocks.

    Raises ConfigError for a source that cannot be asked and a revision that is not there; StoreError.
    """
    place = access(source)
    with closing(ApiClient(place, PATIENCE)) as client:
        lists = _Lists(client, revision)
        try:
            return _read(lists, namespace)
        except StoreError as error:
            raise StoreError(describe(error, place.server)) from None


def _read(lists: "_Lists", namespace: str) -> Found:
    services, refusals = list[Service](), list[str]()
    for each in dict.fromkeys((namespace, MASTER_NAMESPACE)):
        resource = Resource(Kind.SERVICE, each)
        for entry in lists.entries(resource):
            ref = resource.ref(entry.key)
            if each != namespace and not is_master(ref):
                continue
            try:
                obj = decode_object(ref.kind, entry.value)
                services += [obj] if isinstance(obj, Service) else []
            except DecodeError as error:
                refusals.append(f"{title(ref)}: {error}")
    home = any(each.namespace == namespace for each in services)
    return Found(tuple(services), tuple(refusals), frozenset() if home else lists.namespaces())


class _Lists:
    """Lists of one API, all at one revision: the one given, or the newest at the first page."""

    def __init__(self, client: ApiClient, revision: int) -> None:
        self._client = client
        self._asked = self._revision = revision

    def namespaces(self) -> frozenset[str]:
        """Those there are; none where they may not be listed."""
        resource = Resource(Kind.NAMESPACE)
        try:
            return frozenset(resource.ref(entry.key).name for entry in self.entries(resource))
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            return frozenset()

    def entries(self, resource: Resource) -> Iterator[Entry]:
        """Every object, page by page."""
        token = ""
        while True:
            page = resource.page(self._page(resource.listing(PAGE, token, self._revision)))
            self._revision = self._revision or page.revision
            yield from page.entries
            token = page.token
            if not token:
                return

    def _page(self, path: str) -> dict[str, Any]:
        try:
            return self._client.call("GET", path)
        except ApiError as error:
            if error.status == _GONE and not self._asked:
                raise StoreError("what was listed has expired meanwhile; run the command again") from None
            if error.status == _GONE:
                instead = "give a later one, or what the pod has with --diff FILE"
                raise ConfigError(
                    f"--as-of: the API has no resourceVersion {self._asked} any more; {instead}"
                ) from None
            if error.status == _TIMEOUT and self._asked:
                raise ConfigError(f"--as-of: {self._asked} is yet to come: {error}") from None
            raise
