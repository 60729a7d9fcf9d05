"""Cluster objects from the values that kube-apiserver writes to etcd by default.

A value is the four octets ``k8s\\0`` and a ``runtime.Unknown`` message: the object's apiVersion and
kind, and the object itself as an inner message (Kubernetes' serializer/protobuf package).
"""
# ruff: noqa: D102 - the readers of ProtoFields are described where Fields declares them

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.message import Message

from skydns_py.cluster.build import build
from skydns_py.cluster.decode_json import API
from skydns_py.cluster.fields import Fields, shown
from skydns_py.cluster.objects import ClusterObject
from skydns_py.cluster.protos import CLASSES
from skydns_py.errors import DecodeError

MAGIC = b"k8s\0"


class ProtoFields(Fields):
    """A message of ``protos``.  Its types were checked by the parser, so no reader refuses anything."""

    __slots__ = ("_message",)

    def __init__(self, message: Any, parent: Fields | None = None, name: str = "", index: int = -1) -> None:
        self._message = message
        self._parent = parent
        self._name = name
        self._index = index

    def has(self, name: str) -> bool:
        return bool(self._message.HasField(name))

    def text(self, name: str) -> str:
        value: str = getattr(self._message, name)
        return value

    def texts(self, name: str) -> Sequence[str]:
        value: Sequence[str] = getattr(self._message, name)
        return value

    def number(self, name: str) -> int:
        value: int = getattr(self._message, name)
        return value

    def number_or_text(self, name: str) -> int | str:
        either = getattr(self._message, name)
        value: int | str = either.strVal if either.type == 1 else either.intVal
        return value

    def flag(self, name: str, absent: bool = False) -> bool:
        value: bool = getattr(self._message, name)
        return value or (absent and not self._message.HasField(name))

    def pairs(self, name: str) -> Mapping[str, str]:
        value: Mapping[str, str] = getattr(self._message, name)
        return value

    def pair(self, name: str, key: str) -> str:
        value: str = getattr(self._message, name).get(key, "")
        return value

    def child(self, name: str) -> "ProtoFields":
        return ProtoFields(getattr(self._message, name), self, name)

    def children(self, name: str) -> "Iterator[ProtoFields]":
        for index, message in enumerate(getattr(self._message, name)):
            yield ProtoFields(message, self, name, index)


def decode(value: bytes) -> ClusterObject:
    """The object of a registry value that begins with ``MAGIC``; DecodeError where it cannot be used."""
    if not value.startswith(MAGIC):
        raise DecodeError("", "does not begin with k8s and a zero octet")
    envelope = parse("Unknown", value[len(MAGIC) :])
    version, kind = envelope.typeMeta.apiVersion, envelope.typeMeta.kind
    known = API.get((version, kind))
    if known is None:
        raise DecodeError("kind", f"{shown(f'{version} {kind}')} is not an object served here")
    if envelope.contentEncoding:
        raise DecodeError(
            "", f"has the content encoding {shown(envelope.contentEncoding)}; none is supported"
        )
    return build(known, ProtoFields(parse(kind, envelope.raw)))


def parse(name: str, octets: bytes) -> Any:
    """A message of ``protos``; DecodeError where ``octets`` are none."""
    message: Message = CLASSES[name]()
    try:
        message.ParseFromString(octets)
    except (ProtobufError, UnicodeDecodeError):  # protobuf's pure Python parser raises the latter
        raise DecodeError("", f"is cut short or is no protobuf message {name}") from None
    return message
