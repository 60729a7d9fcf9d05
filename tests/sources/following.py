"""What the tests of the etcd source share: Services to write, and a source that follows."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import reactor

from skydns_py.cluster.objects import Kind, Ref, Service
from skydns_py.sources.etcd import EtcdSettings, EtcdSource, Timing
from tests.reactor import run_in_reactor
from tests.sources.recording import Recorder

SPECS = "/registry/services/specs"
PINGS = ("--grpc-keepalive-min-time=50ms",)
QUICK = Timing(keepalive=0.3, keepalive_timeout=0.3, request=2, page=5)
"""Notices a silent peer within a second, if etcd is told to bear the pings."""


def service(name: str, address: str = "10.0.0.1") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": address, "ports": [{"port": 80}]},
        }
    )


def ref(name: str) -> Ref:
    return Ref(Kind.SERVICE, "shop", name)


def put(client: Any, name: str, address: str = "10.0.0.1") -> None:
    client.put(f"{SPECS}/shop/{name}", service(name, address))


def is_at(name: str, address: str) -> Callable[[Recorder], bool]:
    """Whether the Service is known with this portal IP."""
    octets = bytes(int(each) for each in address.split("."))

    def holds(sink: Recorder) -> bool:
        found = sink.state.get(ref(name))
        return isinstance(found, Service) and found.addresses == (octets,)

    return holds


@contextmanager
def following(
    url: str, timing: Timing = QUICK, kinds: Collection[Kind] | None = None, **settings: Any
) -> Iterator[Recorder]:
    """A started source's sink."""
    sink = Recorder()
    source = EtcdSource(EtcdSettings(endpoints=(url,), **settings), sink, reactor, timing, kinds)
    run_in_reactor(source.start)
    try:
        yield sink
    finally:
        run_in_reactor(source.stop)


def be_watching(sink: Recorder, client: Any) -> None:
    """Until an event has come through the watch: from here on only pings can notice a silent peer."""
    sink.wait_call("synced")
    client.put("/skydns/watching", '{"host": "1.2.3.4"}')
    sink.wait(lambda s: Ref(Kind.RECORD, "", "watching") in s.state)
    client.delete("/skydns/watching")
    sink.wait(lambda s: Ref(Kind.RECORD, "", "watching") not in s.state)
