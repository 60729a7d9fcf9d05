"""What the zones have by themselves, the names of the first releases, and both beside SkyDNS records."""

from functools import cache

import pytest

from skydns_py.cluster.objects import Kind, Record, Ref
from skydns_py.zone.settings import Pods
from tests.builders import Served, alias, headless, lines, service, slice_of
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim

# Each zone itself


@cache
def bare() -> Served:
    return Served()


APEX = [
    claim("the apex has the zone's name server", "@ NS", "NS ns.dns"),
    claim("which has the server's own address", "ns.dns A", "A 192.0.2.53"),
    claim("and no other", "ns.dns AAAA", NODATA),
    claim("what lies above the name server exists", "dns A", NODATA),
    claim("the apex has no address", "@ A", NODATA),
    claim("the version of the schema is told (2.2)", "dns-version TXT", 'TXT "1.1.0"'),
    claim("and is no host", "dns-version A", NODATA),
    claim("nothing else is there", "nosuch A", NXDOMAIN),
    claim("svc exists without any Service", "svc A", NODATA),
    claim("a reverse zone has the same name server", "in-addr.arpa. NS", "in-addr.arpa. NS ns.dns"),
]


@pytest.mark.parametrize("row", APEX, ids=lambda row: row.text)
def test_apex(row: Claim) -> None:
    check(bare(), row)


@pytest.mark.parametrize("apex", ["@", "in-addr.arpa.", "ip6.arpa."])
def test_each_zone_has_an_soa_whose_minimum_is_the_ttl(apex: str) -> None:
    (rrset,) = bare().ask(apex, "SOA").answer
    (soa,) = rrset
    assert (rrset.ttl, soa.minimum) == (5, 5)
    assert soa.mname.to_text() == "ns.dns.cluster.local."
    assert soa.rname.to_text() == "hostmaster.cluster.local."
    assert soa.serial > 0


def test_the_serial_of_every_zone_grows_with_a_change() -> None:
    served = Served()
    served.feed._publisher.publish(
        [], 2**32 - 1
    )  # the clock is the feed's: publish as it would at that second
    assert [served.ask(apex, "SOA").answer[0][0].serial for apex in ("@", "ip6.arpa.")] == [2**32 - 1] * 2
    assert served.ask("nosuch").authority[0][0].serial == 2**32 - 1


# Legacy names


@cache
def legacy() -> Served:
    return Served(
        service("web", "10.0.0.1 fd00::1", "http:80"),
        headless("db"),
        slice_of("db", "db-0=10.1.0.1 10.1.0.2!", "pg:5432"),
        headless("empty"),
        alias("out", "www.example.com."),
        service("unassigned", ""),
        service("my-ns", "10.0.0.2", ns="svc"),
        service("web", "10.0.0.3", ns="pod"),
        service("web", "10.0.0.4", ns="dns"),
        service("ns", "10.0.0.5", ns="dns"),
        service("web", "10.0.0.6", ns="dns-version"),
    )


LEGACY = [
    claim("a Service has its address under its name of old", "web.my-ns A", "A 10.0.0.1"),
    claim("of either family", "web.my-ns AAAA", "AAAA fd00::1"),
    claim("and nothing but addresses", "web.my-ns SRV", NODATA),
    claim("it has no ports there", "_http._tcp.web.my-ns SRV", NXDOMAIN),
    claim("a headless Service has its endpoints", "db.my-ns A", "A 10.1.0.1"),
    claim("which have no names there", "db-0.db.my-ns A", NXDOMAIN),
    claim("without endpoints it does not exist", "empty.my-ns A", NXDOMAIN),
    claim("an ExternalName is an alias there too", "out.my-ns A", "CNAME www.example.com."),
    claim("a Service without address exists", "unassigned.my-ns A", NODATA),
    claim("the namespace exists", "my-ns A", NODATA),
    claim("a namespace called svc says nothing about another", "my-ns.svc A", NODATA),
    claim("its Services have their names of today", "my-ns.svc.svc A", "A 10.0.0.2"),
    claim("a namespace called pod gets none", "web.pod A", NXDOMAIN),
    claim("its Services have their names of today, too", "web.pod.svc A", "A 10.0.0.3"),
    claim("a namespace called dns gets none", "web.dns A", NXDOMAIN),
    claim("nor takes the name server's", "ns.dns A", "A 192.0.2.53"),
    claim("a namespace called dns-version gets none", "web.dns-version A", NXDOMAIN),
]


@pytest.mark.parametrize("row", LEGACY, ids=lambda row: row.text)
def test_legacy(row: Claim) -> None:
    check(legacy(), row)


def test_the_names_of_old_can_be_switched_off() -> None:
    served = Served(service("web", "10.0.0.1"), legacy_names=False)
    assert served.ask("web.my-ns").rcode() == 3
    assert served.ask("my-ns").rcode() == 3
    assert served.ask("web.my-ns.svc").rcode() == 0


@pytest.mark.parametrize("mode", Pods)
def test_a_namespace_called_pod_has_no_names_of_old_in_any_mode(mode: Pods) -> None:
    assert Served(service("web", "10.0.0.1", ns="pod"), pods=mode).ask("web.pod").rcode() == 3


# Beside SkyDNS records


def test_a_service_keeps_its_answer_when_a_skydns_record_at_its_name_goes() -> None:
    record = Record("local/cluster/svc/my-ns/web/x", "10.9.9.9", port=80)
    served = Served(service("web", "10.0.0.1"), record)
    assert lines(served.ask("web.my-ns.svc").answer) == ["web.my-ns.svc A 10.0.0.1"]
    served.change(record.ref)
    assert lines(served.ask("web.my-ns.svc").answer) == ["web.my-ns.svc A 10.0.0.1"]
    assert served.ask("web.my-ns.svc", "SRV").answer == []
    assert served.ask("x.web.my-ns.svc").rcode() == 3


@pytest.mark.parametrize("question", ["@ NS", "ns.dns A", "dns-version TXT"])
def test_the_zone_keeps_its_own_names_when_the_last_skydns_record_goes(question: str) -> None:
    record = Record("local/cluster/dns/ns/x", "10.9.9.9")
    served = Served(record)
    served.change(Record("local/cluster/dns-version/x", text="mine"), record.ref)
    served.change(Ref(Kind.RECORD, "", "local/cluster/dns-version/x"))
    name, rdtype = question.split()
    assert lines(served.ask(name, rdtype).answer) == lines(bare().ask(name, rdtype).answer)


def test_an_alias_of_skydns_is_left_out_beside_a_services_address() -> None:
    served = Served(
        service("web", "10.0.0.1"), Record("local/cluster/svc/my-ns/web/x", "www.example.com", text="t")
    )
    assert served.ask("web.my-ns.svc", "CNAME").answer == []
    assert served.ask("web.my-ns.svc", "MX").answer == []
    assert lines(served.ask("web.my-ns.svc", "TXT").answer) == ['web.my-ns.svc TXT "t"']


def test_an_external_name_hides_skydns_records_of_any_type() -> None:
    served = Served(alias("out", "www.example.com."), Record("local/cluster/svc/my-ns/out/x", "10.9.9.9"))
    for rdtype in ("A", "SRV", "CNAME"):
        assert lines(served.ask("out.my-ns.svc", rdtype).answer) == ["out.my-ns.svc CNAME www.example.com."]


def test_the_name_server_never_becomes_an_alias() -> None:
    served = Served(Record("local/cluster/dns/ns/x", "www.example.com"))
    assert lines(served.ask("ns.dns").answer) == ["ns.dns A 192.0.2.53"]


def test_glue_of_a_services_srv_is_the_services_address() -> None:
    record = Record("local/cluster/svc/my-ns/web/x", "10.9.9.9", port=80, targetstrip=1)
    reply = Served(service("web", "10.0.0.1", "http:80"), record).ask("web.my-ns.svc", "SRV")
    assert lines(reply.answer) == ["web.my-ns.svc SRV 0 100 80 web.my-ns.svc"]
    assert lines(reply.additional) == ["web.my-ns.svc A 10.0.0.1"]
