"""A request to the stand-in API server: what it names, and what it is answered with."""

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kube.resources import BY_PATH, NAMESPACES, Object, Refused, Resource
from tests.kube.selectors import Wanted, selection
from tests.kube.store import Store, merge

MERGE = "application/merge-patch+json"
TOO_OLD_PAGE = "the continue token is too old: list anew, or go on with the one given here, inconsistently"


def discovery(without: Collection[str], path: str) -> Object:
    """The resources of one group and version, {} where the path is not that of one."""
    found = [
        each for each in BY_PATH.values() if path.rstrip("/") == _root(each) and each.group not in without
    ]
    listed = [{"name": each.plural, "kind": each.kind, "namespaced": each.namespaced} for each in found]
    version = found[0].api_version if found else ""
    return {"kind": "APIResourceList", "groupVersion": version, "resources": listed} if found else {}


def _root(resource: Resource) -> str:
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


@dataclass
class Call:
    """A request on a resource, read."""

    store: Store
    resource: Resource
    namespace: str
    name: str
    part: str
    query: dict[str, str]
    wanted: Wanted
    revision: int

    @classmethod
    def of(cls, store: Store, without: Collection[str], method: str, target: str) -> "Call":
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        group, version, words = _group(without, url.path)
        if words[:1] == ["namespaces"] and len(words) > 2 and words[2] not in NAMESPACES.subresources:
            namespace, words = words[1], words[2:]
        else:
            namespace = ""
        plural, name, part = (*words, "", "", "")[:3]
        resource = BY_PATH.get((group, version, plural))
        misplaced = resource is None or bool(namespace) > resource.namespaced or len(words) > 3
        if resource is None or misplaced or (part and part not in resource.subresources):
            raise Refused(404, "the server could not find the requested resource")
        nameless = method == "POST" or (method == "GET" and not name)
        if nameless == bool(name) or (resource.namespaced and not namespace and (name or method != "GET")):
            raise Refused(405, "the server does not allow this method on the requested resource")
        return cls(store, resource, namespace, name, part, query, *_selected(resource, namespace, query))

    @property
    def watched(self) -> bool:
        return not self.name and self.query.get("watch") in ("1", "true")

    def verb(self, method: str) -> str:
        reading = "get" if self.name else "watch" if self.watched else "list"
        return {"GET": reading, "POST": "create", "PUT": "update"}.get(method, method.lower())

    def fits(self, item: Object) -> bool:
        return self.wanted(item)

    def run(self, method: str, content: bytes, kind: str) -> tuple[int, Object]:
        """The status and the document it is answered with."""
        if method == "GET":
            return 200, self._read() if self.name else self._list()
        body = self._body(content, method)
        if method == "POST":
            return 201, self.resource.whole(self.store.create(self.resource, self.namespace, body))
        if method == "DELETE":
            return 200, self._delete(body)
        if method not in ("PUT", "PATCH"):
            raise Refused(405, "the server does not allow this method on the requested resource")
        if method == "PATCH" and kind.partition(";")[0] != MERGE:
            told = f"the body of the request was in an unknown format - accepted media types include: {MERGE}"
            raise Refused(415, told)
        with self.store.changed:
            before = self.store.revision
            if method == "PATCH":
                old = self.store.get(self.resource, self.namespace, self.name)
                body = merge(old, body)
            new = self.store.update(self.resource, (self.namespace, self.name), body, self.part)
            fresh = [each for each in self.store.since(before) if each.type == "ADDED"]
            return 201 if fresh else 200, self.resource.whole(new)

    def _read(self) -> Object:
        return self.resource.whole(self.store.get(self.resource, self.namespace, self.name))

    def _body(self, content: bytes, method: str) -> Any:
        if not content and method == "DELETE":
            return {}
        try:
            body = json.loads(content)
        except ValueError as error:
            told = f"the object provided is unrecognized (must be of type {self.resource.kind}): {error}"
            raise Refused(400, told) from None
        kind = body.get("kind", self.resource.kind)
        if method in ("POST", "PUT") and kind != self.resource.kind:
            told = f"cannot be handled as a {self.resource.kind}"
            raise Refused(400, f'{kind} in version "{body.get("apiVersion", "")}" {told}')
        return body

    def _delete(self, options: Object) -> Object:
        resource = self.resource
        last, gone = self.store.delete(resource, self.namespace, self.name, options)
        if not gone or resource.kind == "Pod":
            return resource.whole(last)
        group = {"group": resource.group} if resource.group else {}
        details = {"name": self.name, **group, "kind": resource.plural, "uid": last["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _list(self) -> Object:
        with self.store.changed:
            limit = int(self.query.get("limit") or 0)
            if token := self.query.get("continue"):
                revision, start = self._continued(token)
            else:
                revision, start = self._at(limit), ""
            if revision == 0 and self.query.get("resourceVersion") == "0":
                limit = 0  # from the server's cache, which has no pages
            found = [each for each in self.store.find(self.resource, "", revision) if self.fits(each)]
            revision = revision or self.store.revision
        rest = [each for each in found if _place(each) >= start]
        page = rest[:limit] if limit else rest
        meta: Object = {"resourceVersion": str(revision)}
        if len(page) < len(rest):
            meta["continue"] = _token(revision, _place(page[-1]) + "\0")
            if not self.query.get("labelSelector") and not self.query.get("fieldSelector"):
                meta["remainingItemCount"] = len(rest) - len(page)
        head = {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version}
        return {**head, "metadata": meta, "items": page}

    def _at(self, limit: int) -> int:
        """The revision to list at, 0 for now."""
        match = self.query.get("resourceVersionMatch", "")
        _check_match(match, self.query.get("resourceVersion", ""))
        if self.revision > self.store.revision:
            told = f"Timeout: Too large resource version: {self.revision}, current: {self.store.revision}"
            raise Refused(504, told)
        if match == "NotOlderThan" or not self.revision or not (match or limit):
            return 0
        if self.revision < self.store.compacted:
            raise Refused(410, "The resourceVersion for the provided list is too old.")
        return self.revision

    def _continued(self, token: str) -> tuple[int, str]:
        if self.revision:
            raise Refused(400, "specifying resource version is not allowed when using continue")
        try:
            read = json.loads(base64.urlsafe_b64decode(token + "=="))
            revision, start = int(read["rv"]), str(read["start"])
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise Refused(400, f"invalid continue token: continue key is not valid: {error}") from None
        if 0 < revision < self.store.compacted:
            expired = Refused(410, TOO_OLD_PAGE)
            expired.metadata = {"continue": _token(-1, start)}
            raise expired
        return max(revision, 0), start


def _group(without: Collection[str], path: str) -> tuple[str, str, list[str]]:
    """Group, version and the rest of a path, in words."""
    words = path.strip("/").split("/")
    group, version, rest = ("", words[1:2], words[2:]) if words[0] == "api" else ("", [], [])
    if words[0] == "apis" and len(words) > 2:
        group, version, rest = words[1], words[2:3], words[3:]
    served = {(each.group, each.version) for each in BY_PATH.values() if each.group not in without}
    if not version or (group, version[0]) not in served:
        raise Refused(404, "404 page not found")
    return group, version[0], rest


def _selected(resource: Resource, namespace: str, query: dict[str, str]) -> tuple[Wanted, int]:
    version = query.get("resourceVersion") or "0"
    if not version.isdecimal():
        told = f'resourceVersion: Invalid value: "{version}": invalid syntax'
        raise Refused(500, told)
    chosen = selection(resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
    in_place: Wanted = lambda item: namespace in ("", item["metadata"].get("namespace")) and chosen(item)  # noqa: E731
    return in_place, int(version)


def _check_match(match: str, version: str) -> None:
    wrong = ""
    if match not in ("", "Exact", "NotOlderThan"):
        wrong = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
    elif match and not version:
        wrong = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match == "Exact" and version == "0":
        wrong = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    if wrong:
        raise Refused(422, f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {wrong}')


def _place(item: Object) -> str:
    """Where it stands in a list: the API orders by the text of etcd's key."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _token(revision: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
