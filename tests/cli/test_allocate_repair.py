"""``skydns repair`` against a real etcd."""

import base64
import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from skydns_py.cli import store
from skydns_py.cli.etcd_store import EtcdStore
from tests.cli.allocating import RESERVED, assert_exact, document, join, reserved, specs, stored
from tests.cli.conftest import Done, Registry, Run

NET = "10.96.0.0/29"
Repair = Callable[..., Done]


@pytest.fixture
def repair(skydns: Run, registry: Registry) -> Repair:
    """``skydns repair``, after the same with ``--dry-run`` has said as much and changed nothing."""

    def run(net: str = NET) -> Done:
        flags = ("--etcd", registry.url, "--portal-net", net)
        before = registry.revision()
        dry = skydns("repair", "--dry-run", *flags)
        assert registry.revision() == before
        assert dry.code == 0
        done = skydns("repair", *flags)
        said = [*done.out, *(line.removeprefix("skydns: ") for line in done.err)]
        assert [any(line.startswith(f"{what}, ") for line in said) for what in dry.out] == [True] * len(
            dry.out
        )
        return done

    return run


def reserve(registry: Registry, key: str, owner: str) -> None:
    registry.client.put(f"{RESERVED}{key}", owner)


def test_what_apply_leaves_needs_no_repair(skydns: Run, registry: Registry, repair: Repair) -> None:
    text = join(document("a", type="NodePort"), document("b"), document("c", clusterIP="None"))
    assert skydns("apply", "-f", "-", "--etcd", registry.url, "--portal-net", NET, stdin=text).code == 0
    done = repair()
    assert (done.code, done.out, done.err) == (0, [], [])


def test_leaks_are_released(registry: Registry, repair: Repair) -> None:
    stored(registry, "my-ns/web", clusterIP="10.96.0.1")
    reserve(registry, "portal/10.96.0.1", "my-ns/web")
    reserve(registry, "portal/10.96.0.2", "my-ns/web")
    reserve(registry, "portal/10.96.0.3", "my-ns/gone")
    reserve(registry, "nodeport/30000", "nonsense")
    reserve(registry, "portal/nonsense", "my-ns/web")
    done = repair()
    assert (done.code, done.err) == (0, [])
    assert sorted(done.out) == [
        "/registry.allocations/portal/nonsense is reserved for my-ns/web, which does not have it, released",
        "10.96.0.2 is reserved for my-ns/web, which does not have it, released",
        "10.96.0.3 is reserved for my-ns/gone, which does not have it, released",
        "node port 30000 is reserved for nonsense, which does not have it, released",
    ]
    assert_exact(registry)


def test_what_is_not_reserved_is_reserved_for_who_has_it(registry: Registry, repair: Repair) -> None:
    stored(registry, "my-ns/web", clusterIP="10.96.0.1", ports=[{"port": 80, "nodePort": 30080}])
    reserve(registry, "portal/10.96.0.1", "my-ns/other")
    done = repair()
    assert sorted(done.out) == [
        "10.96.0.1 is reserved for my-ns/other, but my-ns/web has it, reserved for that",
        "node port 30080 is not reserved, but my-ns/web has it, reserved for that",
    ]
    assert_exact(registry)
    assert repair().out == []


def test_of_two_services_with_one_address_the_older_keeps_it(registry: Registry, repair: Repair) -> None:
    stored(registry, "z-ns/older", clusterIP="10.96.0.1")
    stored(registry, "a-ns/younger", clusterIP="10.96.0.1", selector={"app": "x"})
    stored(
        registry, "z-ns/older", clusterIP="10.96.0.1", selector={"app": "y"}
    )  # a change makes it no younger
    reserve(registry, "portal/10.96.0.1", "a-ns/younger")
    done = repair()
    assert (done.code, done.err) == (0, [])
    found = specs(registry)
    assert found["z-ns/older"]["clusterIP"] == "10.96.0.1"
    new = found["a-ns/younger"]["clusterIP"]
    assert new != "10.96.0.1"
    assert ip_address(new) in ip_network(NET)
    assert found["a-ns/younger"]["selector"] == {"app": "x"}
    assert f"a-ns/younger shares 10.96.0.1 with z-ns/older, given {new}" in done.out
    assert_exact(registry)
    assert repair().out == []


def test_doubles_of_several_things_are_mended_in_their_places(registry: Registry, repair: Repair) -> None:
    ports = [
        {"name": "a", "port": 53, "nodePort": 30053},
        {"name": "b", "port": 53, "protocol": "UDP", "nodePort": 30053},
        {"name": "c", "port": 80, "nodePort": 30080},
    ]
    for name in ("one", "two", "three"):
        stored(
            registry,
            f"my-ns/{name}",
            clusterIP="fd00::5",
            clusterIPs=["fd00::5", "10.96.0.5"],
            type="LoadBalancer",
            externalTrafficPolicy="Local",
            healthCheckNodePort=30099,
            ports=[*ports[: 3 if name != "three" else 2]],
        )
    assert repair("10.96.0.0/29,fd00::/108").err == []
    for name in ("two", "three"):
        spec = specs(registry)[f"my-ns/{name}"]
        assert [ip_address(each).version for each in spec["clusterIPs"]] == [6, 4]
        assert spec["clusterIP"] == spec["clusterIPs"][0] != "fd00::5"
        assert spec["ports"][0]["nodePort"] == spec["ports"][1]["nodePort"] != 30053
        assert spec["healthCheckNodePort"] != 30099
    assert_exact(registry)


def test_a_v1beta1_double_stays_v1beta1(registry: Registry, repair: Repair) -> None:
    stored(registry, "my-ns/older", clusterIP="10.96.0.1")
    old = {"apiVersion": "v1beta1", "kind": "Service", "id": "web", "port": 80, "portalIP": "10.96.0.1"}
    registry.put("services/specs/default/web", json.dumps(old).encode())
    assert repair().code == 0
    document = registry.document("services/specs/default/web")
    assert document == {**old, "portalIP": document["portalIP"]}
    assert reserved(registry)[f"portal/{document['portalIP']}"] == "default/web"
    assert document["portalIP"] != "10.96.0.1"


def test_what_an_api_server_has_written_is_named_and_left_alone(registry: Registry, repair: Repair) -> None:
    lines = (Path(__file__).parents[1] / "data/kubernetes-1.36/registry.jsonl").read_text().splitlines()
    entries = {entry["key"]: base64.b64decode(entry["value"]) for entry in map(json.loads, lines)}
    key = "services/specs/default/kubernetes"
    stored(registry, "my-ns/older", clusterIP="10.96.0.1")
    registry.put(key, entries[f"/registry/{key}"])
    done = repair()
    assert registry.value(key) == entries[f"/registry/{key}"]
    what = "default/kubernetes shares 10.96.0.1 with my-ns/older"
    assert (done.code, done.err) == (1, [f"skydns: {what}, left alone: an API server has written it"])
    assert reserved(registry) == {"portal/10.96.0.1": "my-ns/older"}


def test_a_service_that_cannot_be_decoded_keeps_its_reservation(registry: Registry, repair: Repair) -> None:
    registry.put("services/specs/my-ns/broken", b"{")
    reserve(registry, "portal/10.96.0.1", "my-ns/broken")
    done = repair()
    assert (done.code, done.out) == (0, [])
    assert done.err == ["skydns: service/my-ns/broken cannot be decoded; what it has stays as it is"]
    assert reserved(registry) == {"portal/10.96.0.1": "my-ns/broken"}


def test_a_double_that_finds_nothing_free_is_named_with_exit_code_1(
    registry: Registry, repair: Repair
) -> None:
    for last in range(1, 7):
        stored(registry, f"my-ns/s{last}", clusterIP=f"10.96.0.{last}")
    stored(registry, "my-ns/younger", clusterIP="10.96.0.1")
    done = repair()
    assert done.code == 1
    assert done.err == [
        "skydns: my-ns/younger shares 10.96.0.1 with my-ns/s1, left alone: portal_net: none of its 6 IPv4 "
        "addresses is free; widen it"
    ]
    assert len(reserved(registry)) == 6


def test_a_service_changed_since_the_survey_is_looked_at_again(
    registry: Registry, skydns: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(registry, "my-ns/web", clusterIP="10.96.0.1")
    reserve(registry, "portal/10.96.0.2", "my-ns/web")
    real, changed = EtcdStore.write, []

    def contested(self: EtcdStore, changes: list[store.Change], unchanged: dict[str, int]) -> bool:
        if not changed:
            changed.append(stored(registry, "my-ns/web", clusterIP="10.96.0.2"))
        return real(self, changes, unchanged)

    monkeypatch.setattr(EtcdStore, "write", contested)
    done = skydns("repair", "--etcd", registry.url, "--portal-net", NET)
    assert (done.code, done.out, done.err) == (0, [], [])
    assert_exact(registry)


def test_repair_needs_a_net(skydns: Run) -> None:
    done = skydns("repair")
    assert (done.code, done.out) == (2, [])
    assert done.err == ["skydns: repair needs --portal-net CIDR, or source.etcd.portal_net in -c FILE"]


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        ("10.0.0.1/24", "'10.0.0.1/24' names one address of a network; write 10.0.0.0/24"),
        ("10.0.0.0/31", "10.0.0.0/31 has no address to give: the first and the last are never used"),
        ("10.0.0.0/24,10.1.0.0/24", "'10.0.0.0/24,10.1.0.0/24' has two networks of one family; "
         "give one IPv4 and one IPv6 network"),
        ("web", "'web' is not a network, as in 10.1.2.0/24"),
    ],
)  # fmt: skip
def test_a_bad_net_is_refused_by_its_flag(skydns: Run, net: str, reason: str) -> None:
    done = skydns("repair", "--portal-net", net)
    assert (done.code, done.err) == (2, [f"skydns: --portal-net: {reason}"])
