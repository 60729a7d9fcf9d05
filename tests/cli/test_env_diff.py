"""``skydns env --diff``: what a running pod lacks of what a new one would get."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cli.env_diff import compare, parse
from skydns_py.cluster.objects import Service
from skydns_py.pods.environment import candidates, chosen, environment
from tests.cli.conftest import Registry, Run
from tests.cli.test_env import ENV, REDIS_MASTER
from tests.cli.test_env_etcd import env, put, remove
from tests.pods.strategies import NAMESPACES, services

Write = Callable[[str, str], str]

OWN = {
    "PATH": "/bin",
    "HOME": "/",
    "GREETING": "one\nand two=2",
    "EMPTY": "",
    "DB_FROM_ELSEWHERE_SERVICE_HOST": "db.example",
}
"""What a container has that no kubelet made; no generated Service has a name that long, or one of these."""


def given_as(form: str, variables: Mapping[str, str]) -> bytes:
    """The variables as a real process has them, printed by the real ``env``, or from its environ file."""
    if form == "environ":
        command = [sys.executable, "-c", "print(end=open('/proc/self/environ').read())"]
    else:
        command = [ENV, "-0"] if form == "env -0" else [ENV]
    return subprocess.run(command, env=variables, capture_output=True, timeout=30, check=True).stdout


def test_a_service_that_came_after_the_pod_is_missing_there(skydns: Run, registry: Registry) -> None:
    started = put(registry, "a", "10.0.0.1")
    put(registry, "late", "10.0.0.2", 8080)
    done = env(skydns, registry, "--diff", "--as-of", str(started))
    assert (done.code, done.err) == (1, [])
    assert done.out == [
        "+ LATE_PORT=tcp://10.0.0.2:8080",
        "+ LATE_PORT_8080_TCP=tcp://10.0.0.2:8080",
        "+ LATE_PORT_8080_TCP_ADDR=10.0.0.2",
        "+ LATE_PORT_8080_TCP_PORT=8080",
        "+ LATE_PORT_8080_TCP_PROTO=tcp",
        "+ LATE_SERVICE_HOST=10.0.0.2",
        "+ LATE_SERVICE_PORT=8080",
    ]


def test_a_service_made_anew_is_changed_and_one_deleted_is_stale(skydns: Run, registry: Registry) -> None:
    put(registry, "a", "10.0.0.1")
    started = put(registry, "gone", "10.0.0.2")
    put(registry, "a", "10.0.0.3")
    remove(registry, "gone")
    done = env(skydns, registry, "--diff", "--as-of", str(started))
    assert done.code == 1
    assert done.out == [
        "~ A_PORT=tcp://10.0.0.3:80 (was tcp://10.0.0.1:80)",
        "~ A_PORT_80_TCP=tcp://10.0.0.3:80 (was tcp://10.0.0.1:80)",
        "~ A_PORT_80_TCP_ADDR=10.0.0.3 (was 10.0.0.1)",
        "~ A_SERVICE_HOST=10.0.0.3 (was 10.0.0.1)",
        "- GONE_PORT=tcp://10.0.0.2:80",
        "- GONE_PORT_80_TCP=tcp://10.0.0.2:80",
        "- GONE_PORT_80_TCP_ADDR=10.0.0.2",
        "- GONE_PORT_80_TCP_PORT=80",
        "- GONE_PORT_80_TCP_PROTO=tcp",
        "- GONE_SERVICE_HOST=10.0.0.2",
        "- GONE_SERVICE_PORT=80",
    ]


def test_a_port_that_moved_is_missing_in_its_new_place_and_stale_in_its_old(
    skydns: Run, registry: Registry
) -> None:
    started = put(registry, "a", "10.0.0.1", 80)
    put(registry, "a", "10.0.0.1", 81)
    done = env(skydns, registry, "--diff", "--as-of", str(started))
    assert "- A_PORT_80_TCP=tcp://10.0.0.1:80" in done.out
    assert "+ A_PORT_81_TCP=tcp://10.0.0.1:81" in done.out
    assert "~ A_SERVICE_PORT=81 (was 80)" in done.out
    assert not any("A_SERVICE_HOST" in line for line in done.out)


def test_no_difference_is_no_output_and_exit_code_0(skydns: Run, registry: Registry) -> None:
    revision = put(registry, "a", "10.0.0.1")
    done = env(skydns, registry, "--diff", "--as-of", str(revision))
    assert (done.code, done.out, done.err) == (0, [], [])
    as_json = env(skydns, registry, "--diff", "--as-of", str(revision), "-o", "json")
    assert (as_json.code, json.loads(as_json.text)) == (0, {"missing": {}, "changed": {}, "stale": {}})


@pytest.mark.parametrize("form", ["env", "env -0", "environ"])
def test_a_pods_own_environment_is_taken_in_every_form(
    skydns: Run, manifest: Write, tmp_path: Path, form: str
) -> None:
    path = manifest("redis.yaml", REDIS_MASTER)
    known = skydns("env", "-n", "my-ns", "--manifests", path, "-o", "json")
    had = {**OWN, **json.loads(known.text)}
    file = tmp_path / "environ"
    file.write_bytes(given_as(form, had))
    same = skydns("env", "-n", "my-ns", "--manifests", path, "--diff", str(file))
    assert (same.code, same.out, same.err) == (0, [], [])
    gone = skydns("env", "-n", "other-ns", "--manifests", path, "--diff", str(file))
    assert gone.code == 1
    assert gone.out == [f"- {name}={value}" for name, value in sorted(json.loads(known.text).items())]
    file.write_bytes(given_as(form, OWN))
    lacking = skydns("env", "-n", "my-ns", "--manifests", path, "--diff", str(file))
    assert lacking.code == 1
    assert lacking.out == [f"+ {name}={value}" for name, value in sorted(json.loads(known.text).items())]


def test_standard_input_may_hold_it_and_the_answer_may_be_json(skydns: Run, manifest: Write) -> None:
    path = manifest("redis.yaml", REDIS_MASTER)
    had = [
        "PATH=/bin",
        "REDIS_MASTER_SERVICE_HOST=10.0.0.9",
        "REDIS_MASTER_SERVICE_PORT=6379",
        "GONE_SERVICE_HOST=fd00::1",
        "GONE_SERVICE_PORT_HTTP=80",
        "REDIS_MASTER_PORT_6379_TCP_PROTO=tcp",
    ]
    stdin = "".join(f"{line}\r\n" for line in had)  # as a terminal has it
    done = skydns("env", "-n", "my-ns", "--manifests", path, "--diff", "-", "-o", "json", stdin=stdin)
    assert done.code == 1
    assert json.loads(done.text) == {
        "missing": {
            "REDIS_MASTER_PORT": "tcp://10.0.0.11:6379",
            "REDIS_MASTER_PORT_6379_TCP": "tcp://10.0.0.11:6379",
            "REDIS_MASTER_PORT_6379_TCP_ADDR": "10.0.0.11",
            "REDIS_MASTER_PORT_6379_TCP_PORT": "6379",
        },
        "changed": {"REDIS_MASTER_SERVICE_HOST": {"had": "10.0.0.9", "gets": "10.0.0.11"}},
        "stale": {"GONE_SERVICE_HOST": "fd00::1", "GONE_SERVICE_PORT_HTTP": "80"},
    }


def test_a_value_that_is_not_plain_is_shown_on_one_line(skydns: Run, manifest: Write) -> None:
    path = manifest("redis.yaml", REDIS_MASTER)
    odd = "REDIS_MASTER_SERVICE_HOST=a\n b\x1b[1m\nX=1\n"
    done = skydns("env", "-n", "my-ns", "--manifests", path, "--diff", "-", stdin=odd)
    assert "~ REDIS_MASTER_SERVICE_HOST=10.0.0.11 (was 'a\\n b\\x1b[1m')" in done.out


def test_what_only_looks_a_little_like_a_services_variable_is_the_containers_own() -> None:
    own = {
        "DB_SERVICE_HOST": "db.example",  # a name, where a kubelet has an address
        "DB_SERVICE_PORT": "5432",
        "APP_PORT": "80",  # without APP_SERVICE_HOST
        "WEB_SERVICE_HOST": "10.0.0.1",
        "WEB_SERVICE_NAME": "web",
        "WEB_PORT_EXTRA": "1",
        "WEB_PORTAL": "x",
        "XWEB_PORT": "1",
        "_SERVICE_HOST": "x",
    }
    assert compare(own, {}).stale == {"WEB_SERVICE_HOST": "10.0.0.1"}


def test_a_name_made_to_be_read_in_a_million_ways_costs_nothing() -> None:
    long = "A" + "_SERVICE_PORT" * 1_000_000
    assert compare({"A_SERVICE_HOST": "10.0.0.1", long: "1"}, {}).stale == {"A_SERVICE_HOST": "10.0.0.1"}


def test_the_longest_name_a_service_can_make_is_known_as_its_own() -> None:
    label = "A" * 63
    had = {f"{label}_SERVICE_HOST": "10.0.0.1", f"{label}_SERVICE_PORT_{label}": "1"}
    assert set(compare(had, {}).stale) == set(had)


def test_where_services_contend_each_of_their_values_is_right() -> None:
    gets = {"A_SERVICE_PORT": ("80", "tcp://10.0.0.2:80")}
    assert not compare({"A_SERVICE_PORT": "80"}, gets)
    assert not compare({"A_SERVICE_PORT": "tcp://10.0.0.2:80"}, gets)
    assert compare({"A_SERVICE_PORT": "81"}, gets).changed == {"A_SERVICE_PORT": ("81", "tcp://10.0.0.2:80")}


@given(services(), services(), NAMESPACES)
def test_every_variable_that_differs_is_reported_once_and_no_other(
    before: list[Service], after: list[Service], namespace: str
) -> None:
    had, gets = environment(before, namespace), candidates(after, namespace)
    found = compare({**OWN, **had}, gets)
    now = chosen(gets)
    assert dict(found.missing) == {name: now[name] for name in now if name not in had}
    assert dict(found.stale) == {name: had[name] for name in had if name not in now}
    assert set(found.changed) == {name for name in now if name in had and had[name] not in gets[name]}
    assert len(found.lines()) == len(found.missing) + len(found.changed) + len(found.stale)


@given(services(), NAMESPACES)
def test_a_new_pod_lacks_nothing(known: list[Service], namespace: str) -> None:
    assert not compare({**OWN, **environment(known, namespace)}, candidates(known, namespace))


NAMES = st.from_regex("[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.dictionaries(NAMES, VALUES, min_size=1))
def test_the_form_with_nul_reads_back_exactly(variables: dict[str, str]) -> None:
    assert parse(b"".join(f"{name}={value}\0".encode() for name, value in variables.items())) == variables


@given(st.dictionaries(NAMES, VALUES.filter(lambda value: not set(value) & set("\r\n")), min_size=1))
def test_the_form_with_lines_reads_back_where_values_are_lines(variables: dict[str, str]) -> None:
    assert parse("".join(f"{name}={value}\n" for name, value in variables.items()).encode()) == variables


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_names_are_names(octets: bytes) -> None:
    for name, value in parse(octets).items():
        assert name
        assert not set(name) & set("=\0 \n\t")
        assert "\0" not in value


def test_the_first_of_two_variables_of_one_name_counts_as_for_getenv() -> None:
    assert parse(b"A=1\0A=2\0") == parse(b"A=1\nA=2\n") == {"A": "1"}


def test_octets_that_are_no_utf8_are_kept_as_escapes() -> None:
    assert parse(b"A=\xff\0") == {"A": "\\xff"}
