"""The cluster of ``bench.cluster`` as a kube-apiserver would have stored it in etcd.

Values are written field by field here, not through the package's own message classes, so that what is
measured also meets an encoder that is not ours to please; field numbers are those of Kubernetes'
generated.proto files.  Each object carries what a real one does and we do not read (uid, time stamp,
owner, managed fields), so that a value has a real one's size: some 700 octets.
"""

from collections.abc import Iterable, Iterator

from bench import cluster

_CREATED = 1_795_446_561
_NODES = 50
_MANAGED = (
    b'{"f:spec":{"f:internalTrafficPolicy":{},"f:ports":{".":{},"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":'
    b'{".":{},"f:name":{},"f:port":{},"f:protocol":{},"f:targetPort":{}}},"f:selector":{},'
    b'"f:sessionAffinity":{},"f:type":{}}}'
)


def pairs(first: int, last: int, *, dual: bool = False) -> Iterator[tuple[str, bytes]]:
    """The etcd keys and values of the Services numbered ``first`` to ``last`` - 1, two keys each.

    In a ``dual`` stack cluster every second one has an IPv6 cluster IP too.
    """
    for index in range(first, last):
        second = cluster.address6(index) if dual and cluster.is_dual(index) else ""
        yield service_key(index), service_value(index, cluster.address(index), second)
        yield slice_pair(index, cluster.endpoints(index))


def namespace_pairs() -> Iterator[tuple[str, bytes]]:
    """The etcd keys and values of the namespaces."""
    for index in range(cluster.NAMESPACES):
        name = cluster.namespace(index)
        value = _unknown("v1", "Namespace", _text(1, _metadata(name, "", index)))
        yield f"/registry/namespaces/{name}", value


def headless_pairs() -> Iterator[tuple[str, bytes]]:
    """The etcd keys and values of the headless Service."""
    name, space = cluster.HEADLESS, cluster.namespace(0)
    metadata = _metadata(name, space, 0)
    spec = _text(1, _service_port()) + _text(3, "None") + _text(4, "ClusterIP") + _text(7, "None")
    spec += _text(17, "SingleStack") + _text(18, "None") + _text(19, "IPv4")
    value = _unknown("v1", "Service", _text(1, metadata) + _text(2, spec) + _text(3, _text(1, b"")))
    yield f"/registry/services/specs/{space}/{name}", value
    yield f"/registry/endpointslices/{space}/{name}-x", _slice(name, f"{name}-x", 0, cluster.backends())


def service_key(index: int) -> str:
    """The etcd key of Service number ``index``."""
    return f"/registry/services/specs/{cluster.namespace(index)}/{cluster.service(index)}"


def service_value(index: int, address: str, second: str = "") -> bytes:
    """Service number ``index`` with ``address`` as its cluster IP (core/v1 Service), and maybe a second."""
    selector = _text(1, "app") + _text(2, cluster.service(index))
    spec = _text(1, _service_port()) + _text(2, selector)
    spec += _text(3, address) + _text(4, "ClusterIP") + _text(7, "None")
    spec += _text(17, "PreferDualStack" if second else "SingleStack") + _text(18, address)
    spec += (_text(18, second) if second else b"") + _text(19, "IPv4")
    spec += (_text(19, "IPv6") if second else b"") + _text(22, "Cluster")
    metadata = _metadata(cluster.service(index), cluster.namespace(index), index)
    return _unknown("v1", "Service", _text(1, metadata) + _text(2, spec) + _text(3, _text(1, b"")))


def _service_port() -> bytes:
    target = _number(1, 0) + _number(2, 8080)
    return _text(1, "http") + _text(2, "TCP") + _number(3, cluster.PORT) + _text(4, target) + _number(5, 0)


def _slice_key(index: int) -> str:
    return f"/registry/endpointslices/{cluster.namespace(index)}/{_slice_name(index)}"


def slice_pair(index: int, addresses: Iterable[str]) -> tuple[str, bytes]:
    """The etcd key and value of the EndpointSlice of Service number ``index``, with these endpoints."""
    return _slice_key(index), _slice(cluster.service(index), _slice_name(index), index, addresses)


def _slice_name(index: int) -> str:
    return f"{cluster.service(index)}-x{index % 10_000:04d}"


def _slice(service: str, name: str, index: int, addresses: Iterable[str]) -> bytes:
    """A discovery.k8s.io/v1 EndpointSlice in the namespace of Service number ``index``."""
    label = _text(1, "kubernetes.io/service-name") + _text(2, service)
    owner = _text(1, "Service") + _text(3, service) + _text(4, _uid(index)) + _text(5, "v1")
    metadata = _metadata(name, cluster.namespace(index), index)
    metadata += _text(11, label) + _text(13, owner + _number(6, 1) + _number(7, 1))
    backends = b"".join(
        _text(2, _endpoint(address, index, f"node-{(index + place) % _NODES}"))
        for place, address in enumerate(addresses)
    )
    port = _text(1, "http") + _text(2, "TCP") + _number(3, 8080)
    value = _text(1, metadata) + backends + _text(3, port) + _text(4, "IPv4")
    return _unknown("discovery.k8s.io/v1", "EndpointSlice", value)


def _endpoint(address: str, index: int, node: str) -> bytes:
    conditions = _number(1, 1) + _number(2, 1) + _number(3, 0)
    target = (
        _text(1, "Pod")
        + _text(2, cluster.namespace(index))
        + _text(3, f"pod-{address}")
        + _text(4, _uid(index))
    )
    return _text(1, address) + _text(2, conditions) + _text(4, target) + _text(6, node)


def _metadata(name: str, namespace: str, index: int) -> bytes:
    managed = _text(1, "kube-controller-manager") + _text(2, "Update") + _text(3, "v1")
    managed += _text(4, _number(1, _CREATED)) + _text(6, "FieldsV1") + _text(7, _text(1, _MANAGED))
    created = _number(1, _CREATED) + _number(2, 0)
    return (
        _text(1, name) + _text(3, namespace) + _text(5, _uid(index)) + _text(8, created) + _text(17, managed)
    )


def _uid(index: int) -> str:
    return f"1f5d6d41-7205-4b9c-b169-{index:012d}"


def _unknown(version: str, kind: str, value: bytes) -> bytes:
    """The envelope: the magic, then a runtime.Unknown that names the type and carries the value."""
    meta = _text(1, version) + _text(2, kind)
    return b"k8s\0" + _text(1, meta) + _text(2, value) + _text(3, b"") + _text(4, b"")


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str | bytes) -> bytes:
    octets = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(octets)) + octets


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
