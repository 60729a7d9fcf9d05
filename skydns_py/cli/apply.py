"""``skydns apply``: make etcd hold what the manifests say.

1. Nothing is written before every document is valid and every key may be written; ``addresses`` has what
   is refused beyond that.
2. What is compared is meaning: the stored document without what a server fills in.  An equal one is
   left untouched, so applying twice changes no revision and wakes no watcher.
3. A stored ``status`` stays where the manifest has none; uid and creationTimestamp stay always.
4. A write that lost a race is planned again from what is stored now, a few times.
5. A Service's portal address and node ports are found and kept by the rules of ``allocate``.
"""

import argparse
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from skydns_py.cli import Commands, addresses, store
from skydns_py.cli.allocate import Allocator
from skydns_py.cli.documents import Document, Json, load, meaning, plain
from skydns_py.cli.kinds import title
from skydns_py.cli.store import Change, Store, Stored
from skydns_py.cluster import decode_v1beta1, registry
from skydns_py.cluster.objects import Ref
from skydns_py.errors import DecodeError, SkydnsError, StoreError

ATTEMPTS = 5
"""Tries for one key; each loss means that another writer got through."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("apply", help="write manifests to etcd", allow_abbrev=False)
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        required=True,
        help="a manifest, a folder of them, or - for standard input (repeatable)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what an API server has written, too")
    store.add_flags(parser)
    store.add_portal_net(parser, "give Services without an address one from here (source.etcd.portal_net)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Apply; one line for each object, in the order given."""
    etcd = store.source(arguments)
    documents = load(arguments.filename, addresses.check)
    with store.connect(etcd) as place:
        keys = [registry.key_for(document.ref, place.prefix) for document in documents]
        held = place.read(keys)
        check_owner([document.ref for document in documents], [held[key] for key in keys], arguments.force)
        allocator = Allocator(place, etcd)
        allocator.check([(document, held[key]) for key, document in zip(keys, documents, strict=True)])
        for key, document in zip(keys, documents, strict=True):
            outcome = apply_one(place, key, document, held[key], arguments.force, allocator=allocator)
            print(f"{title(document.ref)} {outcome}", flush=True)
    return 0


def check_owner(refs: Sequence[Ref], held: Sequence[Stored], force: bool) -> None:
    """SkydnsError, a line for each object whose value only an API server should change."""
    foreign = [] if force else [ref for ref, each in zip(refs, held, strict=True) if is_foreign(each)]
    if foreign:
        reason = "was written by an API server, which owns this etcd; use kubectl, or --force to overwrite"
        raise SkydnsError("\n".join(f"{title(ref)} {reason}" for ref in foreign))


def is_foreign(held: Stored) -> bool:
    """Whether a value is there and is no JSON object: an API server owns this store."""
    return held.revision > 0 and held.document is None


def apply_one(  # noqa: PLR0913  # what the caller has read for many objects at once
    place: Store,
    key: str,
    document: Document,
    held: Stored,
    force: bool,
    *,
    allocator: Allocator | None = None,
) -> str:
    """``created``, ``configured`` or ``unchanged``; StoreError where other writers keep winning."""
    lost = 0
    while lost < ATTEMPTS:
        plan = allocator.plan(document, held) if allocator else None
        value = merged(plan.value if plan else document.value, held.document)
        if value is None:
            return "unchanged"
        octets = json.dumps(value, separators=(",", ":")).encode()
        if allocator and plan:
            done = allocator.write(plan, Change(key, held.revision, octets))
        else:
            done = place.put(key, octets, held.revision)
        if done:
            return "configured" if held.revision else "created"
        lost += not (allocator and plan and allocator.lost(plan))
        held = place.read([key])[key]
        check_owner([document.ref], [held], force)
    raise StoreError(f"{title(document.ref)}: others keep changing it; apply again")


def merged(wanted: Json, held: Json | None) -> Json | None:
    """What to store over ``held``, None where it says the same already."""
    current = _as_v1(held)
    before = meaning(current)
    value = wanted if "status" in wanted or "status" not in before else {**wanted, "status": before["status"]}
    if value == before:
        return None
    kept = current["metadata"]
    identity = {
        "uid": kept.get("uid") or str(uuid.uuid4()),
        "creationTimestamp": kept.get("creationTimestamp")
        or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {**value, "metadata": {**value["metadata"], **identity}}


def _as_v1(held: Json | None) -> Json:
    """The stored document in v1, with a mapping for metadata; empty where it is none."""
    try:
        document = plain(held or {})
        if document.get("apiVersion") == decode_v1beta1.VERSION:
            identity = {key: document[key] for key in ("uid", "creationTimestamp") if key in document}
            document = plain(decode_v1beta1.upgrade(document))
            document["metadata"].update(identity)
    except DecodeError:
        document = {}
    return document if isinstance(document.get("metadata"), dict) else {**document, "metadata": {}}
