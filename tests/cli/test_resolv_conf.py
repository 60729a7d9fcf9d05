"""A pod's resolv.conf."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import Run

Write = Callable[[str, str], str]


def test_the_search_path_is_the_namespaces(skydns: Run) -> None:
    done = skydns("resolv-conf", "-n", "my-ns", "--nameserver", "10.0.0.10", "--nameserver", "FD00::0A")
    assert done.code == 0
    assert done.out == [
        "search my-ns.svc.cluster.local svc.cluster.local cluster.local",
        "nameserver 10.0.0.10",
        "nameserver fd00::a",
        "options ndots:5",
    ]
    assert done.err == []


def test_no_nameserver_is_made_up(skydns: Run) -> None:
    done = skydns("resolv-conf", "-n", "my-ns", "--zone", "Example.Org.")
    assert done.code == 0
    assert done.out == ["search my-ns.svc.example.org svc.example.org example.org", "options ndots:5"]
    assert done.err == ["skydns: no nameserver line: give --nameserver IP"]


def test_the_listen_addresses_that_a_pod_can_use_are_its_nameservers(skydns: Run, manifest: Write) -> None:
    useless = '"0.0.0.0:53", "[::]:53", "127.0.0.1:53", "[::1]:53", "192.0.2.7:5353"'
    listen = f'[{useless}, "192.0.2.8:53", "[2001:db8::8]:53"]'
    done = skydns("resolv-conf", "-n", "a", "-c", manifest("s.yaml", f"zone: k.example\nlisten: {listen}\n"))
    assert done.out == [
        "search a.svc.k.example svc.k.example k.example",
        "nameserver 192.0.2.8",
        "nameserver 2001:db8::8",
        "options ndots:5",
    ]


def test_a_resolver_gets_no_more_nameservers_than_it_reads(skydns: Run, manifest: Write) -> None:
    many = ", ".join(f'"192.0.2.{number}:53"' for number in range(1, 6))
    done = skydns("resolv-conf", "-n", "a", "-c", manifest("s.yaml", f"listen: [{many}]"))
    assert [line for line in done.out if line.startswith("nameserver")] == [
        f"nameserver 192.0.2.{number}" for number in (1, 2, 3)
    ]


RULE = "at most 63 of a-z, 0-9 and '-', the ends no '-'"
LONG = "b." * 60 + "b"
NO_ROOM = "which leaves no room for names"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-n", "My-NS"], f"--namespace: 'My-NS' is not a namespace: {RULE}"),
        (["-n", "a.b"], f"--namespace: 'a.b' is not a namespace: {RULE}"),
        (["-n", "a\nb"], f"--namespace: 'a\\nb' is not a namespace: {RULE}"),
        (["-n", "a", "--zone", "-"], "--zone: '-' is not a domain name"),
        (["-n", "a", "--nameserver", "ns.example"],
         "--nameserver: 'ns.example' is not an IP address; names are not looked up here"),
        (["-n", "a", *["--nameserver=1.1.1.1"] * 4],
         "--nameserver: a resolver reads 3 of them; give no more"),
        (["-n", "a", "--zone", LONG], f"--zone: '{LONG}' is longer than 120 octets, {NO_ROOM}"),
    ],
)  # fmt: skip
def test_what_cannot_stand_in_the_file_is_refused(skydns: Run, arguments: list[str], expected: str) -> None:
    done = skydns("resolv-conf", *arguments)
    assert (done.code, done.out, done.err) == (2, [], [f"skydns: {expected}"])
