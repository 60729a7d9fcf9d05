"""What is listed and watched in the Kubernetes API: paths, and what the answers hold; without a network."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from skydns_py.cluster.objects import Kind, Ref
from skydns_py.errors import StoreError

Json = Mapping[str, Any]

_CORE = "/api/v1"
_PLACES: Mapping[Kind, tuple[str, str]] = {
    Kind.NAMESPACE: (_CORE, "namespaces"),
    Kind.NODE: (_CORE, "nodes"),
    Kind.SLICE: ("/apis/discovery.k8s.io/v1", "endpointslices"),
    Kind.ENDPOINTS: (_CORE, "endpoints"),
    Kind.SERVICE: (_CORE, "services"),
    Kind.POD: (_CORE, "pods"),
}
"""Where the API keeps each kind, in the order in which they are begun."""
_CLUSTER_WIDE = frozenset({Kind.NAMESPACE, Kind.NODE})


class Entry(NamedTuple):
    """An object as ``listwatch`` sees it; its value is the JSON, which the machine only passes on."""

    key: bytes
    value: Any
    mod_revision: int
    lease: int = 0


class Page(NamedTuple):
    """One page of a list, the revision of all its pages, and the token of the next, "" after the last."""

    entries: list[Entry]
    revision: int
    token: str


@dataclass(frozen=True, slots=True)
class Resource:
    """The objects of one kind: in all namespaces or in one, with a label selector or without ("").

    ``name`` is the only object wanted, "" for all.
    """

    kind: Kind
    namespace: str = ""
    selector: str = ""
    name: str = ""

    @property
    def plural(self) -> str:
        """Its name in the API."""
        return _PLACES[self.kind][1]

    def listing(self, limit: int, token: str, revision: int = 0) -> str:
        """The request for one page of the list: what comes after a ``continue`` token or, where that is "",
        the beginning, of the newest state or of exactly ``revision``.
        """
        exact = (
            {"resourceVersion": revision, "resourceVersionMatch": "Exact"} if revision and not token else {}
        )
        return self._path({"limit": limit, "continue": token, **exact})

    def probe(self) -> str:
        """The cheapest consistent read: its answer tells the store's revision.

        It has no label selector: a server would go through all objects for the first that matches.
        """
        return self._path({"limit": 1, "labelSelector": ""})

    def watching(self, revision: int, seconds: int) -> str:
        """The request to follow what comes after ``revision``, for so many seconds."""
        bookmarks = {"allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        return self._path({"watch": "1", "resourceVersion": revision, **bookmarks})

    def page(self, answer: Json) -> "Page":
        """What a list was answered with; StoreError where that is no page."""
        revision = version_of(answer, f"the list of {self.plural}")
        items, token = answer.get("items"), answer["metadata"].get("continue")
        if not isinstance(items, list | None) or not isinstance(token, str | None):
            raise StoreError(f"the list of {self.plural} is none")
        return Page(self.entries(items or ()), revision, token or "")

    def event(self, event: Json) -> tuple[str, Json]:
        """Type and object of an event; StoreError where it has none."""
        kind, obj = event.get("type"), event.get("object")
        if not isinstance(kind, str) or not isinstance(obj, Mapping):
            raise StoreError(f"the watch of {self.plural} brings what is no event")
        return kind, obj

    def entries(self, objects: Iterable[Json]) -> list[Entry]:
        """Those of the objects that are wanted; StoreError where one is none."""
        found = [self._entry(each) for each in objects]
        return [each for each in found if not self.name or each.key == f"/{self.name}".encode()]

    def _entry(self, document: Json) -> Entry:
        try:
            meta = document["metadata"]
            key = f"{meta.get('namespace') or ''}/{meta['name']}"
        except (TypeError, KeyError, AttributeError):
            raise StoreError(f"one of the {self.plural} has no name") from None
        return Entry(key.encode("utf-8", "backslashreplace"), document, version_of(document, key))

    def ref(self, key: bytes) -> Ref:
        """What object an entry's key names."""
        namespace, _, name = key.decode().partition("/")
        return Ref(self.kind, namespace, name)

    def _path(self, query: Mapping[str, object]) -> str:
        base, plural = _PLACES[self.kind]
        place = f"{base}/namespaces/{self.namespace}" if self.namespace else base
        selectors = {
            "labelSelector": self.selector,
            "fieldSelector": f"metadata.name={self.name}" if self.name else "",
        }
        words = {key: value for key, value in {**selectors, **query}.items() if value != ""}
        return f"{place}/{plural}?{urlencode(words)}"


def version_of(document: Json, what: str) -> int:
    """The resource version of an object, or of a list as a whole; StoreError where it is no number.

    Kubernetes promises numbers that grow with time (its enhancement 5504); other stores might not.
    """
    meta = document.get("metadata")
    text = meta.get("resourceVersion") if isinstance(meta, Mapping) else None
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    raise StoreError(
        f"{what} has a resourceVersion that is no number: {text!r}; such a server cannot be followed"
    )


def resources(kinds: Collection[Kind], namespaces: Collection[str], selector: str) -> list[Resource]:
    """What to follow for these kinds; none for kinds that the API does not have.

    1. EndpointSlices hold the endpoints of every Service: Endpoints objects that somebody wrote by hand
       are mirrored into slices by the control plane.  Endpoints are for servers without slices only.
    2. The label selector is for Services: what belongs to a Service that is not served does not count.
       Slices need not carry its labels, and Pods have labels of their own.
    3. Namespaces that are named are each listed for themselves, so that a Role in each is enough.
    """
    found = [
        kind for kind in _PLACES if kind in kinds and not (kind is Kind.ENDPOINTS and Kind.SLICE in kinds)
    ]
    return [each for kind in found for each in _of_kind(kind, namespaces, selector)]


def _of_kind(kind: Kind, namespaces: Collection[str], selector: str) -> list[Resource]:
    selector = selector if kind is Kind.SERVICE else ""
    if kind is Kind.NAMESPACE and namespaces:
        return [Resource(kind, name=name) for name in namespaces]
    if kind in _CLUSTER_WIDE or not namespaces:
        return [Resource(kind, "", selector)]
    return [Resource(kind, namespace, selector) for namespace in namespaces]
