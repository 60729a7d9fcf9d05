"""``skydns env`` from the Kubernetes API: now, as of a resourceVersion, and what can go wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.ports import free_port
from skydns_py.cli import env_api
from tests.cli.conftest import Done, Run
from tests.kube_api import KubeApi
from tests.sources.kubernetes_following import kubeconfig


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as made:
        put(made, "kubernetes", "10.96.0.1", namespace="default")
        put(made, "other", "10.96.0.2", namespace="default")
        put(made, "web", "10.96.0.3")
        yield made


def put(api: KubeApi, name: str, address: str, port: int = 80, namespace: str = "my-ns") -> int:
    """Write a Service; the revision it is there from."""
    spec = {"clusterIP": address, "ports": [{"port": port}]}
    meta = {"name": name, "namespace": namespace}
    api.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    return api.store.revision


@pytest.fixture
def path(api: KubeApi, tmp_path: Path) -> str:
    return kubeconfig(tmp_path, api.access)


def hosts(done: Done) -> dict[str, str]:
    assert (done.code, done.err) == (0, [])
    pairs = (line.split("=") for line in done.out)
    return {name.removesuffix("_SERVICE_HOST"): value for name, value in pairs if name.endswith("_HOST")}


def test_the_api_has_what_a_new_pod_gets(skydns: Run, path: str) -> None:
    done = skydns("env", "-n", "my-ns", "--kubeconfig", path, "-o", "docker")
    assert hosts(done) == {"KUBERNETES": "10.96.0.1", "WEB": "10.96.0.3"}
    in_default = skydns("env", "-n", "default", "--kubeconfig", path, "-o", "docker")
    assert hosts(in_default) == {"KUBERNETES": "10.96.0.1", "OTHER": "10.96.0.2"}


def test_each_revision_gives_what_a_pod_got_then(skydns: Run, api: KubeApi, path: str) -> None:
    first = put(api, "web", "10.96.0.8")
    second = put(api, "db", "10.96.0.9")
    api.remove("v1", "Service", "my-ns", "db")
    words = ("env", "-n", "my-ns", "--kubeconfig", path, "-o", "docker")
    assert hosts(skydns(*words, "--no-links")) == {"KUBERNETES": "10.96.0.1"}
    assert hosts(skydns(*words, "--as-of", str(first - 1)))["WEB"] == "10.96.0.3"
    assert hosts(skydns(*words, "--as-of", str(first)))["WEB"] == "10.96.0.8"
    assert "DB" in hosts(skydns(*words, "--as-of", str(second)))
    assert "DB" not in hosts(skydns(*words))


def test_both_lists_are_of_one_revision_in_many_pages(
    skydns: Run, api: KubeApi, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env_api, "PAGE", 1)
    put(api, "db", "10.96.0.9")
    mark = len(api.requests)
    found = hosts(skydns("env", "-n", "my-ns", "--kubeconfig", path, "-o", "docker"))
    assert found == {"DB": "10.96.0.9", "KUBERNETES": "10.96.0.1", "WEB": "10.96.0.3"}
    paths = [each.partition("?") for each in api.requests[mark:]]
    firsts = [query for _, _, query in paths if "continue" not in query]
    assert firsts == [
        "limit=1",
        f"limit=1&resourceVersion={api.store.revision}&resourceVersionMatch=Exact",
    ]


def test_a_revision_that_is_gone_or_yet_to_come_is_refused(skydns: Run, api: KubeApi, path: str) -> None:
    words = ("env", "-n", "my-ns", "--kubeconfig", path)
    future = skydns(*words, "--as-of", "100000")
    assert (future.code, len(future.err)) == (2, 1)
    assert future.err[0].startswith("skydns: --as-of: 100000 is yet to come: ")
    api.compact()
    instead = "give a later one, or what the pod has with --diff FILE"
    gone = skydns(*words, "--as-of", "5")
    assert gone.code == 2
    assert gone.err == [f"skydns: --as-of: the API has no resourceVersion 5 any more; {instead}"]


def test_a_namespace_that_is_not_there_is_refused_where_namespaces_may_be_listed(
    skydns: Run, api: KubeApi, path: str
) -> None:
    done = skydns("env", "-n", "my-sn", "--kubeconfig", path)
    there = "default, kube-node-lease, kube-public, kube-system, my-ns"
    assert (done.code, done.err) == (2, [f"skydns: --namespace: no 'my-sn' is here; there are {there}"])
    api.refuse(403, only="/namespaces?")
    assert hosts(skydns("env", "-n", "my-sn", "--kubeconfig", path, "-o", "docker")) == {
        "KUBERNETES": "10.96.0.1"
    }


def test_a_service_that_cannot_be_used_is_named_and_the_rest_printed(
    skydns: Run, api: KubeApi, path: str
) -> None:
    put(api, "bad", "10.96.0.9", port=0)
    done = skydns("env", "-n", "my-ns", "--kubeconfig", path, "-o", "docker")
    assert done.code == 1
    assert done.err == ["skydns: service/my-ns/bad: spec.ports[0].port: must be from 1 to 65535, not 0"]
    assert "WEB_SERVICE_HOST=10.96.0.3" in done.out


def test_a_permission_that_is_missing_is_named(skydns: Run, api: KubeApi, path: str) -> None:
    api.refuse(403)
    done = skydns("env", "-n", "my-ns", "--kubeconfig", path)
    assert (done.code, len(done.err)) == (1, 1)
    assert done.err[0].startswith(
        f"skydns: Kubernetes API at {api.url}: GET /api/v1/namespaces/my-ns/services: 403"
    )
    assert 'cannot list resource "services" in API group "" in the namespace "my-ns"' in done.err[0]


def test_an_api_that_is_not_there_is_one_line(skydns: Run, api: KubeApi, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = skydns("env", "-n", "my-ns", "--kubeconfig", kubeconfig(tmp_path, api.access, url))
    assert (done.code, done.err) == (1, [f"skydns: Kubernetes API at {url}: connection refused"])
