"""The text of manifests: what it amounts to, where it is wrong, and what it may cost."""

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.sources.manifest_text import MAX_DEPTH, MAX_OCTETS, Document, Unreadable, read_documents

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def values(text: str) -> list[object]:
    return [document.value for document in read_documents(text.encode())]


def refusal(text: str | bytes, is_json: bool = False) -> tuple[int, str]:
    with pytest.raises(Unreadable) as refused:
        read_documents(text.encode() if isinstance(text, str) else text, is_json)
    return refused.value.line, str(refused.value)


def refuse_or_read(text: bytes, is_json: bool = False) -> None:
    """No other outcome than documents or Unreadable."""
    with suppress(Unreadable):
        read_documents(text, is_json)


@given(st.lists(PLAIN, min_size=1, max_size=3), st.booleans())
def test_what_yaml_writes_is_read_back(documents: list[Any], flow: bool) -> None:
    text = yaml.safe_dump_all(documents, default_flow_style=flow, explicit_start=True)
    assert values(text) == documents


@given(PLAIN)
def test_what_json_writes_is_read_back(document: Any) -> None:
    assert read_documents(json.dumps(document).encode(), is_json=True) == [Document(1, document)]


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_are_read_or_refused(text: bytes, is_json: bool) -> None:
    refuse_or_read(text, is_json)


@given(st.text(alphabet="[]{}:,-?&*!|>'\"%@`#a1 \n<~", max_size=60))
def test_any_arrangement_of_indicators_is_read_or_refused(text: str) -> None:
    refuse_or_read(text.encode())


def test_each_document_knows_the_line_it_begins_on() -> None:
    text = b"# a comment\nkind: A\n---\n\nkind: B\n---\n---\n- x\n"
    documents = [
        Document(2, {"kind": "A"}),
        Document(5, {"kind": "B"}),
        Document(7, None),
        Document(8, ["x"]),
    ]
    assert read_documents(text) == documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("10:30", "10:30"),
        ("1.2.3.4", "1.2.3.4"),
        ("'80'", "80"),
        ("!!str 80", "80"),
        ('!!int "80"', 80),
        ("80", 80),
        ("-1", -1),
        ("0o17", 15),
        ("017", 15),
        ("-017", -15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("NULL", None),
        ("-", [None]),
        ("+", "+"),
        (".", "."),
        ("9" * 50, "9" * 50),
        ("1-2-3-4", "1-2-3-4"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(text: str, value: object) -> None:
    assert values(text) == [value]


def test_keys_are_text() -> None:
    assert values("80: a\ntrue: b\n~: c\n") == [{"80": "a", "true": "b", "~": "c"}]


def test_aliases_stand_for_what_was_anchored() -> None:
    assert values("a: &x {p: 1}\nb: *x\nc: &k key\n*k : 2\n") == [
        {"a": {"p": 1}, "b": {"p": 1}, "c": "key", "key": 2}
    ]


def test_merge_keys_fill_in_what_is_not_given() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\n"
    assert values(text)[0]["z"] == {"a": 3, "b": 1, "c": 2}  # type: ignore[index]  # the test knows its shape


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: [1,\n", 3, "is not YAML"),
        ("a: 1\n b: 2\n", 2, "mapping values are not allowed"),
        ("a: 1\na: 2\n", 2, "'a' is given twice"),
        ("a: *b\n", 1, "stands for nothing before it"),
        ("a: &a [*a]\n", 1, "stands for nothing before it, or for itself"),
        ("? [a]\n: b\n", 1, "a key must be text"),
        ("a: &a [b]\n*a : c\n", 2, "a key must be text"),
        ("a: !!python/object:os.system x\n", 1, "tag:yaml.org,2002:python/object:os.system is not known"),
        ("a: !own {b: c}\n", 1, "the tag !own is not known"),
        ("a: 1\nb: {<<: text}\n", 2, "'<<' takes a mapping"),
        ("a: 1\nb: \x01\n", 2, "is not YAML"),
    ],
)
def test_a_text_that_is_wrong_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    at, why = refusal(text)
    assert at == line
    assert reason in why
    assert "\n" not in why


def test_octets_that_are_no_utf8_are_refused_with_their_line() -> None:
    assert refusal(b"a: 1\nb: \xff\xfe\xfa\n") == (2, "is not YAML: invalid leading UTF-8 octet")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"a": 1,\n "b": }', 2, "is not JSON: Expecting value"),
        ('{"a": 1, "a": 2}', 0, "'a' is given twice"),
        ("[" * 100_000, 0, "is nested too deeply"),
        ("", 1, "is not JSON"),
    ],
)
def test_json_that_is_wrong_is_refused(text: str, line: int, reason: str) -> None:
    at, why = refusal(text, is_json=True)
    assert at == line
    assert reason in why


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? "])
def test_deep_nesting_is_refused_and_does_not_end_the_process(opening: str) -> None:
    line, why = refusal(opening * 200_000)
    assert line == 1
    assert why in (f"is nested deeper than {MAX_DEPTH} levels", "a key must be text")


@pytest.mark.parametrize("tenfold", ["[{}]", "{{<<: [{}]}}"])
def test_a_billion_laughs_are_refused_with_the_limit(tenfold: str) -> None:
    lines = ["a0: &a0 {x: y}"]
    for at in range(1, 30):
        lines.append(f"a{at}: &a{at} " + tenfold.format(",".join([f"*a{at - 1}"] * 10)))
    line, why = refusal("\n".join(lines))
    assert line < 10
    assert "more than 100000 nodes" in why


def test_aliases_count_for_the_whole_file_so_that_more_documents_do_not_help() -> None:
    document = "a: &a [" + "x," * 1000 + "]\nb: [" + "*a," * 20 + "]\n---\n"
    assert len(values(document * 4)) == 5
    assert "more than 100000 nodes" in refusal(document * 6)[1]


def test_a_file_beyond_the_size_limit_is_refused_with_the_limit() -> None:
    assert refusal(b" " * (MAX_OCTETS + 1)) == (0, "is larger than 16 MiB; split it")


def test_too_many_nodes_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skydns_py.sources.manifest_text.MAX_EVENTS", 100)
    line, why = refusal("- a\n" * 200)
    assert 90 < line < 101
    assert "holds more than 100 YAML events" in why
