"""``skydns env`` against a real etcd: now, as of a revision, and what became of that revision."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from etcd3 import etcdrpc

from skydns_py.cli import env_source
from skydns_py.cli.etcd_store import EtcdStore
from skydns_py.sources.listwatch import ListPage
from tests.cli.conftest import Done, Registry, Run
from tests.cli.samples import stored
from tests.etcd_server import EtcdServer

DATA = Path(__file__).parents[1] / "data" / "kubernetes-1.36" / "registry.jsonl"
FUTURE = 2**40


def put(registry: Registry, name: str, address: str, port: int = 80, *, ns: str = "my-ns") -> int:
    """Write a Service; the revision it is there from."""
    document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": ns},
        "spec": {"clusterIP": address, "ports": [{"port": port}]},
    }
    registry.put(f"services/specs/{ns}/{name}", stored(document))
    return registry.revision()


def remove(registry: Registry, name: str) -> int:
    registry.client.delete(f"/registry/services/specs/my-ns/{name}")
    return registry.revision()


def env(skydns: Run, registry: Registry, *arguments: str, ns: str = "my-ns") -> Done:
    return skydns("env", "-n", ns, "--etcd", registry.url, *arguments)


def hosts(done: Done) -> dict[str, str]:
    """Of each Service its first variable, from a Docker env-file."""
    assert (done.code, done.err) == (0, [])
    pairs = (line.split("=") for line in done.out)
    return {name.removesuffix("_SERVICE_HOST"): value for name, value in pairs if name.endswith("_HOST")}


def test_etcd_holds_what_a_new_pod_gets(skydns: Run, registry: Registry) -> None:
    put(registry, "redis-master", "10.0.0.11", 6379)
    put(registry, "kubernetes", "10.0.0.1", 443, ns="default")
    put(registry, "web", "10.0.0.12", ns="other-ns")
    done = env(skydns, registry, "-o", "docker")
    assert hosts(done) == {"KUBERNETES": "10.0.0.1", "REDIS_MASTER": "10.0.0.11"}
    assert done.out[7:] == [
        "REDIS_MASTER_SERVICE_HOST=10.0.0.11",
        "REDIS_MASTER_SERVICE_PORT=6379",
        "REDIS_MASTER_PORT=tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379",
        "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
        "REDIS_MASTER_PORT_6379_TCP_PORT=6379",
        "REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11",
    ]


def test_what_an_api_server_has_written_is_read_as_well(skydns: Run, registry: Registry) -> None:
    for line in DATA.read_text().splitlines():
        entry = json.loads(line)
        registry.put(entry["key"].removeprefix("/registry/"), base64.b64decode(entry["value"]))
    found = hosts(env(skydns, registry, "-o", "docker", "--no-links", ns="kube-system"))
    assert list(found) == ["KUBERNETES"]


def test_a_key_of_the_earliest_releases_is_in_default(skydns: Run, registry: Registry) -> None:
    old = {"kind": "Service", "apiVersion": "v1beta1", "id": "web", "port": 80, "portalIP": "10.0.0.4"}
    registry.put("services/specs/web", stored(old))
    assert hosts(env(skydns, registry, "-o", "docker", ns="default")) == {"WEB": "10.0.0.4"}


def test_each_revision_gives_what_a_pod_got_then(skydns: Run, registry: Registry) -> None:
    before = registry.revision()
    first = put(registry, "a", "10.0.0.1")
    second = put(registry, "b", "10.0.0.2")
    third = put(registry, "a", "10.0.0.3")
    fourth = remove(registry, "b")
    assert before < first < second < third < fourth
    then = {
        before: {},
        first: {"A": "10.0.0.1"},
        second: {"A": "10.0.0.1", "B": "10.0.0.2"},
        third: {"A": "10.0.0.3", "B": "10.0.0.2"},
        fourth: {"A": "10.0.0.3"},
    }
    for revision, expected in then.items():
        assert hosts(env(skydns, registry, "-o", "docker", "--as-of", str(revision))) == expected
    assert hosts(env(skydns, registry, "-o", "docker")) == then[fourth]


@pytest.mark.parametrize("page", [1, 2, 500])
def test_many_pages_make_one_list(
    skydns: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(env_source, "PAGE", page)
    for number in range(1, 6):
        put(registry, f"s{number}", f"10.0.0.{number}")
    assert hosts(env(skydns, registry, "-o", "docker")) == {f"S{n}": f"10.0.0.{n}" for n in range(1, 6)}


@pytest.fixture
def disturbed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Pages of one key; after the first, what is called here happens."""
    happens: list[Any] = []
    page = EtcdStore.page

    def and_then(self: EtcdStore, wanted: ListPage) -> Any:
        found = page(self, wanted)
        while happens:
            happens.pop()()
        return found

    monkeypatch.setattr(env_source, "PAGE", 1)
    monkeypatch.setattr(EtcdStore, "page", and_then)
    return happens


def test_a_list_is_of_one_moment_whatever_changes_meanwhile(
    skydns: Run, registry: Registry, disturbed: list[Any]
) -> None:
    put(registry, "a", "10.0.0.1")
    put(registry, "b", "10.0.0.2")
    disturbed.append(lambda: (remove(registry, "b"), put(registry, "c", "10.0.0.3")))
    assert hosts(env(skydns, registry, "-o", "docker")) == {"A": "10.0.0.1", "B": "10.0.0.2"}
    assert disturbed == []


def test_a_compaction_in_the_middle_of_a_list_is_told(
    skydns: Run, registry: Registry, etcd_server: EtcdServer, disturbed: list[Any]
) -> None:
    put(registry, "a", "10.0.0.1")
    put(registry, "b", "10.0.0.2")
    disturbed.append(lambda: (put(registry, "c", "10.0.0.3"), etcd_server.compact(registry.client)))
    done = env(skydns, registry)
    assert (done.code, done.out) == (1, [])
    assert done.err == ["skydns: etcd was compacted while it was listed; run the command again"]


def test_a_compacted_revision_is_refused_and_the_oldest_left_is_not(
    skydns: Run, registry: Registry, etcd_server: EtcdServer
) -> None:
    gone = put(registry, "a", "10.0.0.1")
    put(registry, "b", "10.0.0.2")
    oldest = etcd_server.compact(registry.client)
    newest = put(registry, "c", "10.0.0.3")
    done = env(skydns, registry, "--as-of", str(gone))
    instead = f"give a later one, up to {newest}, or what the pod has with --diff FILE"
    assert (done.code, done.out) == (2, [])
    assert done.err == [f"skydns: --as-of: etcd has compacted revision {gone} away; {instead}"]
    found = env(skydns, registry, "-o", "docker", "--as-of", str(oldest))
    assert hosts(found) == {"A": "10.0.0.1", "B": "10.0.0.2"}


@pytest.mark.parametrize("revision", [FUTURE, 2**63 - 1])
def test_a_revision_to_come_is_refused(skydns: Run, registry: Registry, revision: int) -> None:
    newest = put(registry, "a", "10.0.0.1")
    done = env(skydns, registry, "--as-of", str(revision))
    expected = f"skydns: --as-of: {revision} is yet to come: etcd is at {newest}; give no more"
    assert (done.code, done.out, done.err) == (2, [], [expected])


def test_what_cannot_be_decoded_is_named_where_the_pod_would_see_it(skydns: Run, registry: Registry) -> None:
    put(registry, "a", "10.0.0.1")
    registry.put("services/specs/my-ns/broken", b"{")
    registry.put("services/specs/other-ns/broken", b"{")
    revision = registry.revision()
    done = env(skydns, registry, "-o", "docker")
    assert (done.code, done.out[0]) == (1, "A_SERVICE_HOST=10.0.0.1")
    assert len(done.err) == 1
    assert done.err[0].startswith("skydns: service/my-ns/broken: is not JSON: ")
    then = env(skydns, registry, "--as-of", str(revision))
    assert then.err[0].startswith(f"skydns: at revision {revision}: service/my-ns/broken: is not JSON: ")


def test_a_namespace_is_looked_for_at_the_revision_asked_for(skydns: Run, registry: Registry) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace"}
    registry.put("namespaces/default", stored({**namespace, "metadata": {"name": "default"}}))
    before = registry.revision()
    registry.put("namespaces/new", stored({**namespace, "metadata": {"name": "new"}}))
    assert hosts(env(skydns, registry, "-o", "docker", ns="new")) == {}
    then = env(skydns, registry, "--as-of", str(before), ns="new")
    expected = f"skydns: --namespace: no 'new' is at revision {before}; there are default"
    assert (then.code, then.out, then.err) == (2, [], [expected])


def test_without_namespace_objects_any_namespace_may_be_one(skydns: Run, registry: Registry) -> None:
    put(registry, "a", "10.0.0.1")
    assert hosts(env(skydns, registry, "-o", "docker", ns="no-such")) == {}


def test_an_etcd_that_is_not_there_is_one_line(skydns: Run) -> None:
    done = skydns("env", "-n", "a", "--etcd", "http://127.0.0.1:1")
    assert (done.code, done.out, len(done.err)) == (1, [], 1)
    assert done.err[0].startswith("skydns: etcd at http://127.0.0.1:1 cannot be reached: ")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd with authentication, whose user ``poor`` may read nothing."""
    with EtcdServer(tmp_path / "guarded", "--bcrypt-cost=4") as server:
        with server.client() as client:
            stub = client.authstub
            for user, role in (("root", "root"), ("poor", "none")):
                stub.UserAdd(etcdrpc.AuthUserAddRequest(name=user, password="secret"))
                stub.RoleAdd(etcdrpc.AuthRoleAddRequest(name=role))
                stub.UserGrantRole(etcdrpc.AuthUserGrantRoleRequest(user=user, role=role))
            stub.AuthEnable(etcdrpc.AuthEnableRequest())
        yield server


def test_an_etcd_that_lets_nobody_read_services_is_one_line(
    skydns: Run, guarded: EtcdServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("secret\n")
    etcd = {"endpoints": [guarded.url], "username": "poor", "password_file": str(tmp_path / "password")}
    (tmp_path / "skydns.yaml").write_text(json.dumps({"source": {"etcd": etcd}}))
    done = skydns("env", "-n", "a", "-c", str(tmp_path / "skydns.yaml"))
    expected = f"skydns: etcd at {guarded.url} forbids user 'poor' to read: grant it the prefixes"
    assert (done.code, done.out, done.err) == (1, [], [expected])
