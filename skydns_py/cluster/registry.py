"""The Kubernetes registry in etcd: its keys, and its values in either encoding.

Keys are ``PREFIX/services/specs/NAMESPACE/NAME`` and so on, as kube-apiserver lays them out.  The
earliest releases wrote no namespace; such a key is in ``default``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from skydns_py.cluster import decode_json, decode_protobuf, straight
from skydns_py.cluster.fields import SHARED, parse_json
from skydns_py.cluster.objects import ClusterObject, Kind, Ref
from skydns_py.errors import DecodeError

_ENCRYPTED = b"k8s:enc:"


@dataclass(frozen=True, slots=True)
class _Place:
    kind: Kind
    namespaced: bool


_PLACES: Mapping[str, _Place] = {
    "namespaces/": _Place(Kind.NAMESPACE, False),
    "minions/": _Place(Kind.NODE, False),
    "services/endpoints/": _Place(Kind.ENDPOINTS, True),
    "endpointslices/": _Place(Kind.SLICE, True),
    "services/specs/": _Place(Kind.SERVICE, True),
    "pods/": _Place(Kind.POD, True),
}
PREFIXES: Mapping[Kind, str] = {place.kind: prefix for prefix, place in _PLACES.items()}
"""What to list and watch for each kind, below the registry's own prefix and a slash.

They are listed in this order: endpoints first, so that no Service has its own derived from Pods meanwhile.
"""


def parse_key(key: str, prefix: str) -> Ref | None:
    """What object a key holds (``prefix`` as ``/registry``); None for a key that is not one of ours."""
    folder, _, name = key.rpartition("/")
    where = _folder(folder, prefix)
    return Ref(*where, name) if where and name else None


@lru_cache(SHARED)
def _folder(folder: str, prefix: str) -> tuple[Kind, str] | None:
    """The kind and the namespace of the keys in a folder: a large cluster has few folders."""
    root = prefix.rstrip("/")
    for relative, place in _PLACES.items():
        base = f"{root}/{relative}".removesuffix("/")
        if folder == base:
            return place.kind, "default" if place.namespaced else ""
        namespace = folder.removeprefix(f"{base}/")
        if namespace != folder and namespace and "/" not in namespace and place.namespaced:
            return place.kind, namespace
    return None


def key_for(ref: Ref, prefix: str) -> str:
    """The key of an object, the other way round; ValueError for a Record, which has none here."""
    if ref.kind not in PREFIXES:
        raise ValueError(f"{ref} has no key in the registry")
    parts = (ref.namespace, ref.name) if ref.namespace else (ref.name,)
    return f"{prefix.rstrip('/')}/{PREFIXES[ref.kind]}{'/'.join(parts)}"


def decode(ref: Ref, value: bytes) -> ClusterObject:
    """The object that ``ref``'s key holds: protobuf by its magic, else JSON (v1 or v1beta1).

    DecodeError where it cannot be used, is not the object its key names, or is encrypted.
    """
    obj = _decode(value)
    found = obj.ref
    if found != ref:
        raise DecodeError(
            "kind" if found.kind is not ref.kind else "metadata", f"is {found}, but the key says {ref}"
        )
    return obj


def _decode(value: bytes) -> ClusterObject:
    if value.startswith(decode_protobuf.MAGIC):
        return straight.decode(value) or decode_protobuf.decode(value)
    if value.startswith(_ENCRYPTED):
        raise DecodeError(
            "",
            "is encrypted: the cluster encrypts etcd at rest; use the Kubernetes API as the source instead",
        )
    objects = decode_json.decode_document(parse_json(value))
    if len(objects) != 1:
        raise DecodeError("kind", f"must be one object that is served here; this is {len(objects)}")
    return objects[0]
