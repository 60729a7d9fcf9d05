"""``skydns get``: what etcd holds, as a table, as names, or as documents that ``apply`` takes again."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from skydns_py.cli import Commands, kinds, partial, store, table
from skydns_py.cli.kinds import title
from skydns_py.cli.store import Store, Stored
from skydns_py.cluster import decode_v1beta1, registry
from skydns_py.cluster.objects import ClusterObject, Kind, Ref
from skydns_py.config_flags import flag
from skydns_py.errors import ConfigError, DecodeError, SkydnsError
from skydns_py.settings_text import parse_namespace, parse_object_name


@dataclass(frozen=True, slots=True)
class Found:
    """One stored object; ``obj`` is None where it cannot be decoded, and ``reason`` says why."""

    ref: Ref
    held: Stored
    obj: ClusterObject | None
    reason: str = ""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("get", help="print what etcd holds", allow_abbrev=False)
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", default="", help="service, endpoints, pod, … (all)"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one object")
    kinds.add_namespace(parser, "only this namespace (all)")
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "wide", "name", "yaml", "json"),
        default="table",
        help="how to print",
    )
    store.add_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print them; 1 where an object that was named is not there, or one cannot be decoded."""
    etcd = store.source(arguments)
    asked = [kinds.parse(arguments.kind)] if arguments.kind else list(kinds.NAMES)
    name = flag("NAME", parse_object_name, arguments.name) if arguments.name else ""
    namespace = flag("--namespace", parse_namespace, arguments.namespace) if arguments.namespace else ""
    if namespace and arguments.kind and asked[0] in kinds.CLUSTER_WIDE:
        raise ConfigError(f"--namespace: {arguments.kind} is in no namespace; leave it out")
    with store.connect(etcd) as place:
        found = [
            each for kind in asked for each in _list(place, kind, namespace) if name in ("", each.ref.name)
        ]
    if name and not found:
        raise SkydnsError(
            f"{arguments.kind} {name} not found{f' in namespace {namespace}' if namespace else ''}"
        )
    _print(found, arguments.output, several=not name)
    return _complain(found)


def _list(place: Store, kind: Kind, namespace: str) -> Iterator[Found]:
    if namespace and kind in kinds.CLUSTER_WIDE:
        return
    start = registry.key_for(Ref(kind, namespace, ""), place.prefix)
    for key, held in place.scan(start):
        ref = registry.parse_key(key, place.prefix)
        if ref is not None and ref.kind is kind:
            yield _decoded(ref, held)


def _decoded(ref: Ref, held: Stored) -> Found:
    try:
        return Found(ref, held, registry.decode(ref, held.value))
    except DecodeError as error:
        return Found(ref, held, None, str(error))


def _print(found: Sequence[Found], output: str, *, several: bool) -> None:
    if output == "name":
        for each in found:
            print(title(each.ref))
    elif output == "yaml":
        print("---\n".join(_yaml(each) for each in found), end="")
    elif output == "json":
        documents = [document(each) for each in found]
        whole = documents[0] if not several and len(found) == 1 else _json_list(documents)
        print(json.dumps(whole, indent=2, ensure_ascii=False))
    elif found:
        rows = [(each.obj, each.held.form, each.held.revision) for each in found if each.obj is not None]
        print(table.render(rows, wide=output == "wide"), end="")
    else:
        print("skydns: nothing found", file=sys.stderr)


def _json_list(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def _yaml(found: Found) -> str:
    text: str = yaml.safe_dump(document(found), sort_keys=False)
    return text if found.held.document is not None else f"# {title(found.ref)}: {partial.NOTE}\n{text}"


def document(found: Found) -> dict[str, Any]:
    """The stored JSON as v1; of protobuf the decoded fields, marked as partial."""
    held = found.held.document
    if held is None:
        return partial.document(found.ref, found.obj)
    try:
        return decode_v1beta1.upgrade(held) if held.get("apiVersion") == decode_v1beta1.VERSION else held
    except DecodeError:
        return held


def _complain(found: Sequence[Found]) -> int:
    """One line for each object that no server can use."""
    broken = [each for each in found if each.obj is None]
    for each in broken:
        print(f"skydns: {title(each.ref)}: {each.reason}", file=sys.stderr)
    return 1 if broken else 0
