"""``store.Store`` over gRPC: one blocking call at a time, through the sources' own connection."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
from etcd3 import etcdrpc

from skydns_py.cli.store import NOTHING, Change, Stored
from skydns_py.errors import StoreError
from skydns_py.settings import EtcdSource
from skydns_py.sources.etcd_client import Connection, Timing, describe, is_unchanged

PAGE = 500
"""Keys of one page of a listing, as API servers ask for; bounds the size of an answer."""
BATCH = 64
"""Reads of one transaction; etcd takes no more than 128 by default (--max-txn-ops)."""
_UNREACHED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@contextlib.contextmanager
def connect(etcd: EtcdSource, patience: float) -> Iterator["EtcdStore"]:
    """The first endpoint that answers in its share of ``patience`` seconds; StoreError where none does."""
    failures: list[str] = []
    for url in etcd.endpoints:
        with contextlib.closing(EtcdStore(etcd, url, patience / len(etcd.endpoints))) as store:
            failure = store.reach()
            if not failure:
                store.wait_at_most(patience)
                yield store
                return
            failures.append(failure)
    raise StoreError("; ".join(failures) + "; start etcd, or give its address with --etcd")


class EtcdStore(Connection):
    """One endpoint; implements ``store.Store``."""

    def __init__(self, etcd: EtcdSource, url: str, patience: float) -> None:
        self._etcd = etcd
        self._url = url
        self.prefix = etcd.registry_prefix
        self.allocations = etcd.allocation_prefix
        with self._one_line():
            super().__init__(etcd, url, Timing(request=patience))

    def reach(self) -> str:
        """Log in and see whether etcd answers: "" if so, else why not. StoreError where it refuses."""
        request = etcdrpc.RangeRequest(key=self.prefix.encode(), keys_only=True)
        with self._one_line():
            try:
                self.log_in()
                self._client.kvstub.Range(request, self._timing.request, metadata=self._client.metadata)
            except grpc.RpcError as error:
                if error.code() in _UNREACHED:
                    return describe(error, self._url, self._etcd)
                if (
                    error.code() is not grpc.StatusCode.PERMISSION_DENIED
                ):  # of that key, perhaps not of others
                    raise
        return ""

    def wait_at_most(self, seconds: float) -> None:
        """From now on, let each call take this long."""
        self._timing = Timing(request=seconds)

    def read(self, keys: Sequence[str]) -> dict[str, Stored]:
        """See ``store.Store``."""
        with self._one_line():
            return self._read(keys)

    def reserved(self, keys: Sequence[str]) -> dict[str, Stored]:
        """See ``store.Store``."""
        with self._one_line():
            try:
                return self._read(keys)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
                    raise
                return dict.fromkeys(keys, Stored())

    def _read(self, keys: Sequence[str]) -> dict[str, Stored]:
        found = dict.fromkeys(keys, Stored())
        for at in range(0, len(keys), BATCH):
            wanted = [etcdrpc.RangeRequest(key=key.encode()) for key in keys[at : at + BATCH]]
            reads = [etcdrpc.RequestOp(request_range=each) for each in wanted]
            answer = self._call("Txn", etcdrpc.TxnRequest(success=reads))
            for response in answer.responses:
                for kv in response.response_range.kvs:
                    found[kv.key.decode()] = _stored(kv)
        return found

    def now(self) -> int:
        """See ``store.Store``."""
        request = etcdrpc.RangeRequest(key=self.prefix.encode(), keys_only=True)
        revision: int = self._kv("Range", request).header.revision
        return revision

    def scan(self, start: str, revision: int = 0) -> Iterator[tuple[str, Stored]]:
        """See ``store.Store``."""
        at, end = start.encode(), start[:-1].encode() + b"0"  # "0" is the octet after "/"
        while at:
            request = etcdrpc.RangeRequest(key=at, range_end=end, limit=PAGE, revision=revision)
            page = self._kv("Range", request)
            revision = revision or page.header.revision
            for kv in page.kvs:
                yield kv.key.decode(errors="replace"), _stored(kv)
            at = page.kvs[-1].key + b"\0" if page.more else b""

    def put(self, key: str, value: bytes, seen: int) -> bool:
        """See ``store.Store``."""
        return self.write([Change(key, seen, value)])

    def delete(self, key: str, seen: int) -> bool:
        """See ``store.Store``."""
        return self.write([Change(key, seen)])

    def write(self, changes: Sequence[Change], unchanged: Mapping[str, int] = NOTHING) -> bool:
        """See ``store.Store``."""
        seen = {**unchanged, **{change.key: change.seen for change in changes}}
        compare = [is_unchanged(key, revision) for key, revision in seen.items()]
        request = etcdrpc.TxnRequest(compare=compare, success=[_operation(change) for change in changes])
        done: bool = self._kv("Txn", request).succeeded
        return done

    def _kv(self, name: str, request: Any) -> Any:
        with self._one_line():
            return self._call(name, request)

    def _call(self, name: str, request: Any) -> Any:
        call = getattr(self._client.kvstub, name)
        return call(request, self._timing.request, metadata=self._client.metadata)

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (grpc.RpcError, OSError) as error:
            raise StoreError(describe(error, self._url, self._etcd)) from None


def _stored(kv: Any) -> Stored:
    return Stored(kv.value, kv.mod_revision, kv.create_revision)


def _operation(change: Change) -> Any:
    key = change.key.encode()
    if change.value is None:
        return etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=key))
    return etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key, value=change.value))
