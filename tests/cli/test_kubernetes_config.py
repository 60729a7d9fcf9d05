"""The Kubernetes API as a source, from a file and from flags: what is taken, what is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skydns_py import config
from skydns_py.cli import main, portal, serve
from skydns_py.cli.check_config import effective
from skydns_py.config_flags import NO_FLAGS, Flags
from skydns_py.errors import ConfigError
from skydns_py.settings import EtcdSource, KubernetesSource, ManifestSource, Settings
from tests.cli.conftest import Run

Write = Callable[[str, str], str]
WHOLE = "{kubeconfig: k.yaml, namespaces: [a, b], label_selector: 'tier in (web,api),!old'}"
FOUND = KubernetesSource("k.yaml", False, ("a", "b"), "tier in (web,api),!old")
EXACTLY_ONE = "source.kubernetes: give exactly one of kubeconfig and in_cluster"


def source(text: str, flags: Flags = NO_FLAGS) -> object:
    return config.parse(text, "skydns.yaml", flags, need_source=False).source


def refusal(text: str, flags: Flags = NO_FLAGS) -> str:
    with pytest.raises(ConfigError) as refused:
        source(text, flags)
    return str(refused.value)


def test_every_key_is_read() -> None:
    assert source(f"source: {{kubernetes: {WHOLE}}}") == FOUND
    assert source("source: {kubernetes: {in_cluster: yes}}") == KubernetesSource(in_cluster=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source:\n  kubernetes: {}\n", f"2: {EXACTLY_ONE}"),
        ("source:\n  kubernetes:\n    in_cluster: false\n", f"3: {EXACTLY_ONE}"),
        ("source:\n  kubernetes:\n    kubeconfig: k\n    in_cluster: true\n", f"4: {EXACTLY_ONE}"),
        ("source:\n  kubernetes: {in_cluster: 1}\n",
         "2: source.kubernetes.in_cluster: must be true or false"),
        ("source:\n  kubernetes: {in_cluster: true, namespace: a}\n",
         "2: source.kubernetes.namespace: unknown key; did you mean namespaces?"),
        ("source:\n  kubernetes: {in_cluster: true, namespaces: [A]}\n",
         "2: source.kubernetes.namespaces[0]: 'A' is not a namespace: "
         "at most 63 of a-z, 0-9 and '-', the ends no '-'"),
        ("source:\n  etcd: {}\n  kubernetes: {in_cluster: true}\n",
         "3: source: give exactly one of manifests, etcd and kubernetes"),
    ],
)  # fmt: skip
def test_a_refusal_names_file_line_and_key(text: str, expected: str) -> None:
    assert refusal(text) == f"skydns.yaml:{expected}"


def test_either_flag_replaces_the_way_to_the_api_and_keeps_the_rest() -> None:
    text = f"source: {{kubernetes: {WHOLE}}}"
    assert source(text, Flags(kubeconfig="other")) == KubernetesSource(
        "other", False, ("a", "b"), FOUND.label_selector
    )
    assert source(text, Flags(in_cluster=True)) == KubernetesSource(
        "", True, ("a", "b"), FOUND.label_selector
    )


@pytest.mark.parametrize("text", ["", "source: {etcd: {}}", "source: {manifests: {path: demo}}"])
def test_either_flag_replaces_another_source(text: str) -> None:
    assert source(text, Flags(kubeconfig="k")) == KubernetesSource("k")
    assert source(text, Flags(in_cluster=True)) == KubernetesSource(in_cluster=True)


def test_other_flags_replace_the_api() -> None:
    text = f"source: {{kubernetes: {WHOLE}}}"
    assert source(text, Flags(etcd=("http://a:1",))) == EtcdSource(endpoints=("http://a:1",))
    assert source(text, Flags(manifests="demo")) == ManifestSource("demo")
    assert source(text, Flags(portal_net="10.0.0.0/24")) == FOUND


FLAGS = {
    "--manifests": Flags(manifests="a"),
    "--etcd": Flags(etcd=("http://a:1",)),
    "--kubeconfig": Flags(kubeconfig="k"),
    "--in-cluster": Flags(in_cluster=True),
}


@pytest.mark.parametrize("first", FLAGS)
@pytest.mark.parametrize("second", FLAGS)
def test_two_flags_that_name_sources_are_refused(first: str, second: str) -> None:
    names = list(FLAGS)
    if names.index(first) < names.index(second):
        a, b = FLAGS[first], FLAGS[second]
        both = Flags(
            a.manifests or b.manifests,
            a.etcd or b.etcd,
            a.kubeconfig or b.kubeconfig,
            a.in_cluster or b.in_cluster,
        )
        assert refusal("", both) == f"{first} and {second} are both given; keep exactly one"


@pytest.mark.parametrize("command", ["serve", "portal", "env"])
def test_the_commands_refuse_two_sources_in_one_line(skydns: Run, command: str) -> None:
    words = ["-n", "a"] if command == "env" else []
    done = skydns(command, *words, "--kubeconfig", "k", "--in-cluster")
    assert (done.code, done.out) == (2, [])
    assert done.err == ["skydns: --kubeconfig and --in-cluster are both given; keep exactly one"]


@pytest.mark.parametrize("module", [serve, portal])
def test_serve_and_portal_take_the_flags(module: object) -> None:
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]  # a module's
    for words, expected in (
        (["--kubeconfig", "k"], KubernetesSource("k")),
        (["--in-cluster"], KubernetesSource(in_cluster=True)),
    ):
        arguments = main.parser().parse_args([name, *words])
        assert module.settings(arguments).source == expected  # type: ignore[attr-defined]  # likewise


def test_a_command_that_needs_etcd_says_so(skydns: Run, manifest: Write) -> None:
    file = manifest("s.yaml", "source: {kubernetes: {in_cluster: true}}")
    done = skydns("get", "-c", file)
    assert (done.code, done.err) == (2, [f"skydns: {file}: source: this command needs etcd; give --etcd URL"])


@pytest.mark.parametrize("words", [("serve",), ("env", "-n", "a")])
def test_a_kubeconfig_that_is_not_there_ends_the_command_with_its_name(
    skydns: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    missing = tmp_path / "none"
    settings = tmp_path / "s.yaml"
    settings.write_text("listen: ['127.0.0.1:0']\nhttp: {health: '', ready: '', metrics: ''}\n")
    done = skydns(*words, "-c", str(settings), "--kubeconfig", str(missing))
    assert (done.code, done.err) == (2, [f"skydns: {missing}: No such file or directory"])


def test_outside_a_pod_in_cluster_is_refused_in_one_line(
    skydns: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    done = skydns("env", "-n", "a", "--in-cluster")
    assert done.code == 2
    assert len(done.err) == 1
    assert "KUBERNETES_SERVICE_HOST" in done.err[0]


SELECTORS = st.sampled_from(["", "a", "!a,b=", "tier in (web,api),!old", " a == b "])
NAMES = st.lists(st.sampled_from(["a", "1", "no", "my-ns"]), unique=True).map(tuple)


@given(
    st.builds(KubernetesSource, st.text(min_size=1), st.just(False), NAMES, SELECTORS)
    | st.builds(KubernetesSource, st.just(""), st.just(True), NAMES, SELECTORS)
)
def test_printed_settings_are_read_as_the_same_settings(found: KubernetesSource) -> None:
    settings = Settings(source=found)
    assert config.parse(effective(settings), "effective.yaml") == settings


def test_check_config_prints_every_key(skydns: Run, manifest: Write) -> None:
    done = skydns("check-config", manifest("s.yaml", "source: {kubernetes: {in_cluster: true}}"))
    assert yaml.safe_load(done.text)["source"] == {
        "kubernetes": {"kubeconfig": "", "in_cluster": True, "namespaces": [], "label_selector": ""}
    }
