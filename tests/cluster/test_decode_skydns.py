import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skydns_py.cluster.decode_skydns import decode, parse_path
from skydns_py.cluster.objects import Record
from tests.cluster.kubernetes_values import JSON_VALUES, outcome

PATH = "local/cluster/shop/web"


def message(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("prefix", ["/skydns", "/skydns/"])
@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("/skydns/local/cluster/web", "local/cluster/web"),
        ("/skydns/local", "local"),
        ("/skydns/Local/WEB", "Local/WEB"),
        ("/skydns", None),
        ("/skydns/", None),
        ("/skydns/local/", None),
        ("/skydns//local", None),
        ("/skydns2/local", None),
        ("/other/skydns/local", None),
        ("skydns/local", None),
        ("", None),
    ],
)
def test_a_path_is_the_key_below_the_prefix(prefix: str, key: str, path: str | None) -> None:
    assert parse_path(key, prefix) == path


def test_an_empty_prefix_is_the_root() -> None:
    assert parse_path("/local/cluster", "") == parse_path("/local/cluster", "/") == "local/cluster"


MESSAGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    (
        {"host": "10.0.0.1", "port": 80, "priority": 10, "weight": 10, "ttl": 30},
        {"host": "10.0.0.1", "port": 80, "priority": 10, "weight": 10, "ttl": 30},
    ),
    ({"host": None, "port": None, "mail": None, "text": None}, {}),
    ({"host": "fd00::1"}, {"host": "fd00::1"}),
    ({"host": "db.example.com"}, {"host": "db.example.com"}),
    ({"host": "DB_1.example."}, {"host": "DB_1.example."}),
    ({"host": "localhost"}, {"host": "localhost"}),
    ({"text": 'any \u00fc "text" \n'}, {"text": 'any \u00fc "text" \n'}),
    ({"host": "a.example", "text": "both"}, {"host": "a.example", "text": "both"}),
    ({"mail": True, "host": "mx.example"}, {"mail": True, "host": "mx.example"}),
    ({"group": "g1"}, {"group": "g1"}),
    (
        {"host": "10.0.0.1", "targetstrip": 1, "ttl": 300, "owner": {"x": 1}},
        {"host": "10.0.0.1", "targetstrip": 1, "ttl": 300},
    ),
    ({"targetstrip": 1000}, {"targetstrip": 1000}),
    (
        {"port": 65535, "priority": 65535, "weight": 65535},
        {"port": 65535, "priority": 65535, "weight": 65535},
    ),
    ({"ttl": 2**31 - 1}, {"ttl": 2**31 - 1}),
    ({"ttl": 2**31}, {"ttl": 2**31 - 1}),
    ({"ttl": 2**32 - 1}, {"ttl": 2**31 - 1}),
    ({"key": "ignored", "Host": "ignored"}, {}),
]


@pytest.mark.parametrize(("value", "expected"), MESSAGES)
def test_a_message_decodes_to_its_record(value: dict[str, Any], expected: dict[str, Any]) -> None:
    assert decode(PATH, message(value), 0) == Record(PATH, **expected)


def test_the_lease_is_kept_beside_the_ttl() -> None:
    assert decode(PATH, b'{"ttl": 60}', 30) == Record(PATH, ttl=60, lease_seconds=30)


BAD: list[tuple[object, str]] = [
    (None, ""),
    (7, ""),
    ("10.0.0.1", ""),
    ([], ""),
    ({"host": 7}, "host"),
    ({"host": "a..b"}, "host"),
    ({"host": "a b"}, "host"),
    ({"host": "."}, "host"),
    ({"host": "10.0.0.256"}, "host"),
    ({"host": "010.0.0.1"}, "host"),
    ({"host": "fe80::1%eth0"}, "host"),
    ({"host": "http://a.example"}, "host"),
    ({"host": "m\u00fcller.example"}, "host"),
    ({"host": "a" * 64}, "host"),
    ({"host": ".".join(["a" * 49] * 6)}, "host"),
    ({"port": -1}, "port"),
    ({"port": 65536}, "port"),
    ({"port": "80"}, "port"),
    ({"port": 80.0}, "port"),
    ({"port": True}, "port"),
    ({"priority": 65536}, "priority"),
    ({"weight": -1}, "weight"),
    ({"weight": 10**30}, "weight"),
    ({"ttl": -1}, "ttl"),
    ({"ttl": 2**32}, "ttl"),
    ({"ttl": "60"}, "ttl"),
    ({"targetstrip": -1}, "targetstrip"),
    ({"mail": 1}, "mail"),
    ({"text": ["a"]}, "text"),
    ({"text": "\ud800"}, "text"),
    ({"group": 1}, "group"),
]


@pytest.mark.parametrize(("value", "path"), BAD)
def test_a_bad_message_is_refused_with_its_field(value: object, path: str) -> None:
    assert outcome(decode, PATH, message(value), 0)[0] == path


@pytest.mark.parametrize("value", [b"", b"\xff", b"{", b"[" * 100_000, b"10.0.0.1"])
def test_a_value_that_is_no_json_is_refused(value: bytes) -> None:
    assert outcome(decode, PATH, value, 0)[0] == ""


@pytest.mark.parametrize("path", ["a" * 63, "/".join(["a" * 49] * 5), "*/any/_tcp/_http", "x/1.2.3.4"])
def test_a_path_may_be_as_long_as_a_name(path: str) -> None:
    assert decode(path, b"{}", 0) == Record(path)


@pytest.mark.parametrize(
    "path", ["", "a//b", "a" * 64, "/".join(["a" * 50] * 5), "m\u00fcller", "a/" * 127 + "a"]
)
def test_a_path_that_is_no_name_is_refused(path: str) -> None:
    if path == "a/" * 127 + "a":
        path = "a/" + path  # 129 labels: 259 octets
    found, reason = outcome(decode, path, b"{}", 0)
    assert found == ""
    assert "is no name" in str(reason)


@settings(deadline=None)
@given(st.binary() | JSON_VALUES.map(message))
@example(b'{"port": 1e400}')
@example(b'{"text": "\\ud800"}')
def test_no_octets_raise_anything_but_a_decode_error(value: bytes) -> None:
    outcome(decode, PATH, value, 0)


FIELDS = ("host", "port", "priority", "weight", "text", "mail", "ttl", "targetstrip", "group")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES))
def test_no_field_raises_anything_but_a_decode_error(value: dict[str, object]) -> None:
    outcome(decode, PATH, message(value), 0)


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_key_or_path_raises_anything_but_a_decode_error(key: str, prefix: str) -> None:
    path = parse_path(key, prefix)
    outcome(decode, key if path is None else path, b"{}", 0)
