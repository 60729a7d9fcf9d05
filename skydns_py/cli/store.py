"""Which etcd a command uses, and what it finds under a key; ``etcd_store`` does the talking.

1. Nothing waits for ever: reaching an endpoint takes at most ``PATIENCE`` seconds, and so does each call.
2. A write names the revision it has seen (0 for a key that is not there) and is refused by etcd where
   the key has changed since; the caller reads again.  No writer overwrites what it has not read.
3. A value that is not JSON belongs to an API server; ``Stored.document`` is None for it.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from skydns_py import config
from skydns_py.cluster.decode_protobuf import MAGIC
from skydns_py.config_flags import Flags
from skydns_py.errors import ConfigError
from skydns_py.settings import EtcdSource

PATIENCE = 5.0
"""Seconds to reach an etcd that answers, and again for each call."""


NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Change:
    """A key to write, or to remove where ``value`` is None; ``seen`` is the revision of it that was read."""

    key: str
    seen: int
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A key's value and the revision of its last change; ``b""`` at revision 0 where the key is not there.

    ``created`` is the revision that made it; it grows with each key that is made.
    """

    value: bytes = b""
    revision: int = 0
    created: int = 0

    @property
    def document(self) -> dict[str, Any] | None:
        """The stored JSON object, None for protobuf, ciphertext and anything else."""
        try:
            found = json.loads(self.value)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def form(self) -> str:
        """What the value is, as a person reads it: v1, v1beta1, protobuf or unknown."""
        if self.value.startswith(MAGIC):
            return "protobuf"
        return str((self.document or {}).get("apiVersion", "unknown"))


class Store(Protocol):
    """One reachable etcd. Every call raises StoreError, one line, where it fails."""

    prefix: str
    allocations: str
    """The registry's, without a final slash."""

    def read(self, keys: Sequence[str]) -> dict[str, Stored]:
        """What each key holds."""

    def now(self) -> int:
        """The newest revision."""

    def scan(self, start: str, revision: int = 0) -> Iterator[tuple[str, Stored]]:
        """Every key that begins with ``start``, which ends in a slash, as of one revision (0: now)."""

    def put(self, key: str, value: bytes, seen: int) -> bool:
        """Write unless the key has changed since revision ``seen``; whether it was written."""

    def delete(self, key: str, seen: int) -> bool:
        """Remove unless the key has changed since revision ``seen``; whether it was removed."""

    def write(self, changes: Sequence["Change"], unchanged: Mapping[str, int] = NOTHING) -> bool:
        """All changes in one transaction, or none where a key of theirs, or of ``unchanged``, has changed.

        ``unchanged`` has the revision seen of keys that are only compared.  Whether it was done.
        """

    def reserved(self, keys: Sequence[str]) -> dict[str, Stored]:
        """As ``read``; nothing in them where etcd forbids the user these keys."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which etcd."""
    parser.add_argument(
        "--etcd",
        metavar="URL",
        action="append",
        default=[],
        help="etcd to use (repeatable; that of -c FILE, else http://127.0.0.1:2379)",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="take source.etcd from these settings")


def add_portal_net(parser: argparse.ArgumentParser, help_text: str) -> None:
    """The flag that says from which networks portal addresses are given."""
    parser.add_argument("--portal-net", metavar="CIDR[,CIDR]", default="", help=help_text)


def source(arguments: argparse.Namespace) -> EtcdSource:
    """The etcd that the flags and the file name; ConfigError where the file names another kind of source."""
    flags = Flags(etcd=tuple(arguments.etcd), portal_net=getattr(arguments, "portal_net", ""))
    found = config.load(arguments.config, flags, need_source=False).source
    if found is None:
        return EtcdSource()
    if not isinstance(found, EtcdSource):
        raise ConfigError(f"{arguments.config}: source: this command needs etcd; give --etcd URL")
    return found


def connect(etcd: EtcdSource) -> AbstractContextManager[Store]:
    """The first endpoint that answers, for as long as the context lasts; StoreError where none does."""
    from skydns_py.cli import etcd_store  # noqa: PLC0415  # gRPC: a fifth of a second that --help need not wait

    return etcd_store.connect(etcd, PATIENCE)
