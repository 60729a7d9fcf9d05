"""Keys and sessions as Leases: names that the API takes and that are one key each, bodies, and back."""

import re
from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.balancer import kubernetes_objects as objects
from skydns_py.balancer.store import Held
from skydns_py.errors import StoreError

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
ROOT = "/lb/"
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
ADDRESSES = st.ip_addresses().map(str)
KEYS = st.one_of(
    st.tuples(st.just("ip"), ADDRESSES),
    st.tuples(st.just("owner"), ADDRESSES | st.just("controller")),
    st.tuples(st.just("node"), st.lists(LABELS, min_size=1, max_size=3).map(".".join)),
    st.tuples(st.just("service"), st.tuples(LABELS, LABELS).map("/".join)),
)
LEASES = st.integers(1, 2**63 - 1)


@given(KEYS)
def test_a_keys_name_is_one_that_the_api_takes_and_gives_the_key_again(key: tuple[str, str]) -> None:
    name = objects.key_name(*key)
    assert SUBDOMAIN.fullmatch(name)
    assert objects.parse_name(name) == key


@given(st.lists(KEYS, unique=True), st.lists(LEASES, unique=True))
def test_no_two_keys_or_sessions_have_one_name(keys: list[tuple[str, str]], leases: list[int]) -> None:
    names = [*(objects.key_name(*key) for key in keys), *map(objects.session_name, leases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("ip", "192.0.2.10"), "skydns-ip.192.0.2.10"),
        (("ip", "2001:db8::10"), "skydns-ip.2001-db8-0-0-0-0-0-10"),
        (("owner", "::1"), "skydns-owner.0-0-0-0-0-0-0-1"),
        (("owner", "controller"), "skydns-owner.controller"),
        (("node", "n1.example"), "skydns-node.n1.example"),
        (("service", "my-ns/web"), "skydns-service.my-ns.web"),
    ],
)
def test_a_person_can_read_the_names(key: tuple[str, str], name: str) -> None:
    assert objects.key_name(*key) == name


def test_an_address_has_one_name_however_it_was_written_down() -> None:
    mapped = str(IPv6Address("::ffff:192.0.2.1"))
    assert objects.parse_name(objects.key_name("ip", mapped)) == ("ip", str(ip_address(mapped)))


@given(
    KEYS,
    st.binary(max_size=40).map(lambda raw: raw.hex().encode()),
    st.just(0) | LEASES,
    st.integers(1, 10**9),
)
def test_a_key_is_read_as_it_was_written(
    key: tuple[str, str], value: bytes, lease: int, version: int
) -> None:
    body = objects.key_body(objects.key_name(*key), value, lease, 1.5)
    body["metadata"] |= {"uid": "u", "resourceVersion": str(version)}
    found = objects.parse(body, ROOT)
    assert found is not None
    assert (found.key, found.value, found.lease) == (f"{ROOT}{key[0]}/{key[1]}", value, lease)
    assert objects.there(found) == Held(value, 2 * version, lease)
    assert objects.version_at(objects.there(found).revision) == version


@given(LEASES, st.integers(1, 60))
def test_a_session_is_read_as_it_was_written(lease: int, seconds: int) -> None:
    body = objects.session_body(lease, "n1", seconds, 0.25)
    body["metadata"]["resourceVersion"] = "7"
    assert objects.parse(body, ROOT) == objects.Item(
        objects.session_name(lease), "", 7, value=b"n1", lease=lease, seconds=seconds
    )
    assert body["spec"]["renewTime"] == "1970-01-01T00:00:00.250000Z"


def test_what_is_gone_is_newer_than_what_went_and_older_than_what_comes() -> None:
    assert objects.revision(7) < objects.gone(7).revision < objects.revision(8)


@given(st.text(), st.text())
def test_other_leases_are_none_of_ours(name: str, value: str) -> None:
    found = objects.parse({"metadata": {"name": f"x-{name}", "annotations": {objects.VALUE: value}}}, ROOT)
    assert found is None


@pytest.mark.parametrize(
    "name", ["skydns-abc", "skydns-", "skydns-.x", "skydns-ip.a-b", "skydns-0123456789ABCDEF"]
)
def test_a_name_that_only_begins_like_ours_is_none(name: str) -> None:
    assert objects.parse_name(name) is None


def test_a_session_that_does_not_say_how_long_lasts_longest_and_a_key_on_nonsense_hangs_on_nothing() -> None:
    session = objects.session_body(5, "n", 2, 0)
    session["metadata"]["resourceVersion"] = "1"
    del session["spec"]["leaseDurationSeconds"]
    found = objects.parse(session, ROOT)
    assert found is not None
    assert found.seconds == objects.LONGEST_SECONDS
    key = objects.key_body("skydns-node.n1", b"n1", 5, 0)
    key["metadata"] |= {"resourceVersion": "1"}
    key["metadata"]["annotations"][objects.SESSION] = "nonsense"
    found = objects.parse(key, ROOT)
    assert found is not None
    assert found.lease == -1


def test_a_revision_that_is_no_number_is_refused_in_one_line() -> None:
    with pytest.raises(StoreError, match="resourceVersion 'abc' is no number"):
        objects.parse({"metadata": {"name": "skydns-node.n1", "resourceVersion": "abc"}}, ROOT)
