"""The store of a lab: an etcd in the node's namespace, written to through the node's process.

``put`` and ``delete`` end with *canaries*, one Service for each way that endpoints come (Endpoints, slices of
either family), whose port is new each time.  The source keeps the order of each kind, so where every canary
can be connected to, everything that was written before it is in the kernel.
"""

import base64
import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from tests.etcd_server import EtcdServer
from tests.portal.lab import BACKENDS, BACKENDS6, Peer
from tests.portal.objects import Document, endpoint, endpoint_slice, endpoints, service

SETTLE_SECONDS = 15.0
BATCH = 500
"""Operations of one transaction."""
PREFIXES = {
    "Service": "/registry/services/specs",
    "Endpoints": "/registry/services/endpoints",
    "EndpointSlice": "/registry/endpointslices",
    "Node": "/registry/minions",
}
CANARIES = {"canary-list": "10.96.255.1", "canary-slice": "10.96.255.2", "canary-6": "fd00:96::ffff"}


class Etcd(EtcdServer):
    """An etcd inside a namespace."""

    def __init__(self, folder: Path, home: Peer) -> None:
        super().__init__(folder, f"--max-txn-ops={BATCH}")
        self._home = home

    def _command(self) -> list[str]:
        return self._home.namespace.command(*super()._command())

    def _accepts(self) -> bool:
        return bool(self._home.ask("until", places=[["127.0.0.1", self.port]], timeout=0.0))


class Store:
    """The objects of a cluster. ``settle`` waits until all that was written is programmed."""

    def __init__(self, etcd: Etcd, home: Peer) -> None:
        self.etcd = etcd
        self._home = home
        self._keys: dict[str, None] = {}
        self._canary_ports = count(10000)

    def put(self, *documents: Document) -> None:
        """Write the objects, and wait until they are programmed."""
        self.write(*documents)
        self.settle()

    def delete(self, *documents: Document) -> None:
        """Delete them, and wait until that is programmed."""
        keys = [_key(document) for document in documents]
        for key in keys:
            self._keys.pop(key, None)
        self._change([_delete(key) for key in keys])
        self.settle()

    def clear(self) -> None:
        """Delete everything but the canaries; the next change awaits that too."""
        self._change([_delete(key) for key in self._keys])
        self._keys.clear()

    def write(self, *documents: Document) -> None:
        """Write the objects and wait for nothing."""
        self._keys |= dict.fromkeys(_key(document) for document in documents)
        self._change([_put(document) for document in documents])

    def settle(self) -> None:
        """Wait until everything written so far is programmed."""
        port = next(self._canary_ports)
        self._change([_put(document) for document in _canaries(port)])
        places = [[address, port] for address in CANARIES.values()]
        assert self._home.ask("until", places=places, timeout=SETTLE_SECONDS), "a change was not programmed"

    def _change(self, operations: Sequence[Document]) -> None:
        for at in range(0, len(operations), BATCH):
            body = json.dumps({"success": operations[at : at + BATCH]})
            status, answer = self._post("/v3/kv/txn", body)
            assert status == 200, answer

    def _post(self, path: str, body: str) -> Any:
        place = {"address": "127.0.0.1", "port": self.etcd.port, "path": path}
        return self._home.ask("request", method="POST", body=body, **place)


def _canaries(port: int) -> list[Document]:
    """Ports are joined by name, so that neither kind's older half makes a whole with the newer one."""
    name = f"p{port}"
    return [
        *(service(canary, address, port=port, port_name=name) for canary, address in CANARIES.items()),
        endpoints("canary-list", BACKENDS["b1"], port_name=name),
        endpoint_slice("canary-slice", endpoint(BACKENDS["b1"]), port_name=name),
        endpoint_slice("canary-6", endpoint(BACKENDS6["b1"]), port_name=name, family=6),
    ]


def _key(document: Document) -> str:
    """Where etcd has the object; a v1beta1 one has its names at the top."""
    meta = document.get("metadata", document)
    name = meta.get("name") or meta["id"]
    place = f"{meta['namespace']}/{name}" if "namespace" in meta else name
    return f"{PREFIXES[document['kind']]}/{place}"


def _put(document: Document) -> Document:
    return {"request_put": {"key": _base64(_key(document)), "value": _base64(json.dumps(document))}}


def _delete(key: str) -> Document:
    return {"request_delete_range": {"key": _base64(key)}}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
