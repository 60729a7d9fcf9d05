"""Cluster objects from parsed JSON or YAML, alone or in lists: v1, discovery.k8s.io/v1 and v1beta1."""

from collections.abc import Iterable, Iterator, Mapping

from skydns_py.cluster import decode_v1beta1
from skydns_py.cluster.build import build
from skydns_py.cluster.fields import JsonFields, shown
from skydns_py.cluster.objects import ClusterObject, Kind
from skydns_py.errors import DecodeError

API: Mapping[tuple[str, str], Kind] = {
    ("v1", "Service"): Kind.SERVICE,
    ("v1", "Endpoints"): Kind.ENDPOINTS,
    ("v1", "Pod"): Kind.POD,
    ("v1", "Namespace"): Kind.NAMESPACE,
    ("v1", "Node"): Kind.NODE,
    ("discovery.k8s.io/v1", "EndpointSlice"): Kind.SLICE,
}
"""apiVersion and kind of the objects that are decoded; all others are passed over."""


def decode_document(doc: object) -> list[ClusterObject]:
    """The objects of one parsed document: one, a list's items, or none where its kind is not served.

    None (an empty YAML document) holds nothing.  Raises DecodeError at the first object that cannot be
    used, with its path from the document's root (``items[3].spec.ports[0].port``).
    """
    objects = []
    for found in decode_each(doc):
        if isinstance(found, DecodeError):
            raise found
        objects.append(found)
    return objects


def decode_each(doc: object) -> list[ClusterObject | DecodeError]:
    """As ``decode_document``, but an item that cannot be used is there as its complaint, beside the rest."""
    found: list[ClusterObject | DecodeError] = []
    try:
        for place, item in _items(doc):
            try:
                found.extend(_decode_item(place, item))
            except DecodeError as error:
                found.append(error)
    except DecodeError as error:
        found.append(error)
    return found


def decode_object(kind: Kind, doc: Mapping[str, object]) -> ClusterObject:
    """One v1 object of a known kind (for a slice, discovery.k8s.io/v1); DecodeError where it is unusable."""
    return build(kind, JsonFields(doc))


def _items(doc: object) -> Iterator[tuple[str, object]]:
    """Each object of a document with its place there; an item of ``ServiceList`` may leave out its type."""
    if doc is None:
        return
    version, kind = _type_of("", doc)
    assert isinstance(doc, Mapping)  # _type_of has just refused anything else
    if not _is_list(version, kind):
        yield "", doc
        return
    name = "minions" if kind == "MinionList" and not doc.get("items") else "items"
    item_type = {} if kind == "List" else {"apiVersion": version, "kind": kind.removesuffix("List")}
    for index, item in enumerate(_listed(doc, name)):
        yield f"{name}[{index}]", {**item_type, **item} if isinstance(item, Mapping) else item


def _listed(doc: Mapping[str, object], name: str) -> Iterable[object]:
    items = doc.get(name)
    if items is None or isinstance(items, list):
        return items or ()
    raise DecodeError(name, f"must be a list, not {shown(items)}")


def _type_of(place: str, doc: object) -> tuple[str, str]:
    if not isinstance(doc, Mapping):
        raise DecodeError(place, f"must be a mapping with apiVersion and kind, not {shown(doc)}")
    fields = JsonFields(doc, name=place)
    version, kind = fields.text("apiVersion"), fields.text("kind")
    if not version or not kind:
        raise fields.error("kind" if version else "apiVersion", "is required")
    return version, kind


def _is_list(version: str, kind: str) -> bool:
    return kind == "List" or (kind.endswith("List") and _is_served(version, kind.removesuffix("List")))


def _is_served(version: str, kind: str) -> bool:
    return (version, kind) in API or (version == decode_v1beta1.VERSION and kind in decode_v1beta1.KINDS)


def _decode_item(place: str, doc: object) -> list[ClusterObject]:
    version, kind = _type_of(place, doc)
    assert isinstance(doc, Mapping)  # _type_of has just refused anything else
    if place and _is_list(version, kind):
        raise DecodeError(place, "is a list inside a list; put its items into the outer one")
    if version == decode_v1beta1.VERSION and kind in decode_v1beta1.KINDS:
        return [_decode_v1beta1(place, doc)]
    known = API.get((version, kind))
    return [build(known, JsonFields(doc, name=place))] if known else []


def _decode_v1beta1(place: str, doc: Mapping[str, object]) -> ClusterObject:
    """A v1beta1 object through the v1 rules; a complaint names the field that was written."""
    upgraded = decode_v1beta1.convert(JsonFields(doc, name=place))
    try:
        return build(API["v1", upgraded.kind], JsonFields(upgraded.document))
    except DecodeError as error:
        path = decode_v1beta1.written(error.path, upgraded.origins)
        raise DecodeError(".".join(part for part in (place, path) if part), error.reason) from None
