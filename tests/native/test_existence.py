"""Names that exist by fingerprint are those that exist by name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.zone.existence import Existence
from tests.dataplane.wire import encode
from tests.native import built
from tests.native.built import needed

pytestmark = needed

APEXES = tuple(map(encode, ("cluster.local", "inner.of.cluster.local", "in-addr.arpa")))
NAMES = [
    encode(f"{name}.{zone}".strip("."))
    for zone in ("cluster.local", "of.cluster.local", "in-addr.arpa", "")
    for name in ("", "a", "b.a", "c.b.a", "d.c.b.a", "b", "c.c", "e.c.c", "inner", "x.inner")
]
steps = st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=60)


def both() -> tuple[Any, Any]:
    return Existence(APEXES), built.NativeExistence(APEXES)


def states(existence: Any) -> list[tuple[bool, bool]]:
    return [(name in existence, existence.is_owned(name)) for name in NAMES]


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_after_any_steps_the_same_names_exist_and_the_same_were_told(steps: list[tuple[bool, bytes]]) -> None:
    python, native = both()
    assert native.between == python.between
    for own, name in steps:
        if name in APEXES and not own:
            continue  # never disowned
        told = [(each.own if own else each.disown)(name) for each in (python, native)]
        assert told[0] == told[1]
        assert states(native) == states(python)


@settings(max_examples=100, deadline=None)
@given(names=st.lists(st.sampled_from(NAMES), max_size=80), before=st.lists(st.sampled_from(NAMES)))
def test_names_owned_at_once_are_as_names_owned_one_by_one(names: list[bytes], before: list[bytes]) -> None:
    python, native = both()
    assert native.own_all(before) == python.own_all(before)
    assert native.own_all(names) == [above for name in names for above in python.own(name)]
    assert states(native) == states(python)


@pytest.mark.parametrize("names", [[b"\1a\0", b"\3abc"], [b"\4abc\0"], [b"\1a" * 128 + b"\0"]])
def test_what_is_no_wire_name_is_refused_among_others(names: list[bytes]) -> None:
    _, native = both()
    with pytest.raises(ValueError, match="no wire name"):
        native.own_all(names)


def test_many_names_that_come_and_go_leave_only_the_zones() -> None:
    _, native = both()
    names = [encode(f"_http._tcp.svc-{i}.ns-{i % 100}.svc.cluster.local") for i in range(30_000)]
    for _ in range(3):
        for name in names:
            native.own(name)
        assert all(name in native for name in names)
        for name in names:
            native.disown(name)
        assert not any(name in native for name in names)
        assert encode("svc.cluster.local") not in native
        assert all(apex in native for apex in APEXES)


@pytest.mark.parametrize("name", [b"", b"\3abc", b"\0\0", b"\4abc\0", b"\1a" * 128 + b"\0", bytes(256)])
def test_what_is_no_wire_name_is_refused(name: bytes) -> None:
    _, native = both()
    with pytest.raises(ValueError, match="no wire name"):
        native.own(name)
