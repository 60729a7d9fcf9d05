"""The resources that the stand-in API server knows, and how it says no."""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Refused(Exception):
    """A request that fails; ``reason`` is the API's word for it."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "")
        self.details: Object = {}
        self.metadata: Object = {}

    def status(self) -> Object:
        """The Status object that tells it."""
        told: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        told |= {"message": self.message, "reason": self.reason, "code": self.code}
        return told | ({"details": self.details} if self.details else {})


@dataclass(frozen=True)
class Resource:
    """One resource of the API. ``created_by_put`` and ``blind_put`` are its update strategy."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    created_by_put: bool = False
    blind_put: bool = True
    fields: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def whole(self, item: Object) -> Object:
        """The object as it stands alone, which an item of a list does not."""
        return {"kind": self.kind, "apiVersion": self.api_version, **item}


POD_FIELDS = ("spec.nodeName", "spec.restartPolicy", "status.phase", "status.podIP")
RESOURCES = (
    Resource("", "v1", "namespaces", "Namespace", False, ("status", "finalize"), fields=("status.phase",)),
    Resource("", "v1", "services", "Service", subresources=("status",), created_by_put=True),
    Resource("", "v1", "endpoints", "Endpoints", created_by_put=True),
    Resource("", "v1", "pods", "Pod", subresources=("status",), fields=POD_FIELDS),
    Resource("", "v1", "nodes", "Node", False, ("status",), fields=("spec.unschedulable",)),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", created_by_put=True, blind_put=False),
)
BY_PATH = {(each.group, each.version, each.plural): each for each in RESOURCES}
BY_KIND = {(each.api_version, each.kind): each for each in RESOURCES}
NAMESPACES = BY_PATH["", "v1", "namespaces"]
