"""``skydns delete``: remove objects from etcd, those that manifests name or one by kind and name."""

import argparse

from skydns_py.cli import Commands, allocate, apply, kinds, store
from skydns_py.cli.documents import load
from skydns_py.cli.kinds import title
from skydns_py.cli.store import Change, Store, Stored
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Ref
from skydns_py.config_flags import flag
from skydns_py.errors import ConfigError, SkydnsError, StoreError
from skydns_py.settings_text import parse_namespace, parse_object_name


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("delete", help="remove objects from etcd", allow_abbrev=False)
    parser.add_argument("kind", metavar="KIND", nargs="?", default="", help="service, endpoints, pod, …")
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the object's name")
    kinds.add_namespace(parser, "the namespace of KIND NAME (default)")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        default=[],
        help="remove what this manifest, folder or - (standard input) names (repeatable)",
    )
    parser.add_argument("--force", action="store_true", help="remove what an API server has written, too")
    store.add_flags(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Remove them; SkydnsError names those that were not there, after the rest is gone."""
    etcd = store.source(arguments)
    refs = wanted(arguments)
    with store.connect(etcd) as place:
        keys = {ref: registry.key_for(ref, place.prefix) for ref in refs}
        held = place.read(list(keys.values()))
        apply.check_owner(refs, [held[key] for key in keys.values()], arguments.force)
        missing = [ref for ref in refs if not _delete(place, ref, held[keys[ref]], arguments.force)]
    if missing:
        raise SkydnsError("\n".join(f"{title(ref)} not found" for ref in missing))
    return 0


def wanted(arguments: argparse.Namespace) -> list[Ref]:
    """What to remove; ConfigError where it is said twice, or by halves."""
    if bool(arguments.filename) == bool(arguments.kind) or (arguments.kind and not arguments.name):
        raise ConfigError("delete what? give KIND NAME, or -f PATH")
    if arguments.filename:
        if arguments.namespace:
            raise ConfigError("--namespace: manifests name their own; give it with KIND NAME")
        return [document.ref for document in load(arguments.filename)]
    kind = kinds.parse(arguments.kind)
    name = flag("NAME", parse_object_name, arguments.name)
    if kind in kinds.CLUSTER_WIDE:
        return [Ref(kind, "", name)]
    return [Ref(kind, flag("--namespace", parse_namespace, arguments.namespace or "default"), name)]


def _delete(place: Store, ref: Ref, held: Stored, force: bool) -> bool:
    """Whether it was there; StoreError where other writers keep winning."""
    key = registry.key_for(ref, place.prefix)
    for _ in range(apply.ATTEMPTS):
        if not held.revision:
            return False
        if place.write([Change(key, held.revision), *allocate.releases(place, ref, held)]):
            print(f"{title(ref)} deleted", flush=True)
            return True
        held = place.read([key])[key]
        apply.check_owner([ref], [held], force)
    raise StoreError(f"{title(ref)}: others keep changing it; delete again")
