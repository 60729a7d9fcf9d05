"""What the stand-in API server keeps, and its rules for changing it; no network.

The rules are those of Kubernetes as kube-apiserver 1.20 was seen to follow them (the tests beside this
run against a real one too), and where later releases differ, theirs: the status of a new Service or Pod
is not taken from the request, namespaces are labelled with their name.

1. One counter numbers every change; it is ``metadata.resourceVersion``, of lists too.
2. An update that changes nothing changes no number and is no event.
3. Every version is kept, so a list can be read as it was; ``compact`` only refuses to.
4. What has finalizers, or is a Pod on a node, is first marked and removed when nothing holds it.
"""

import bisect
import copy
import datetime
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.kube.resources import NAMESPACES, Object, Refused, Resource

Key = tuple[str, str, str]
"""Plural, namespace ("" where there is none) and name."""

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class Change(NamedTuple):
    """One event: what was there before, None for what is new, and what is now, or was when it went."""

    revision: int
    type: str
    key: Key
    before: Object | None
    after: Object


class Store:
    """The objects and their history. ``changed`` is notified of every change, and of every nudge."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.revision = 0
        self.compacted = 0
        self.changes: list[Change] = []
        self._now: dict[Key, Object] = {}
        self._addresses = 0
        for name in FIRST_NAMESPACES:
            self.create(NAMESPACES, "", {"metadata": {"name": name}})

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        with self.changed:
            found = self._now.get((resource.plural, namespace, name))
            if found is None:
                raise _about(resource, name, Refused(404, f'{resource.full_name} "{name}" not found'))
            return found

    def find(self, resource: Resource, namespace: str, revision: int = 0) -> list[Object]:
        """The objects of one namespace, or of all with "", in order; of a revision, or of now with 0."""
        with self.changed:
            state = self._now if revision in (0, self.revision) else self._at(revision)
            chosen = [key for key in state if key[0] == resource.plural and namespace in ("", key[1])]
            return [state[key] for key in sorted(chosen, key=lambda key: f"{key[1]}/{key[2]}")]

    def create(self, resource: Resource, namespace: str, given: Object, keep_status: bool = False) -> Object:
        with self.changed:
            item = _item(given)
            meta = item["metadata"]
            name = _checked_name(resource, meta)
            self._check_namespace(resource, namespace, meta)
            if (resource.plural, namespace, name) in self._now:
                exists = Refused(409, f'{resource.full_name} "{name}" already exists', "AlreadyExists")
                raise _about(resource, name, exists)
            if meta.get("resourceVersion"):
                raise Refused(500, "resourceVersion should not be set on objects to be created")
            if resource.namespaced:
                meta["namespace"] = namespace
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=_timestamp())
            if not keep_status and resource.plural != "nodes":
                item.pop("status", None)
            self._fill_in(resource, item)
            _check_times(resource, item)
            return self._write("ADDED", (resource.plural, namespace, name), item)

    def update(self, resource: Resource, place: tuple[str, str], given: Object, part: str = "") -> Object:
        """Replace an object, or only its ``part``, which is the name of a subresource."""
        with self.changed:
            namespace, name = place
            item = _item(given)
            meta = item["metadata"]
            if meta.get("name", name) != name:
                told = f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
                raise Refused(400, told)
            key = (resource.plural, namespace, name)
            if key not in self._now and resource.created_by_put and not part:
                return self._create_by_put(resource, namespace, name, item)
            old = self.get(resource, namespace, name)
            _check_same(resource, name, old, meta)
            new = _merged_parts(resource, old, item, part)
            self._fill_in(resource, new)
            _check_times(resource, new)
            return old if new == old else self._settle(key, new)

    def delete(self, resource: Resource, namespace: str, name: str, options: Object) -> tuple[Object, bool]:
        """The object's last form, and whether it is gone."""
        with self.changed:
            old = self.get(resource, namespace, name)
            _check_preconditions(resource, name, old, options.get("preconditions") or {})
            grace = _grace(resource, old, options)
            if not grace and not _holders(old):
                return self.remove((resource.plural, namespace, name)), True
            if old["metadata"].get("deletionTimestamp") and grace >= (_left(old) or 0):
                return old, False
            new = copy.deepcopy(old)
            new["metadata"].update(deletionTimestamp=_timestamp(grace), deletionGracePeriodSeconds=grace)
            if resource.kind == "Namespace":
                del new["metadata"]["deletionGracePeriodSeconds"]
                new["status"] = {"phase": "Terminating"}
            return self._write("MODIFIED", (resource.plural, namespace, name), new), False

    def since(self, revision: int) -> list[Change]:
        with self.changed:
            return self.changes[bisect.bisect_right(self.changes, revision, key=lambda each: each.revision) :]

    def compact(self) -> int:
        """Forget everything before the newest revision, and return that."""
        with self.changed:
            self.revision += 1  # as any write would: a list from before is older than what is kept
            self.compacted = self.revision
            return self.compacted

    def _at(self, revision: int) -> dict[Key, Object]:
        state: dict[Key, Object] = {}
        for change in self.changes:
            if change.revision > revision:
                break
            if change.type == "DELETED":
                del state[change.key]
            else:
                state[change.key] = change.after
        return state

    def _create_by_put(self, resource: Resource, namespace: str, name: str, item: Object) -> Object:
        meta = item["metadata"]
        if meta.get("uid"):
            told = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
            raise _conflict(resource, name, told)
        meta["name"] = name
        meta.pop("resourceVersion", None)
        return self.create(resource, namespace, item)

    def _settle(self, key: Key, new: Object) -> Object:
        """Write what was updated; where it was only held back from deletion and no longer is, remove it."""
        meta = new["metadata"]
        if meta.get("deletionTimestamp") and not _holders(new) and not meta.get("deletionGracePeriodSeconds"):
            return self._write("DELETED", key, new)
        return self._write("MODIFIED", key, new)

    def remove(self, key: Key) -> Object:
        """Delete at once, whatever holds it."""
        last = copy.deepcopy(self._now[key])
        return self._write("DELETED", key, last)

    def _write(self, type_: str, key: Key, item: Object) -> Object:
        self.revision += 1
        item["metadata"]["resourceVersion"] = str(self.revision)
        before = self._now.pop(key, None)
        if type_ != "DELETED":
            self._now[key] = item
        self.changes.append(Change(self.revision, type_, key, before, item))
        self.changed.notify_all()
        return item

    def _check_namespace(self, resource: Resource, namespace: str, meta: Object) -> None:
        if not resource.namespaced:
            return
        if meta.get("namespace", namespace) != namespace:
            told = "the namespace of the provided object does not match the namespace sent on the request"
            raise Refused(400, told)
        home = self.get(NAMESPACES, "", namespace)
        if home["metadata"].get("deletionTimestamp"):
            told = f'{resource.full_name} "{meta["name"]}" is forbidden: unable to create new content in'
            raise Refused(403, f"{told} namespace {namespace} because it is being terminated")

    def _fill_in(self, resource: Resource, item: Object) -> None:
        """The fields that a real server sets and that somebody here may look at."""
        if resource.kind == "Namespace":
            labels = item["metadata"].setdefault("labels", {})
            labels["kubernetes.io/metadata.name"] = item["metadata"]["name"]
            if not item["metadata"].get("deletionTimestamp"):
                item.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            item.setdefault("status", {}).setdefault("phase", "Active")
        elif resource.kind == "Pod":
            item.setdefault("status", {}).setdefault("phase", "Pending")
        elif resource.kind == "Service":
            self._fill_service(item.setdefault("spec", {}))
            item.setdefault("status", {}).setdefault("loadBalancer", {})

    def _fill_service(self, spec: Object) -> None:
        kind = spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
            if kind in ("NodePort", "LoadBalancer") and "nodePort" not in port:
                port["nodePort"] = 30000 + self._next_address()
        if kind != "ExternalName" and "clusterIP" not in spec:
            number = self._next_address()
            spec["clusterIP"] = f"10.96.{number >> 8}.{number & 255}"
        if spec.get("clusterIP"):
            spec.setdefault("clusterIPs", [spec["clusterIP"]])

    def _next_address(self) -> int:
        self._addresses += 1
        return self._addresses


def history(
    store: Store, revision: int, wanted: Callable[[Key, Object], bool]
) -> Iterator[tuple[str, Object]]:
    """Events after a revision as a watch with a selector shows them: type and object."""
    for change in store.since(revision):
        was = change.before is not None and wanted(change.key, change.before)
        if change.type != "DELETED" and wanted(change.key, change.after):
            yield ("MODIFIED" if was else "ADDED"), change.after
        elif was:
            last = copy.deepcopy(change.after if change.type == "DELETED" else change.before)
            assert last is not None
            last["metadata"]["resourceVersion"] = str(change.revision)
            yield "DELETED", last


def merge(target: object, patch: object) -> object:
    """JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def _item(given: Object) -> Object:
    item = {key: copy.deepcopy(value) for key, value in given.items() if key not in ("kind", "apiVersion")}
    item["metadata"] = dict(item.get("metadata") or {})
    return item


def _merged_parts(resource: Resource, old: Object, given: Object, part: str) -> Object:
    """A part takes metadata and what it owns from the request; the whole takes all that no part owns."""
    new = _with(old, OWNED[part], given.get(OWNED[part])) if part else given
    for other in () if part else resource.subresources:
        new = _with(new, OWNED[other], old.get(OWNED[other]))
    kept = {name: old["metadata"].get(name) for name in SET_BY_SERVER}
    meta = {**given["metadata"], **kept, "name": old["metadata"]["name"]}
    meta = {name: value for name, value in meta.items() if value is not None}
    return copy.deepcopy(_with(new, "metadata", meta))


OWNED = {"status": "status", "finalize": "spec"}
"""Which field each subresource writes, and the object itself does not."""
SET_BY_SERVER = (
    *("namespace", "uid", "resourceVersion", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)


def _with(item: Object, key: str, value: object) -> Object:
    rest = {name: each for name, each in item.items() if name != key}
    return rest if value is None else {**rest, key: value}


def _checked_name(resource: Resource, meta: Object) -> str:
    name = meta.get("name") or ""
    about = (
        f'{resource.kind}{"." if resource.group else ""}{resource.group} "{name}" is invalid: metadata.name: '
    )
    if not name:
        raise Refused(422, f"{about}Required value: name or generateName is required")
    if not NAME.fullmatch(name):
        raise Refused(
            422, f'{about}Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of …'
        )
    return str(name)


def _check_same(resource: Resource, name: str, old: Object, meta: Object) -> None:
    """Refuse an update of another object than is there, or of another version of it."""
    uid, version = meta.get("uid"), meta.get("resourceVersion")
    if uid and uid != old["metadata"]["uid"]:
        told = (
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        )
        raise _conflict(resource, name, told)
    if not version and not resource.blind_put:
        told = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
        raise Refused(422, f'{resource.full_name} "{name}" is invalid: {told}')
    if version and version != old["metadata"]["resourceVersion"]:
        modified = (
            "the object has been modified; please apply your changes to the latest version and try again"
        )
        raise _conflict(resource, name, modified)


def _check_preconditions(resource: Resource, name: str, old: Object, wanted: Object) -> None:
    for field, called in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        value, real = wanted.get(field), old["metadata"][field]
        if value is not None and value != real:
            told = (
                f"the {called} in the precondition ({value}) does not match the {called} in record ({real})."
            )
            raise _conflict(resource, name, told)


def _check_times(resource: Resource, item: Object) -> None:
    """A MicroTime has six digits after the second; any other number of them is refused by a real server."""
    spec = item.get("spec") or {}
    for field in ("acquireTime", "renewTime") if resource.kind == "Lease" else ():
        value = spec.get(field)
        if value is not None and not (isinstance(value, str) and MICRO_TIME.fullmatch(value)):
            told = (
                f'cannot be handled as a Lease: parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00"'
            )
            raise Refused(400, f'Lease in version "v1" {told}')


def _conflict(resource: Resource, name: str, told: str) -> Refused:
    full = f'Operation cannot be fulfilled on {resource.full_name} "{name}": {told}'
    return _about(resource, name, Refused(409, full))


def _about(resource: Resource, name: str, refused: Refused) -> Refused:
    group = {"group": resource.group} if resource.group else {}
    refused.details = {"name": name, **group, "kind": resource.plural}
    return refused


def _holders(item: Object) -> list[str]:
    """What keeps it from being removed: finalizers, a namespace's own among them."""
    spec = item.get("spec") or {}
    return [*(item["metadata"].get("finalizers") or ()), *(spec.get("finalizers") or ())]


def _left(item: Object) -> int | None:
    value: int | None = item["metadata"].get("deletionGracePeriodSeconds")
    return value


def _grace(resource: Resource, item: Object, options: Object) -> int:
    """Seconds that a kubelet has to stop a Pod: none where there is no node, or nothing runs."""
    placed = bool((item.get("spec") or {}).get("nodeName"))
    if resource.kind != "Pod" or not placed or item["status"]["phase"] in ("Succeeded", "Failed"):
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(item["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)


def _timestamp(later: int = 0) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=later)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
