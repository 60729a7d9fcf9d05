"""SCTP through a portal: the first packets of associations, which is all that the programmer's rules see."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import needs
from tests.portal.cases import IPV4, balanced, ready
from tests.portal.lab import Peer
from tests.portal.programming import Lab

PEER = str(Path(__file__).with_name("sctp_peer.py"))
TRACKS_SCTP = Path("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established").exists()
pytestmark = [
    needs.netns(),
    needs.program("nft", "iptables-nft", "iptables-legacy", "etcd"),
    pytest.mark.skipif(not TRACKS_SCTP, reason="this kernel does not track SCTP"),
]


@pytest.fixture(autouse=True)
def serving(lab: Lab) -> Iterator[None]:
    """Every backend answers INITs."""
    with ExitStack() as stack:
        for name, peer in lab.net.backends.items():
            command = peer.namespace.command(sys.executable, "-S", "-E", PEER, "serve", name)
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield


def ask(peer: Peer, port: int = 80, count: int = 30) -> list[list[str] | str]:
    done = peer.namespace.run(sys.executable, "-S", "-E", PEER, "ask", IPV4.portal, str(port), str(count))
    assert done.returncode == 0, done.stderr
    found: list[list[str] | str] = json.loads(done.stdout)
    return found


def test_sctp_is_spread_masked_and_refused_like_the_others(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", protocol="SCTP"))
    found = ask(lab.net.pod)
    assert {tuple(each) for each in found} == {("b1", IPV4.pod), ("b2", IPV4.pod)}
    assert {tuple(each) for each in ask(lab.net.client)} == {("b1", IPV4.node), ("b2", IPV4.node)}
    assert ask(lab.net.pod, 81, 3) == ["ConnectionRefusedError"] * 3
    lab.store.put(ready(IPV4, protocol="SCTP"))
    assert ask(lab.net.pod, 80, 3) == ["ConnectionRefusedError"] * 3
