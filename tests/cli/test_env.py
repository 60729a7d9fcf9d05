"""``skydns env``: forms of output, and Services from manifests."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.cli.env import docker, shell
from skydns_py.cluster.objects import Service
from skydns_py.pods.environment import environment
from tests.cli.conftest import Run
from tests.cli.samples import service
from tests.pods.strategies import NAMESPACES, services

DEMO = str(Path(__file__).parents[2] / "manifests" / "demo")
SH = shutil.which("sh") or "/bin/sh"
ENV = shutil.which("env") or "/usr/bin/env"
Write = Callable[[str, str], str]

REDIS_MASTER = """\
apiVersion: v1
kind: Service
metadata: {name: redis-master, namespace: my-ns}
spec: {clusterIP: 10.0.0.11, ports: [{port: 6379, protocol: TCP}]}
"""
CLASSIC = [
    "REDIS_MASTER_SERVICE_HOST=10.0.0.11",
    "REDIS_MASTER_SERVICE_PORT=6379",
    "REDIS_MASTER_PORT=tcp://10.0.0.11:6379",
    "REDIS_MASTER_PORT_6379_TCP=tcp://10.0.0.11:6379",
    "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
    "REDIS_MASTER_PORT_6379_TCP_PORT=6379",
    "REDIS_MASTER_PORT_6379_TCP_ADDR=10.0.0.11",
]


def set_by_sh(commands: str) -> dict[str, str]:
    """The variables a real shell has exported after these commands, apart from its own."""
    script = f'set -eu; eval "$1"; exec {ENV} -0'
    done = subprocess.run(
        [SH, "-c", script, "sh", commands], env={}, capture_output=True, timeout=30, check=True
    )
    assert done.stderr == b""
    pairs = (part.partition("=") for part in done.stdout.decode().split("\0") if part)
    return {name: value for name, _, value in pairs if name not in ("PWD", "OLDPWD", "SHLVL", "_")}


def read_by_docker(text: str) -> dict[str, str]:
    """An env-file as ``docker run`` reads it: comments, names up to the first "=", values as they are."""
    lines = (line.lstrip() for line in text.split("\n"))
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    assert all(name and not set(name) & set(" \t") and equals for name, equals, _ in pairs)
    return {name: value for name, _, value in pairs}


def test_the_classic_example_is_exactly_its_seven_variables_in_every_form(
    skydns: Run, manifest: Write
) -> None:
    path = manifest("redis.yaml", REDIS_MASTER)
    docker_form = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "docker")
    assert (docker_form.code, docker_form.out, docker_form.err) == (0, CLASSIC, [])
    assert skydns("env", "-n", "my-ns", "--manifests", path).out == [f"export {line}" for line in CLASSIC]
    as_json = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "json")
    assert [f"{name}={value}" for name, value in json.loads(as_json.text).items()] == CLASSIC


@settings(max_examples=40, deadline=None)
@given(services(), NAMESPACES)
def test_a_real_shell_takes_every_variable_that_a_shell_can_have(
    known: list[Service], namespace: str
) -> None:
    found = environment(known, namespace)
    assert set_by_sh(shell(found)) == {name: value for name, value in found.items() if not name[0].isdigit()}


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.from_regex("V[A-Z0-9_]{0,5}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    )
)
def test_no_value_breaks_out_of_its_quotes(found: Mapping[str, str]) -> None:
    assert set_by_sh(shell(found)) == found


@given(services(), NAMESPACES)
def test_an_env_file_reads_back_as_it_was(known: list[Service], namespace: str) -> None:
    found = environment(known, namespace)
    assert read_by_docker(docker(found)) == found


def test_what_no_shell_can_set_stands_in_a_comment_and_in_the_env_file(skydns: Run, manifest: Write) -> None:
    path = manifest("3scale.yaml", REDIS_MASTER.replace("redis-master", "3scale"))
    done = skydns("env", "-n", "my-ns", "--manifests", path)
    assert done.out[0] == "# no shell can set 3SCALE_SERVICE_HOST=10.0.0.11"
    assert set_by_sh(done.text) == {}
    assert (
        skydns("env", "-n", "my-ns", "--manifests", path, "-o", "docker").out[0]
        == "3SCALE_SERVICE_HOST=10.0.0.11"
    )


def test_the_brackets_of_an_ipv6_url_are_quoted_for_the_shell(skydns: Run, manifest: Write) -> None:
    path = manifest("six.yaml", REDIS_MASTER.replace("10.0.0.11", '"fd00::11"'))
    done = skydns("env", "-n", "my-ns", "--manifests", path)
    assert "export REDIS_MASTER_PORT='tcp://[fd00::11]:6379'" in done.out
    assert "export REDIS_MASTER_SERVICE_HOST=fd00::11" in done.out


MASTER = REDIS_MASTER.replace("redis-master", "kubernetes").replace("my-ns", "default")


def test_without_links_only_the_master_services_are_left(skydns: Run, manifest: Write) -> None:
    path = manifest("both.yaml", f"{REDIS_MASTER}---\n{MASTER}")
    with_links = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "docker").out
    without = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "docker", "--no-links").out
    assert without == [line.replace("REDIS_MASTER", "KUBERNETES") for line in CLASSIC]
    assert with_links == [*without, *CLASSIC]


def test_the_source_may_come_from_a_configuration_file(skydns: Run, manifest: Write) -> None:
    path = manifest("redis.yaml", REDIS_MASTER)
    file = manifest("skydns.yaml", f"source: {{manifests: {{path: {path}}}}}")
    assert skydns("env", "-n", "my-ns", "-c", file, "-o", "docker").out == CLASSIC


def test_a_variable_that_services_contend_for_is_told(skydns: Run, manifest: Write) -> None:
    a, b = REDIS_MASTER.replace("redis-master", "a"), REDIS_MASTER.replace("redis-master", "a-service")
    done = skydns("env", "-n", "my-ns", "--manifests", manifest("two.yaml", f"{b}---\n{a}"), "-o", "docker")
    assert done.code == 0
    assert "A_SERVICE_PORT=tcp://10.0.0.11:6379" in done.out
    assert done.err == [
        "skydns: A_SERVICE_PORT: Services contend for it; a pod gets 6379 or tcp://10.0.0.11:6379"
    ]


def test_a_document_that_cannot_be_used_is_named_and_the_rest_printed(skydns: Run, manifest: Write) -> None:
    path = manifest("mixed.yaml", f"{service('broken', port='http')}---\n{REDIS_MASTER}")
    done = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "docker")
    assert (done.code, done.out) == (1, CLASSIC)
    assert len(done.err) == 1
    assert done.err[0].startswith(f"skydns: {path}:1 (document 1): spec.ports[0].port: ")


def test_a_namespace_without_services_gets_nothing(skydns: Run, manifest: Write) -> None:
    done = skydns("env", "-n", "other-ns", "--manifests", manifest("redis.yaml", REDIS_MASTER))
    assert (done.code, done.out, done.err) == (0, [], [])
    as_json = skydns(
        "env", "-n", "other-ns", "--manifests", manifest("redis.yaml", REDIS_MASTER), "-o", "json"
    )
    assert as_json.out == ["{}"]


def test_where_namespaces_are_kept_one_that_is_not_there_is_refused(skydns: Run, manifest: Write) -> None:
    known = "apiVersion: v1\nkind: Namespace\nmetadata: {name: tools}\n"
    path = manifest("two.yaml", f"{known}---\n{REDIS_MASTER}")
    done = skydns("env", "-n", "my-sn", "--manifests", path)
    assert (done.code, done.out, done.err) == (
        2,
        [],
        ["skydns: --namespace: no 'my-sn' is here; there are tools"],
    )
    for namespace in ("my-ns", "tools", "default"):  # holds a Service; is an object; is always there
        assert skydns("env", "-n", namespace, "--manifests", path).code == 0


RULE = "at most 63 of a-z, 0-9 and '-', the ends no '-'"
SOURCE = (
    "give a source: --manifests PATH, --etcd URL, --kubeconfig FILE or --in-cluster, "
    "or source.manifests, source.etcd or source.kubernetes in -c FILE"
)
PODS = "give what `env` prints in the pod, or its /proc/PID/environ"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "the following arguments are required: -n/--namespace; see skydns env --help"),
        (["-n", "a"], SOURCE),
        (["-n", "A_B", "--manifests", DEMO], f"--namespace: 'A_B' is not a namespace: {RULE}"),
        (["-n", "a", "--manifests", "/none"], "/none: no such file or folder to take manifests from"),
        (["-n", "a", "--manifests", DEMO, "--etcd", "http://a:1"],
         "--manifests and --etcd are both given; keep exactly one"),
        (["-n", "a", "--etcd", "a"], "--etcd: 'a' is not http://HOST:PORT or https://HOST:PORT"),
        (["-n", "a", "-c", "/none.yaml"], "/none.yaml: No such file or directory"),
        (["-n", "a", "--manifests", DEMO, "--as-of", "5"],
         "--as-of: manifests keep no revisions; give --etcd URL, or what the pod has with --diff FILE"),
        *((["-n", "a", "--manifests", DEMO, f"--as-of={text}"],
           f"--as-of: {text!r} is no revision of etcd: a whole number from 1")
          for text in ("0", "-1", "x", "1.5", "\u0665", str(2**63), "9" * 5000)),
        (["-n", "a", "--manifests", DEMO, "--diff"],
         "--diff FILE and --as-of REVISION say what the pod has; give one"),
        (["-n", "a", "--manifests", DEMO, "--diff", "x", "--as-of", "5"],
         "--diff FILE and --as-of REVISION each say what the pod has; keep one"),
        (["-n", "a", "--manifests", DEMO, "--diff", "x", "-o", "docker"],
         "--output: --diff prints lines or JSON, not docker; say json, or leave it out"),
        (["-n", "my-ns", "--manifests", DEMO, "--diff", "/none"], "/none: No such file or directory"),
        (["-n", "my-ns", "--manifests", DEMO, "--diff", "/"], "/: Is a directory"),
        (["-n", "my-ns", "--manifests", DEMO, "--diff", "/dev/null"],
         f"/dev/null: holds no NAME=VALUE; {PODS}"),
        (["-n", "my-ns", "--manifests", DEMO, "--diff", "-"],
         f"standard input: holds no NAME=VALUE; {PODS}"),
        (["-n", "my-ns", "--manifests", DEMO, "--diff", "/dev/zero"],
         "/dev/zero: is larger than 16 MiB, which no environment is"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_that_says_what_to_mend(
    skydns: Run, arguments: list[str], expected: str
) -> None:
    done = skydns("env", *arguments)
    assert (done.code, done.out, done.err) == (2, [], [f"skydns: {expected}"])


def test_env_has_help(skydns: Run) -> None:
    done = skydns("env", "--help")
    assert done.code == 0
    assert done.out[0].startswith("usage: skydns env ")


def test_an_unknown_form_is_refused_with_the_known_ones(skydns: Run) -> None:
    done = skydns("env", "-n", "a", "--manifests", DEMO, "-o", "xml")
    assert (done.code, done.out, len(done.err)) == (2, [], 1)
    assert all(word in done.err[0] for word in ("xml", "shell", "json", "docker"))


DOC = (Path(__file__).parents[2] / "docs" / "environment.md").read_text()


def test_the_example_in_the_documentation_is_what_the_command_prints(skydns: Run) -> None:
    command, _, printed = DOC.split("```\n$ skydns ", 1)[1].split("```", 1)[0].partition("\n")
    arguments = command.replace("manifests/demo", DEMO).split()
    assert skydns(*arguments).text == printed
