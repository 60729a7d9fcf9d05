"""Portal addresses and node ports for manifests: a folder, looked at by several processes, over restarts."""

import fcntl
import json
import os
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from skydns_py.cluster.objects import Kind, Ref, Removal, Service, Upsert
from skydns_py.settings import ManifestSource
from skydns_py.settings_text import parse_portal_net
from skydns_py.sources import manifest_addresses
from skydns_py.sources.manifests import Look, Shelf

NET = "10.0.0.0/24"


def document(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"ports": [{"name": "http", "port": 80}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }


def write(folder: Path, name: str, *documents: dict[str, Any]) -> None:
    """In one step, and long ago, so that it counts as whole."""
    draft = folder / f".{name}"
    draft.write_text(yaml.safe_dump_all(documents))
    os.utime(draft, (1e9, 1e9 + len(os.listdir(folder)) + draft.stat().st_size))
    draft.rename(folder / f"{name}.yaml")


class Follower:
    """One process's view: a shelf, and what it has been told."""

    def __init__(self, folder: Path, net: str = NET, state: Path | None = None) -> None:
        self.shelf = Shelf(ManifestSource(str(folder), parse_portal_net(net), state=str(state or "")))
        self.services: dict[str, Service] = {}

    def look(self) -> Look:
        look = self.shelf.look()
        for event in look.events:
            if isinstance(event, Removal):
                del self.services[event.ref.name]
            elif isinstance(event, Upsert) and isinstance(event.obj, Service):
                self.services[event.obj.name] = event.obj
        return look

    def addresses(self) -> dict[str, str]:
        self.look()
        return {
            name: str(ip_address(each.addresses[0])) for name, each in self.services.items() if each.addresses
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "demo"
    made.mkdir()
    return made


def test_services_without_an_address_get_one_and_others_do_not(folder: Path) -> None:
    write(
        folder,
        "all",
        document("web"),
        document("named", clusterIP="10.0.0.7"),
        document("headless", clusterIP="None"),
        document("outside", type="ExternalName", externalName="db.example"),
    )
    follower = Follower(folder)
    found = follower.addresses()
    assert sorted(found) == ["named", "web"]
    assert found["named"] == "10.0.0.7"
    assert ip_address(found["web"]) in ip_network(NET)
    assert {name: each.headless for name, each in follower.services.items()}["headless"]


def test_without_a_net_nothing_is_given(folder: Path) -> None:
    write(folder, "web", document("web", type="NodePort"))
    follower = Follower(folder, net="")
    assert follower.addresses() == {}
    assert follower.services["web"].ports[0].node_port == 0


def test_node_ports_are_given_by_type_in_v1_and_v1beta1_and_in_lists(folder: Path) -> None:
    old = {"apiVersion": "v1beta1", "kind": "Service", "id": "old", "namespace": "shop", "port": 80}
    write(folder, "b", {**old, "createExternalLoadBalancer": True}, document("plain"))
    write(folder, "a", {"apiVersion": "v1", "kind": "List", "items": [document("np", type="NodePort")]})
    items = [
        {
            key: value
            for key, value in document("lb", type="LoadBalancer").items()
            if key in ("metadata", "spec")
        }
    ]
    write(folder, "c", {"apiVersion": "v1", "kind": "ServiceList", "items": items})
    follower = Follower(folder)
    follower.look()
    ports = {name: each.ports[0].node_port for name, each in follower.services.items()}
    assert ports["plain"] == 0
    given = [ports[name] for name in ("old", "np", "lb")]
    assert len(set(given)) == 3
    assert all(30000 <= port <= 32767 for port in given)


def test_a_dual_net_gives_what_the_service_asks_for(folder: Path) -> None:
    write(folder, "a", document("one"), document("both", ipFamilyPolicy="PreferDualStack"))
    follower = Follower(folder, net=f"{NET},fd00::/108")
    follower.look()
    lengths = {name: [len(each) for each in found.addresses] for name, found in follower.services.items()}
    assert lengths == {"one": [4], "both": [4, 16]}


def test_every_follower_gives_the_same_whenever_it_began_and_after_a_restart(folder: Path) -> None:
    early = Follower(folder, net="10.0.0.0/26")
    for number in range(40):
        write(folder, f"f{number * 7 % 40}", document(f"s{number * 7 % 40}", type="NodePort"))
        early.look()
    for gone in (3, 14, 15):
        (folder / f"f{gone}.yaml").unlink()
    assert len(early.addresses()) == 37
    late = Follower(folder, net="10.0.0.0/26")
    late.look()
    assert late.services == early.services
    script = (
        "import sys\n"
        "from skydns_py.settings import ManifestSource\n"
        "from skydns_py.settings_text import parse_portal_net\n"
        "from skydns_py.sources.manifests import Shelf\n"
        "s = Shelf(ManifestSource(sys.argv[1], parse_portal_net('10.0.0.0/26')))\n"
        "print(sorted((e.obj.name, e.obj.addresses[0].hex()) for e in s.look().events))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert other.stdout.strip() == str(
        sorted((name, each.addresses[0].hex()) for name, each in early.services.items())
    )


def test_an_address_that_a_manifest_names_is_never_given_and_one_given_makes_way(folder: Path) -> None:
    write(folder, "web", document("web"))
    follower = Follower(folder)
    first = follower.addresses()["web"]
    write(folder, "late", document("late", clusterIP=first))
    found = follower.addresses()
    assert found["late"] == first
    assert found["web"] != first
    (folder / "late.yaml").unlink()
    assert follower.addresses() == {"web": first}


def test_only_what_changed_is_told(folder: Path) -> None:
    for number in range(10):
        write(folder, f"f{number}", document(f"s{number}"))
    follower = Follower(folder, net="10.0.0.0/16")
    assert len(follower.look().events) == 10
    write(folder, "f3", document("s3", selector={"a": "b"}))
    assert [event.obj.ref for event in follower.look().events if isinstance(event, Upsert)] == [
        Ref(Kind.SERVICE, "shop", "s3")
    ]


def test_what_cannot_be_given_is_told_once_with_its_place(folder: Path) -> None:
    write(folder, "a", *(document(f"s{number}") for number in range(7)), document("six", ipFamilies=["IPv6"]))
    follower = Follower(folder, net="10.0.0.0/29")
    refusals = follower.look().refusals
    assert [refusal.reason for refusal in refusals] == [
        "portal_net: none of its 6 IPv4 addresses is free; widen it",
        "spec.ipFamilies: asks for IPv6, which portal_net lacks",
    ]
    places = [refusal.where.rpartition(" (")[2] for refusal in refusals]
    assert places[1] == "document 8)"
    assert len(follower.addresses()) == 6
    assert len(follower.services) == 8
    write(folder, "b", document("s9"))
    assert [refusal.where for refusal in follower.look().refusals if "document 8" in refusal.where] == []


def test_a_family_that_makes_no_sense_is_refused_and_the_service_stays(folder: Path) -> None:
    write(folder, "a", document("web", ipFamilies="IPv4"))
    follower = Follower(folder)
    assert [refusal.reason for refusal in follower.look().refusals] == [
        "spec.ipFamilies: must be a list of IPv4 and IPv6"
    ]
    assert len(follower.services["web"].addresses) == 1


# The state file


def test_with_a_state_file_nobody_moves_when_others_come_and_go(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    follower = Follower(folder, net="10.0.0.0/26", state=state)
    before: dict[str, str] = {}
    for number in range(60):
        write(folder, f"f{number}", document(f"s{number * 7 % 60}"))
        if number % 4 == 3:
            (folder / f"f{number - 2}.yaml").unlink()
        if number % 10 == 9:
            follower = Follower(folder, net="10.0.0.0/26", state=state)  # a restart
        found = follower.addresses()
        assert {name: before[name] for name in found if name in before} == {
            name: address for name, address in found.items() if name in before
        }
        assert len(set(found.values())) == len(found)
        before = found
    assert sorted(json.loads(state.read_text())) == sorted(f"shop/{name}" for name in before)


def test_followers_that_share_a_state_file_agree(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    followers = [Follower(folder, net="10.0.0.0/27", state=state) for _ in range(3)]
    for number in range(25):
        write(folder, f"f{number}", document(f"s{number * 7 % 25}", type="NodePort"))
        followers[number % 3].look()
    first, *others = followers
    first.look()
    for each in others:
        each.look()
        assert each.services == first.services


def test_a_state_that_cannot_be_used_is_told_and_addresses_are_given_all_the_same(
    folder: Path, tmp_path: Path
) -> None:
    write(folder, "a", document("web"))
    plain = Follower(folder).addresses()
    for name, text in (
        ("a", "{"),
        ("b", "[]"),
        ("c", '{"shop/web": 7}'),
        ("d", '{"shop/web": {"addresses": ["x"]}}'),
    ):
        state = tmp_path / name
        state.write_text(text)
        follower = Follower(folder, state=state)
        (refusal,) = follower.look().refusals
        assert refusal.where == str(state)
        assert refusal.reason.startswith("cannot be used: ")
        assert "remove the file" in refusal.reason
        assert follower.addresses() == plain
        assert state.read_text() == text
    missing = Follower(folder, state=tmp_path / "no" / "state")
    assert "No such file or directory" in missing.look().refusals[0].reason
    assert missing.addresses() == plain


def test_a_lock_that_somebody_keeps_does_not_stop_the_server(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_addresses, "LOCK_SECONDS", 0.05)
    write(folder, "a", document("web"))
    state = tmp_path / "state"
    with open(f"{state}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        follower = Follower(folder, state=state)
        assert "is held by another process" in follower.look().refusals[0].reason
        assert len(follower.services["web"].addresses) == 1


def test_a_read_only_folder_is_enough(folder: Path, tmp_path: Path) -> None:
    write(folder, "a", document("web"))
    before = sorted(os.listdir(folder))
    Follower(folder).addresses()
    Follower(folder, state=tmp_path / "state").addresses()
    assert sorted(os.listdir(folder)) == before
