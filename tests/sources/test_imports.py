"""What a start loads: a source's libraries only where that source is followed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["grpc", "etcd3", "skydns_py.sources.manifests"])
def test_the_server_loads_no_source_before_it_knows_which(module: str) -> None:
    code = f"import sys, skydns_py.app, skydns_py.portal_app; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
