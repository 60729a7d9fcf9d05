"""Pod records in each of the three modes, and the names of namespaces."""

from functools import cache

import pytest

from skydns_py.cluster.objects import Kind, Namespace, Record, Ref
from skydns_py.zone.settings import Pods
from tests.builders import Served, lines, pod, service
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim


@cache
def cluster(mode: Pods) -> Served:
    return Served(
        Namespace("my-ns"),
        Namespace("bare"),
        service("web", "10.0.0.1", ns="implied"),
        pod("a", "10.1.0.1 fd00::1"),
        pod("finished", "10.1.0.2", finished=True),
        pod("on-node", "192.0.2.1", host_network=True),
        pod("on-node-too", "192.0.2.1", host_network=True),
        pod("twin", "10.1.0.3"),
        pod("twin", "10.1.0.3", ns="other"),
        pod("pending", ""),
        pod("inside", "10.1.0.4", ns="implied"),
        pods=mode,
    )


NAMESPACES = [
    claim("a namespace without a Service exists", "bare.svc A", NODATA),
    claim("a namespace that only a Service implies does too", "implied.svc A", NODATA),
    claim("another does not", "nosuch.svc A", NXDOMAIN),
    claim("svc itself exists", "svc A", NODATA),
]

VERIFIED = [
    claim("a pod has its IPv4 address", "10-1-0-1.my-ns.pod A", "A 10.1.0.1"),
    claim("under which it has no IPv6 one", "10-1-0-1.my-ns.pod AAAA", NODATA),
    claim("it has its IPv6 address", "fd00--1.my-ns.pod AAAA", "AAAA fd00::1"),
    claim("in its canonical form only", "fd00-0-0-0-0-0-0-1.my-ns.pod AAAA", NXDOMAIN),
    claim("in its namespace only", "10-1-0-1.bare.pod A", NXDOMAIN),
    claim("a finished pod has none", "10-1-0-2.my-ns.pod A", NXDOMAIN),
    claim("pods on the host's network have the host's", "192-0-2-1.my-ns.pod A", "A 192.0.2.1"),
    claim("two pods with one address have it each, here", "10-1-0-3.my-ns.pod A", "A 10.1.0.3"),
    claim("and there", "10-1-0-3.other.pod A", "A 10.1.0.3"),
    claim("an address without a pod has no name", "10-9-9-9.my-ns.pod A", NXDOMAIN),
    claim("a pod's name is no name", "a.my-ns.pod A", NXDOMAIN),
    claim("nothing exists below a pod", "x.10-1-0-1.my-ns.pod A", NXDOMAIN),
    claim("a namespace without pods exists", "bare.pod A", NODATA),
    claim("a namespace that a pod implies exists", "implied.pod A", NODATA),
    claim("pod itself exists", "pod A", NODATA),
]

INSECURE = [
    claim("any IPv4 address has a name", "10-9-9-9.my-ns.pod A", "A 10.9.9.9"),
    claim("with one family", "10-9-9-9.my-ns.pod AAAA", NODATA),
    claim("any IPv6 address has", "2001-db8--7.my-ns.pod AAAA", "AAAA 2001:db8::7"),
    claim("in any form", "2001-db8-0-0-0-0-0-7.my-ns.pod AAAA", "AAAA 2001:db8::7"),
    claim("in namespaces that exist", "10-9-9-9.nosuch.pod A", NXDOMAIN),
    claim("also without pods", "10-9-9-9.bare.pod A", "A 10.9.9.9"),
    claim("what is no address has none", "10-9-9.my-ns.pod A", NXDOMAIN),
    claim("nor has an octet out of range", "10-9-9-256.my-ns.pod A", NXDOMAIN),
    claim("nor an address with dots in one label", r"10\.9\.9\.9.my-ns.pod A", NXDOMAIN),
    claim("nor one with an IPv6 zone", "fe80--1%eth0.my-ns.pod AAAA", NXDOMAIN),
    claim("nothing exists below a pod", "x.10-9-9-9.my-ns.pod A", NXDOMAIN),
    claim("the namespace exists", "bare.pod A", NODATA),
]

DISABLED = [
    claim("there are no pods", "10-1-0-1.my-ns.pod A", NXDOMAIN),
    claim("nor their namespaces", "my-ns.pod A", NXDOMAIN),
    claim("nor pod itself", "pod A", NXDOMAIN),
]

ROWS = [
    *((mode, row) for mode in Pods for row in NAMESPACES),
    *((Pods.VERIFIED, row) for row in VERIFIED),
    *((Pods.INSECURE, row) for row in INSECURE),
    *((Pods.DISABLED, row) for row in DISABLED),
]


@pytest.mark.parametrize(("mode", "row"), ROWS, ids=[f"{mode.value}: {row.text}" for mode, row in ROWS])
def test_pods(mode: Pods, row: Claim) -> None:
    check(cluster(mode), row)


def test_a_pod_that_finishes_leaves_and_one_that_moves_takes_its_name_along() -> None:
    served = Served(pod("a", "10.1.0.1"), pod("b", "10.1.0.2"))
    served.change(pod("a", "10.1.0.1", finished=True), pod("b", "10.1.0.3"))
    rcodes = [served.ask(f"10-1-0-{last}.my-ns.pod").rcode() for last in (1, 2, 3)]
    assert rcodes == [3, 3, 0]


def test_of_two_pods_with_one_address_the_last_to_go_takes_the_name_along() -> None:
    served = Served(pod("a", "10.1.0.1"), pod("b", "10.1.0.1"))
    served.change(Ref(Kind.POD, "my-ns", "a"))
    assert served.ask("10-1-0-1.my-ns.pod").rcode() == 0
    served.change(Ref(Kind.POD, "my-ns", "b"))
    assert served.ask("10-1-0-1.my-ns.pod").rcode() == 3
    assert served.ask("my-ns.pod").rcode() == 3


def test_insecure_names_come_and_go_with_their_namespace() -> None:
    served = Served(pods=Pods.INSECURE)
    assert served.ask("10-1-0-1.my-ns.pod").rcode() == 3
    served.change(Namespace("my-ns"))
    assert served.ask("10-1-0-1.my-ns.pod").rcode() == 0
    served.change(Ref(Kind.NAMESPACE, "", "my-ns"))
    assert served.ask("10-1-0-1.my-ns.pod").rcode() == 3


def test_a_skydns_record_hides_an_insecure_pod_however_the_two_came() -> None:
    record = Record("local/cluster/pod/my-ns/10-1-0-1", "10.9.9.9")
    served = Served(record, pods=Pods.INSECURE)
    for step in (Namespace("my-ns"), Ref(Kind.NAMESPACE, "", "my-ns"), Namespace("my-ns")):
        assert lines(served.ask("10-1-0-1.my-ns.pod").answer) == ["10-1-0-1.my-ns.pod A 10.9.9.9"]
        served.change(step)
    afresh = Served(Namespace("my-ns"), record, pods=Pods.INSECURE)
    for each in (served, afresh):
        assert lines(each.ask("10-1-0-1.my-ns.pod").answer) == ["10-1-0-1.my-ns.pod A 10.9.9.9"]
    served.change(record.ref)
    assert lines(served.ask("10-1-0-1.my-ns.pod").answer) == ["10-1-0-1.my-ns.pod A 10.1.0.1"]
