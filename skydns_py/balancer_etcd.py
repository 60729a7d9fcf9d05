"""``balancer.store.Store`` over gRPC, through the sources' own connection; every call blocks."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc
from etcd3 import etcdrpc

from skydns_py.balancer.store import Held, News, Write
from skydns_py.errors import StoreError
from skydns_py.settings import EtcdSource
from skydns_py.sources.etcd_client import Compacted, Connection, Timing, describe, is_unchanged
from skydns_py.sources.listwatch import ListPage, OpenWatch

PAGE = 1000
_STATES = grpc.ChannelConnectivity
_SETTLED = (_STATES.READY, _STATES.TRANSIENT_FAILURE, _STATES.SHUTDOWN)


def connector(etcd: EtcdSource, seconds: float) -> Callable[[int], "EtcdStore"]:
    """Connects to the n-th endpoint, counted round; each call may then take so many seconds."""

    def connect(turn: int) -> EtcdStore:
        url = etcd.endpoints[turn % len(etcd.endpoints)]
        store = EtcdStore(etcd, url, seconds)
        try:
            store.enter(max(1.0, seconds))
        except StoreError:
            store.close()
            raise
        return store

    return connect


class EtcdStore(Connection):
    """One endpoint."""

    transactions = True

    def __init__(self, etcd: EtcdSource, url: str, seconds: float) -> None:
        self._etcd = etcd
        self._url = url
        with self._one_line():
            super().__init__(etcd, url, Timing(request=seconds))

    def enter(self, seconds: float) -> None:
        """Connect, and log in where a user is configured; StoreError where that is refused.

        Connecting may take ``seconds``, longer than a call; where it fails, the next call says why.
        """
        settled = threading.Event()

        def see(state: grpc.ChannelConnectivity) -> None:
            if state in _SETTLED:
                settled.set()

        self._client.channel.subscribe(see, try_to_connect=True)
        settled.wait(seconds)
        self._client.channel.unsubscribe(see)
        with self._one_line():
            self.log_in()

    def read(self, keys: Sequence[str]) -> dict[str, Held]:
        """See ``Store``; 128 keys at most."""
        reads = [
            etcdrpc.RequestOp(request_range=etcdrpc.RangeRequest(key=key.encode()))
            for key in dict.fromkeys(keys)
        ]
        answer = self._call(self._client.kvstub.Txn, etcdrpc.TxnRequest(success=reads))
        found = dict.fromkeys(keys, Held())
        for response in answer.responses:
            for kv in response.response_range.kvs:
                found[kv.key.decode()] = _held(kv)
        return found

    def write(self, writes: Sequence[Write], seen: Mapping[str, int]) -> dict[str, int]:
        """See ``Store``."""
        compare = [is_unchanged(key, revision) for key, revision in seen.items()]
        request = etcdrpc.TxnRequest(compare=compare, success=[_operation(each) for each in writes])
        answer = self._call(self._client.kvstub.Txn, request)
        return {each.key: int(answer.header.revision) for each in writes} if answer.succeeded else {}

    def grant(self, seconds: int) -> tuple[int, int]:
        """See ``Store``."""
        answer = self._call(self._client.leasestub.LeaseGrant, etcdrpc.LeaseGrantRequest(TTL=seconds))
        return int(answer.ID), int(answer.TTL)

    def keep_alive(self, lease: int) -> int:
        """See ``Store``."""
        requests = iter([etcdrpc.LeaseKeepAliveRequest(ID=lease)])
        with self._one_line():
            stub = self._client.leasestub.LeaseKeepAlive
            for answer in stub(requests, self._timing.request, metadata=self._client.metadata):
                return max(0, int(answer.TTL))
        raise StoreError(f"etcd at {self._url}: no answer to the renewal of a lease")

    def revoke(self, lease: int) -> None:
        """See ``Store``."""
        self._call(self._client.leasestub.LeaseRevoke, etcdrpc.LeaseRevokeRequest(ID=lease))

    def follow(self, prefix: str) -> Iterator[News]:
        """See ``Store``."""
        start = prefix.encode()
        with self._one_line():
            found, revision = self._list(start)
            yield News(found, revision)
            for batch in self.watch(OpenWatch(((start, revision),))):
                if batch is not None and batch.events:
                    yield News({kv.key.decode(errors="replace"): _held(kv) for _, kv in batch.events})

    def _list(self, start: bytes) -> tuple[dict[str, Held], int]:
        found: dict[str, Held] = {}
        revision, token = 0, b""
        while True:
            page = self.page(ListPage(start, token, revision, PAGE))
            revision = revision or page.origin.revision
            found |= {entry.key.decode(errors="replace"): _held(entry) for entry in page.entries}
            if not (token := page.token):
                return found, revision

    def _call(self, method: Any, request: Any) -> Any:
        with self._one_line():
            return method(request, self._timing.request, metadata=self._client.metadata)

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (grpc.RpcError, grpc.FutureCancelledError, OSError) as error:
            raise StoreError(describe(error, self._url, self._etcd)) from None
        except Compacted:
            raise StoreError(f"etcd at {self._url}: has compacted what was to be read") from None
        except ValueError as error:  # what gRPC says of a channel that another thread has closed
            raise StoreError(f"etcd at {self._url}: {error}") from None


def _held(kv: Any) -> Held:
    return Held(kv.value, kv.mod_revision, kv.lease)


def _operation(write: Write) -> Any:
    key = write.key.encode()
    if write.value is None:
        return etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=key))
    put = etcdrpc.PutRequest(key=key, value=write.value, lease=write.lease)
    return etcdrpc.RequestOp(request_put=put)
