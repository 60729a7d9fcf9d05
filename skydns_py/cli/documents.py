"""What ``-f`` names: manifests read, validated whole, and made ready to be stored as v1 JSON.

1. Everything is read and validated before anything is written, and every bad document is named:
   ``demo/web.yaml document 2: spec.ports[0].port: …``.
2. Files are read as ``serve --manifests`` reads them; one that is no YAML or JSON is named alone.
3. What is stored is JSON: what JSON cannot hold is refused, and null counts as absent, as in the
   Kubernetes API.
4. What only a server writes (uid, resourceVersion, …) is left out, so a printed object can be applied.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skydns_py.cli.kinds import title
from skydns_py.cluster import decode_v1beta1
from skydns_py.cluster.decode_json import decode_document
from skydns_py.cluster.objects import Ref
from skydns_py.errors import ConfigError, DecodeError, SkydnsError
from skydns_py.sources import manifest_text

Json = dict[str, Any]

KINDS = ("Service", "Endpoints", "EndpointSlice", "Pod", "Namespace", "Node")
SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "standard input"
PARTIAL = "skydns/partial"
"""Annotation of a printed object that is not all of the stored one; such a print is no input."""

SERVER_METADATA = (
    *("uid", "resourceVersion", "creationTimestamp", "selfLink", "managedFields", "generation"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One object to store: where it was read, what it is called, and its v1 form without server metadata."""

    where: str
    ref: Ref
    value: Json


def load(paths: Sequence[str], check: Callable[[Json], None] = lambda _: None) -> list[Document]:
    """The objects in these files, folders and "-" (standard input), in their order.

    ``check`` gets each of them as it was written and raises DecodeError where it is not wanted.
    Raises ConfigError for a path that is not there, and SkydnsError with one line for each document
    that cannot be used or that names an object a second time.
    """
    found: dict[Ref, Document] = {}
    refused: list[str] = []
    for where, item in _items(paths):
        try:
            document = read(where, item, check)
            first = found.setdefault(document.ref, document)
            if first is not document:
                refused.append(f"{where}: {title(document.ref)} is already in {first.where}; keep one")
        except DecodeError as error:
            refused.append(f"{where}: {error}")
    if refused or not found:
        raise SkydnsError("\n".join(refused) or f"{' '.join(paths)}: no document in there")
    return list(found.values())


def read(where: str, item: object, check: Callable[[Json], None] = lambda _: None) -> Document:
    """One parsed document, not a list; DecodeError names its field."""
    value = plain(item)
    objects = decode_document(value)
    if len(objects) != 1:
        kind = f"{value.get('apiVersion')} {value.get('kind')}"
        raise DecodeError("kind", f"{kind!r} is not stored here; only {', '.join(KINDS)}")
    check(value)
    ref = objects[0].ref
    if value["apiVersion"] == decode_v1beta1.VERSION:
        value = plain(decode_v1beta1.upgrade(value))
    if PARTIAL in (value["metadata"].get("annotations") or {}):
        raise DecodeError(
            "metadata.annotations", f"{PARTIAL} marks a print of only some fields; write them all"
        )
    if ref.namespace:
        value["metadata"]["namespace"] = ref.namespace
    return Document(where, ref, meaning(value))


def plain(item: object) -> Json:
    """The same as JSON holds it, without nulls; DecodeError where JSON cannot hold it."""
    if not isinstance(item, dict):
        raise DecodeError("", "must be a mapping with apiVersion and kind")
    try:
        value: Json = json.loads(json.dumps(item, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError("", f"is nothing that JSON can hold: {error}") from None
    _drop_nulls(value)
    return value


def meaning(value: Json) -> Json:
    """The document without what a server fills in, and without an empty status."""
    metadata = {key: each for key, each in value["metadata"].items() if key not in SERVER_METADATA}
    rest = {key: each for key, each in value.items() if key != "status" or each}
    return {**rest, "metadata": metadata}


def _drop_nulls(value: object) -> None:
    if isinstance(value, dict):
        for key in [key for key, each in value.items() if each is None]:
            del value[key]
        for each in value.values():
            _drop_nulls(each)
    elif isinstance(value, list):
        for each in value:
            _drop_nulls(each)


def _items(paths: Sequence[str]) -> Iterator[tuple[str, object]]:
    """Each document, and each item of a list, with its place."""
    for name, octets in _texts(paths):
        for number, document in enumerate(_parsed(name, octets), 1):
            yield from _flat(f"{name} document {number}", document.value)


def _parsed(name: str, octets: bytes) -> list[manifest_text.Document]:
    """By its name, JSON or YAML; standard input is JSON where it is both, since JSON may have tabs."""
    try:
        if name == STDIN and octets.lstrip()[:1] == b"{":
            with contextlib.suppress(manifest_text.Unreadable):
                return manifest_text.read_documents(octets, is_json=True)
        return manifest_text.read_documents(octets, name.endswith(".json"))
    except manifest_text.Unreadable as error:
        raise SkydnsError(f"{name}:{error.line}: {error}" if error.line else f"{name}: {error}") from None


def _flat(where: str, document: object) -> Iterator[tuple[str, object]]:
    """The document itself, or the items of a list, which may leave out the type that the list has."""
    if document is None:
        return
    kind = str(document.get("kind")) if isinstance(document, dict) else ""
    if not isinstance(document, dict) or not kind.endswith("List"):
        yield where, document
        return
    name = "minions" if kind == "MinionList" and not document.get("items") else "items"
    items = document.get(name) or []
    if not isinstance(items, list):
        raise SkydnsError(f"{where}: {name}: must be a list")
    types = {} if kind == "List" else {"apiVersion": document.get("apiVersion"), "kind": kind[:-4]}
    for index, item in enumerate(items):
        yield f"{where} {name}[{index}]", {**types, **item} if isinstance(item, dict) else item


def _texts(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if path == "-":
            yield STDIN, sys.stdin.buffer.read()
            continue
        for file in files(Path(path)):
            yield str(file), _octets(file)


def files(path: Path) -> list[Path]:
    """The file itself, or the manifests in a folder and below but no hidden ones; ConfigError without any."""
    if not path.is_dir():
        return [path]
    found, seen = [], set[Path]()
    for folder, below, names in os.walk(path, followlinks=True):
        real = Path(folder).resolve()
        below[:] = [] if real in seen else sorted(name for name in below if not name.startswith("."))
        found += [] if real in seen else [Path(folder, name) for name in names if _is_manifest(name)]
        seen.add(real)
    if not found:
        raise ConfigError(f"{path}: no {', '.join(SUFFIXES)} file in this folder")
    return sorted(found)


def _is_manifest(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _octets(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
