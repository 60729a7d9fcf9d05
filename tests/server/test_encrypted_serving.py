"""``skydns serve`` with TLS and HTTPS, on either data plane, asked by real clients."""

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from skydns_py.answers.padding import BLOCK
from tests import needs
from tests.authority import Authority
from tests.native.built import needed
from tests.server.secure import (
    run,
)
from tests.serving import Serving

pytestmark = needs.program("openssl")


@pytest.fixture(params=["pure", pytest.param("native", marks=needed)])
def serving(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[Serving]:
    """``skydns serve`` with the demo's manifests, on either data plane."""
    cert, key = authority.issue("serving")
    with Serving(
        tmp_path,
        dataplane={"kind": request.param},
        source={"manifests": {"path": "manifests/demo"}},
        tls={"listen": ["127.0.0.1:0"], "cert": str(cert), "key": str(key)},
        https={"listen": ["127.0.0.1:0"]},
    ) as server:
        yield server


def port_of(server: Serving, name: str) -> int:
    """Where it says that it answers."""
    return int(server.wait_for(f" ({name})\n").rpartition(f" ({name})")[0].rpartition(":")[2])


NAME = "my-service.my-ns.svc.cluster.local"


@needs.program("dig")
def test_dig_is_answered(serving: Serving, authority: Authority) -> None:
    place = ("@127.0.0.1", "-p", str(port_of(serving, "TLS")))
    serving.wait_for("ready:")
    trusting = (f"+tls-ca={authority.ca}", "+tls-hostname=127.0.0.1")
    out = run("dig", "+tls", *trusting, "+padding=128", *place, NAME)
    assert [NAME + ".", "5", "IN", "A", "10.0.0.20"] in [line.split() for line in out.splitlines()]
    assert "(TLS)" in out
    assert f"MSG SIZE  rcvd: {BLOCK}" in out
    assert run("dig", "+tls", "+short", "-b", "127.0.0.2", *place, "my-service").split()[-1] == "10.0.0.20"


@needs.program("kdig")
def test_kdig_is_answered(serving: Serving, authority: Authority) -> None:
    place = ("@127.0.0.1", "-p", str(port_of(serving, "TLS")))
    serving.wait_for("ready:")
    trusting = (f"+tls-ca={authority.ca}", "+tls-hostname=127.0.0.1")
    assert run("kdig", "+tls", "+short", *trusting, *place, NAME).split() == ["10.0.0.20"]


@needs.program("dig")
def test_server_that_says_it_is_ready_answers_encrypted_and_counts_it(serving: Serving) -> None:
    tls, https = port_of(serving, "TLS"), port_of(serving, "HTTPS")
    serving.wait_for("ready:")
    pages = f"http://127.0.0.1:{serving.http_port}"
    with urllib.request.urlopen(f"{pages}/ready", timeout=5) as reply:
        assert reply.status == 200
    for how, port in (("+tls", tls), ("+https", https)):
        assert run("dig", how, "+short", "@127.0.0.1", "-p", str(port), NAME).split() == ["10.0.0.20"]
    with urllib.request.urlopen(f"{pages}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    assert 'coredns_dns_requests_total{proto="tcp"} 2' in lines
    assert 'skydns_encrypted_requests_total{transport="tls"} 1' in lines
    assert 'skydns_encrypted_requests_total{transport="https"} 1' in lines
    assert 'coredns_dns_https_responses_total{status="200"} 1' in lines
    assert any(line.startswith("skydns_tls_certificate_end_timestamp_seconds 1") for line in lines)


WITHOUT = """
import sys
sys.modules["{missing}"] = None
from skydns_py.cli.main import main
sys.exit(main(["serve", "-c", sys.argv[1]]))
"""


@pytest.mark.parametrize(("missing", "key"), [("OpenSSL", "tls"), ("h2", "https")])
def test_missing_extra_is_one_line_that_says_what_to_install(
    tmp_path: Path, authority: Authority, missing: str, key: str
) -> None:
    cert, private = authority.issue("missing")
    pair = {"cert": str(cert), "key": str(private)}
    listen = {"listen": ["127.0.0.1:0"]}
    sections = {"tls": pair | listen} if key == "tls" else {"tls": pair, "https": listen}
    config = Serving(tmp_path, source={"manifests": {"path": "manifests/demo"}}, **sections).config
    command = [sys.executable, "-c", WITHOUT.format(missing=missing), str(config)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert made.returncode == 2
    assert re.fullmatch(
        rf"skydns: {key}\.listen: {missing}\S* is missing: pip install 'skydns-py\[tls\]'\n", made.stderr
    )


def test_plain_server_loads_nothing_of_tls() -> None:
    code = (
        "import sys, skydns_py.app; from skydns_py.ops.reactor import the_reactor; the_reactor();"
        "print(*{'OpenSSL', 'cryptography', 'h2', 'skydns_py.server.tls'} & set(sys.modules))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env=os.environ
    )
    assert made.stdout.split() == []
