"""Label selectors as the API server reads them: texts and verdicts from its documentation and its grammar."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.settings_selector import parse_selector

GOOD = (
    *("", "a", "!a", "a=b", "a==b", "a!=b", "a = b", "a=", "a!=", "a,b", " a , !b "),
    *("environment=production,tier!=frontend", "environment in (production, qa)", "tier notin (f,b)"),
    *("partition,environment notin (qa)", "x in ()", "x in (a,)", "x in(a)", "kubernetes.io/name=DNS"),
    *("a>1", "a<-3", "in", "notin=in", "in in (in)", f"a={'b' * 63}"),
)
BAD = (
    *("a in b", "a=b,,c", "a=b&c", ",", "a,", ",a", "a b", "!", "!a=b", "a=b=c", "=b", "a in (b", "a in b)"),
    *("a in (b c)", "a>b", "-a", "a-", "a=-b", "/a", "a/", "a/b/c", "A.b/c", "a==='b'", "ä=b", "a=b\n,\x00"),
    f"a={'b' * 64}",
)
WORDS = st.from_regex(re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,9}[A-Za-z0-9])?", re.ASCII), fullmatch=True)


@pytest.mark.parametrize("text", GOOD)
def test_what_the_api_understands_is_taken_as_it_is(text: str) -> None:
    assert parse_selector(text) == text


@pytest.mark.parametrize("text", BAD)
def test_what_it_would_refuse_is_refused_here(text: str) -> None:
    with pytest.raises(ValueError, match="is not KEY=VALUE"):
        parse_selector(text)


@given(st.dictionaries(WORDS, st.lists(WORDS, min_size=1, max_size=3), min_size=1))
def test_any_requirements_make_one_selector(wanted: dict[str, list[str]]) -> None:
    text = ",".join(f"{key} in ({','.join(values)})" for key, values in wanted.items())
    assert parse_selector(text) == text


@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    try:
        assert parse_selector(text) == text
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017 -- either outcome is right, neither is another error
