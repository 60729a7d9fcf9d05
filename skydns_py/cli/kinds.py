"""What people call the stored kinds of object, and how a line of output names one."""

import argparse

from skydns_py.cluster.objects import Kind, Ref
from skydns_py.errors import ConfigError

NAMES: dict[Kind, tuple[str, ...]] = {
    Kind.NAMESPACE: ("namespace", "namespaces", "ns"),
    Kind.NODE: ("node", "nodes", "no", "minion", "minions"),
    Kind.SERVICE: ("service", "services", "svc"),
    Kind.ENDPOINTS: ("endpoints", "endpoint", "ep"),
    Kind.SLICE: ("endpointslice", "endpointslices"),
    Kind.POD: ("pod", "pods", "po"),
}
"""The stored kinds in the order they are listed, and their names on the command line, in lower case."""

CLUSTER_WIDE = frozenset({Kind.NAMESPACE, Kind.NODE})
"""Kinds whose objects are in no namespace."""


def parse(text: str) -> Kind:
    """The kind a user names; ConfigError lists what there is."""
    for kind, names in NAMES.items():
        if text.lower() in names:
            return kind
    raise ConfigError(
        f"{text!r} is no kind of object here; use {', '.join(names[0] for names in NAMES.values())}"
    )


def title(ref: Ref) -> str:
    """``service/my-ns/my-service``, ``node/one``."""
    parts = [NAMES[ref.kind][0], ref.namespace, ref.name]
    return "/".join(part for part in parts if part)


def add_namespace(parser: argparse.ArgumentParser, help_text: str) -> None:
    """The flag that picks a namespace."""
    parser.add_argument("-n", "--namespace", metavar="NS", default="", help=help_text)
