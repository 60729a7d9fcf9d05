"""Wire names, against dnspython where it can tell."""

import ipaddress

import dns.exception
import dns.name
import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.zone.names import (
    IN_ADDR,
    IP6,
    MAX_LABEL,
    MAX_NAME,
    ROOT,
    address_in_label,
    address_in_reverse,
    ancestors,
    from_labels,
    from_text,
    ip_label,
    ip_text,
    is_within,
    labels,
    parent,
    reverse,
    to_text,
)

addresses = (
    st.ip_addresses()
    .filter(
        lambda address: not getattr(address, "ipv4_mapped", None)
    )  # an IPv4 address to whoever decodes it
    .map(lambda address: address.packed)
)
wire_names = (
    st.lists(st.binary(min_size=1, max_size=MAX_LABEL), max_size=12)
    .map(lambda parts: b"".join(bytes((len(part),)) + part.lower() for part in parts) + ROOT)
    .filter(lambda name: len(name) <= MAX_NAME)
)
plain_labels = st.from_regex(r"[a-zA-Z0-9_-]{1,63}", fullmatch=True)


@given(st.lists(plain_labels, max_size=5), st.booleans())
def test_from_text_is_dnspythons_wire_form_in_lower_case(parts: list[str], dotted: bool) -> None:
    text = ".".join(parts)
    try:
        wanted = (dns.name.from_text(text).to_wire() or b"").lower()
    except dns.exception.DNSException:
        with pytest.raises(ValueError, match="longer than 255"):
            from_text(text)
        return
    assert from_text(text + "." * (dotted or not parts)) == wanted
    assert from_labels(*parts) == wanted


@pytest.mark.parametrize(
    "text", [".a", "a..b", "..", "a..", " . ."[1:] + "x", "ä.b", "a" * 64, "a" * 64 + ".b", "a." * 127 + "ab"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"domain name|longer than"):
        from_text(text)


def test_the_longest_name_is_one() -> None:
    text = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(from_text(text)) == MAX_NAME
    with pytest.raises(ValueError, match="longer than 255"):
        from_text(text + "a")


@given(wire_names)
def test_to_text_is_read_back_by_dnspython(name: bytes) -> None:
    text = to_text(name)
    assert text.isascii()
    assert text.isprintable()
    assert dns.name.from_text(text).to_wire() == name


@given(wire_names)
def test_labels_and_ancestors_walk_the_whole_name(name: bytes) -> None:
    parts = list(labels(name))
    assert b"".join(bytes((len(part),)) + part for part in parts) + ROOT == name
    walk = list(ancestors(name))
    assert len(walk) == len(parts) + 1
    assert walk[0] == name
    assert walk[-1] == ROOT
    assert [parent(each) for each in walk] == [*walk[1:], ROOT]


@given(wire_names, wire_names)
def test_a_name_is_within_its_ancestors_only(name: bytes, other: bytes) -> None:
    assert is_within(name, other) == dns.name.from_wire(name, 0)[0].is_subdomain(
        dns.name.from_wire(other, 0)[0]
    )
    assert is_within(name, parent(name))


def test_is_within_needs_a_label_boundary() -> None:
    zone = from_text("cluster.local")
    assert is_within(from_text("a.cluster.local"), zone)
    assert not is_within(from_text("acluster.local"), zone)
    assert not is_within(b"\x0fx\x07cluster\x05local" + ROOT, zone)


@given(addresses)
def test_reverse_is_dnspythons_and_is_read_back(address: bytes) -> None:
    name = reverse(address)
    assert to_text(name) == dns.reversename.from_address(str(ipaddress.ip_address(address))).to_text()
    assert is_within(name, IN_ADDR if len(address) == 4 else IP6)
    assert address_in_reverse(name) == address


@pytest.mark.parametrize(
    "text",
    [
        *(".", "arpa", "in-addr.arpa", "ip6.arpa", "1.in-addr.arpa", "0.0.10.in-addr.arpa", "10.ip6.arpa"),
        *(
            "1.0.0.0.10.in-addr.arpa",
            "01.0.0.10.in-addr.arpa",
            "256.0.0.10.in-addr.arpa",
            "x.0.0.10.in-addr.arpa",
        ),
        *("-1.0.0.10.in-addr.arpa", "1.0.0.10.in-addr.example", "1.0.0.10.arpa", "1.0.0.10"),
        *(
            "0." * 31 + "ip6.arpa",
            "0." * 33 + "ip6.arpa",
            "0." * 8 + "ip6.arpa",
            "g." + "0." * 31 + "ip6.arpa",
        ),
        *("00." * 16 + "ip6.arpa", "0000." * 8 + "ip6.arpa", "0." * 10 + "ip6.arpa"),
    ],
)
def test_what_is_no_reverse_name_of_an_address_has_none(text: str) -> None:
    assert address_in_reverse(from_text(text)) is None


@given(wire_names)
def test_a_reverse_name_of_any_octets_is_an_addresss_or_none(name: bytes) -> None:
    for zone in (IN_ADDR, IP6):
        whole = name[:-1] + zone
        address = address_in_reverse(whole)
        assert address is None or (len(address) in (4, 16) and reverse(address) == whole)


@given(addresses)
def test_the_label_of_an_address_is_a_label_and_is_read_back(address: bytes) -> None:
    label = ip_label(address)
    assert set(label) <= set("0123456789abcdef-")
    assert len(label) <= MAX_LABEL
    assert address_in_label(label) == address


@pytest.mark.parametrize(
    ("label", "address"),
    [
        ("10-0-0-1", "10.0.0.1"),
        ("fd00--1", "fd00::1"),
        ("--", "::"),
        ("--1", "::1"),
        ("0-0-0-0-0-0-0-1", "::1"),
        ("FD00--1", "fd00::1"),
    ],
)
def test_addresses_in_labels(label: str, address: str) -> None:
    assert address_in_label(label) == ipaddress.ip_address(address).packed


@pytest.mark.parametrize(
    "label",
    [
        *(
            "",
            "-",
            "---",
            "10-0-0",
            "10-0-0-1-2",
            "10-0-0-256",
            "10-0-0-01",
            "10.0.0.1",
            "fd00::1",
            "1--2--3",
        ),
        *("fe80--1%eth0", "10-0-0-\xb2", "web", "g--1", "10-0-0-1 "),
    ],
)
def test_what_is_no_address_in_a_label(label: str) -> None:
    assert address_in_label(label) is None


@given(st.text(max_size=45) | st.from_regex(r"[0-9a-f-]{1,45}", fullmatch=True))
def test_any_label_is_an_address_or_none(label: str) -> None:
    assert address_in_label(label) is None or len(address_in_label(label) or b"") in (4, 16)


@given(addresses)
def test_ip_text_is_canonical(address: bytes) -> None:
    assert ip_text(address) == str(ipaddress.ip_address(ip_text(address)))
