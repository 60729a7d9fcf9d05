"""Which names exist, against a model that looks at all of them each time."""

from hypothesis import given
from hypothesis import strategies as st

from skydns_py.zone.existence import Existence
from skydns_py.zone.names import ancestors, from_text

APEXES = (from_text("zone"), from_text("deep.down.zone"), from_text("arpa"))
NAMES = [
    from_text(text)
    for text in (
        *("zone", "a.zone", "b.a.zone", "c.b.a.zone", "d.b.a.zone", "e.zone", "down.zone", "x.down.zone"),
        *("deep.down.zone", "y.deep.down.zone", "z.y.deep.down.zone", "arpa", "1.arpa", "2.1.arpa"),
    )
]


def existing(owned: set[bytes]) -> set[bytes]:
    """By the definition: what is owned, and what lies above it in the outermost zone it is in."""
    found = set()
    for name in owned:
        above = list(ancestors(name))
        outermost = max(above.index(apex) for apex in APEXES if apex in above)
        found.update(above[: outermost + 1])
    return found


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=40))
def test_a_name_exists_exactly_when_it_or_one_below_is_owned(steps: list[tuple[bool, bytes]]) -> None:
    existence, owned = Existence(APEXES), set(APEXES)
    assert {from_text("down.zone")} == set(existence.between)
    for owns, name in steps:
        if name in APEXES and not owns:
            continue
        before = existing(owned)
        (owned.add if owns else owned.discard)(name)
        moved = existence.own(name) if owns else existence.disown(name)
        assert len(set(moved)) == len(moved)
        assert set(moved) | {name} == (before ^ existing(owned)) | {name}
        assert {each for each in NAMES if each in existence} == existing(owned)
        assert {each for each in NAMES if existence.is_owned(each)} == owned
