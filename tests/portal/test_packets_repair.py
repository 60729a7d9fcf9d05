"""Rules that others take away, programmers that are killed, and what is left when one is told to clean up."""

import random
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import needs
from tests.portal.cases import IPV4, IPV6, balanced, ready
from tests.portal.objects import Document
from tests.portal.programming import IPTABLES, Lab, eventually

pytestmark = [needs.netns(), needs.program("nft", "iptables-nft", "iptables-legacy", "etcd")]

REPAIR_SECONDS = 5.0
SOME = 200
LATEST_KILL = 0.01
"""Seconds after a transaction began; one of ``SOME`` Services takes longer."""
chance = random.Random(4)  # any moments will do; these can be repeated
STICKY = {"sessionAffinity": "ClientIP"}
OTHER_TABLE = """
table inet other {
    set known { type ipv4_addr; elements = { 192.0.2.98, 192.0.2.99 }; }
    chain input { type filter hook input priority 10; ip saddr @known counter drop comment "not yours"; }
    chain nat { type nat hook prerouting priority -90; ip daddr 192.0.2.99 dnat ip to 192.0.2.98; }
}
"""


@contextmanager
def others(lab: Lab) -> Iterator[None]:
    """Somebody else's rules, of the tool the backend uses too, are there meanwhile."""
    if lab.kind == "nftables":
        file = lab.programmer.folder / "other.nft"
        file.write_text(OTHER_TABLE)
        lab.on_node("nft", "-f", str(file))
    else:
        for tool in IPTABLES[lab.kind]:
            for words in _other_chain():
                lab.on_node(tool, *words)
    try:
        yield
    finally:
        _remove_others(lab)


def _other_chain() -> list[list[str]]:
    """A chain of somebody else's in nat and one in filter, each with a jump to it and a rule."""
    made = list[list[str]]()
    for table, hook in (("nat", "PREROUTING"), ("filter", "FORWARD")):
        made += [
            ["-t", table, "-N", "OTHER"],
            ["-t", table, "-A", "OTHER", "-p", "tcp", "--dport", "9", "-j", "RETURN"],
            ["-t", table, "-A", hook, "-j", "OTHER"],
        ]
    return made


def _remove_others(lab: Lab) -> None:
    if lab.kind == "nftables":
        lab.on_node("nft", "delete", "table", "inet", "other")
        return
    for tool in IPTABLES[lab.kind]:
        for table, hook in (("nat", "PREROUTING"), ("filter", "FORWARD")):
            lab.on_node(tool, "-t", table, "-D", hook, "-j", "OTHER")
            lab.on_node(tool, "-t", table, "-F", "OTHER")
            lab.on_node(tool, "-t", table, "-X", "OTHER")


def cluster(count: int = 5) -> list[Document]:
    """Services with every kind of front."""
    found = list[Document]()
    for number in range(count):
        name, address = f"s{number}", f"10.98.{number // 250}.{number % 250 + 1}"
        options = {"ingress": [f"203.0.114.{number}"], "loadBalancerSourceRanges": ["192.0.2.0/24"]}
        found += balanced(IPV4, "b1", "b2", name=name, address=address, **(options if number < 5 else {}))
    found += balanced(IPV4, "b1", "b2", "b3", node_port=30060, externalIPs=[IPV4.outside], name="node-port")
    found += balanced(IPV6, "b1", "b2", name="six")
    return found


def my_tables(lab: Lab) -> list[str]:
    return [line for line in lab.on_node("nft", "list", "tables").splitlines() if not line.endswith(" other")]


def my_chains(lab: Lab, tool: str) -> dict[str, list[str]]:
    """Per table, the chains that are neither the kernel's nor the other tool's."""
    found, table = dict[str, list[str]](), ""
    for line in lab.on_node(f"{tool}-save").splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif (match := re.match(r":(\S+) - ", line)) and match[1] != "OTHER":
            found.setdefault(table, []).append(match[1])
    return found


def flush(lab: Lab) -> None:
    """Empty what is ours."""
    for each in my_tables(lab) if lab.kind == "nftables" else []:
        lab.on_node("nft", *f"flush {each}".split())
    for tool in IPTABLES.get(lab.kind, ()):
        restore(
            lab, tool, {table: [f":{each} -" for each in of] for table, of in my_chains(lab, tool).items()}
        )


def unlink(lab: Lab) -> None:
    """Leave our chains where they are, but let nothing come there."""
    if lab.kind == "nftables":
        for each in my_tables(lab):
            lab.on_node("nft", *f"add {each}".split(), "{ flags dormant; }")
    for tool in IPTABLES.get(lab.kind, ()):
        restore(lab, tool, jumps(lab, tool))


def delete(lab: Lab) -> None:
    """Remove what is ours altogether."""
    for each in my_tables(lab) if lab.kind == "nftables" else []:
        lab.on_node("nft", *f"delete {each}".split())
    for tool in IPTABLES.get(lab.kind, ()):
        links = jumps(lab, tool)
        lines = dict[str, list[str]]()
        for table, chains in my_chains(lab, tool).items():
            flushed, gone = [f":{each} -" for each in chains], [f"-X {each}" for each in chains]
            lines[table] = flushed + links.get(table, []) + gone
        restore(lab, tool, lines)


def jumps(lab: Lab, tool: str) -> dict[str, list[str]]:
    """Per table, what deletes each rule of the kernel's chains that is not the other tool's."""
    found, table = dict[str, list[str]](), ""
    for line in lab.on_node(f"{tool}-save").splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif re.match("-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) ", line) and "OTHER" not in line:
            found.setdefault(table, []).append("-D" + line[2:])
    return found


def restore(lab: Lab, tool: str, lines: dict[str, list[str]]) -> None:
    file = lab.programmer.folder / "meddling"
    text = (f"*{table}\n" + "\n".join(each) + "\nCOMMIT\n" for table, each in lines.items())
    file.write_text("".join(text))
    lab.on_node(f"{tool}-restore", "--noflush", str(file))


def test_rules_taken_away_are_back_within_5_s_and_nobody_elses_change(lab: Lab) -> None:
    with others(lab):
        lab.store.put(*cluster())
        before = lab.tidy_rules()
        assert any("OTHER" in line or "other" in line for line in before)
        for meddle in (flush, unlink, delete):
            meddle(lab)
            eventually(lambda: lab.rules() == before, REPAIR_SECONDS, f"all as before {meddle.__name__}")
            assert lab.net.client.connect(IPV4.portal, count=5).good == 5
        lab.store.put(ready(IPV4, "b3", name="node-port"))
        assert lab.net.client.connect(IPV4.portal).names == {"b3": 1}


def test_a_change_made_while_the_rules_are_gone_is_programmed_all_the_same(lab: Lab) -> None:
    lab.store.put(*cluster())
    delete(lab)
    lab.store.put(ready(IPV4, "b3", name="node-port"))
    eventually(
        lambda: lab.net.client.connect(IPV4.portal, timeout=0.2).names == {"b3": 1}, REPAIR_SECONDS, "b3"
    )


def test_cleanup_removes_exactly_ours(lab: Lab) -> None:
    with others(lab):
        lab.programmer.end()
        delete(lab)
        foreign = lab.rules()
        lab.programmer.start(lab.settings)
        lab.store.put(*cluster())
        assert lab.rules() != foreign
        lab.programmer.end()
        done = lab.programmer.run("--cleanup")
        assert (done.returncode, done.stderr) == (0, "")
        assert lab.rules() == foreign


def test_cleanup_removes_what_any_backend_left(lab: Lab) -> None:
    lab.store.put(*cluster())
    lab.programmer.end()
    other = "nftables" if lab.kind != "nftables" else "iptables"
    assert lab.programmer.run("--backend", other, "--cleanup").returncode == 0
    assert not any("10.98.0.1" in line for line in lab.rules())


def test_once_programmes_and_exits(lab: Lab) -> None:
    lab.store.put(*cluster())
    full = lab.tidy_rules()
    lab.programmer.end()
    delete(lab)
    done = lab.programmer.run("--once")
    assert done.returncode == 0, done.stderr
    assert lab.rules() == full, done.stderr
    assert lab.net.client.connect(IPV4.portal, count=5).good == 5


def test_a_dry_run_prints_the_transaction_and_changes_nothing(lab: Lab) -> None:
    lab.programmer.end()
    before = lab.rules()
    lab.store.write(*cluster())
    done = lab.programmer.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "10.98.0.1" in done.stdout
    assert "fd00:96::10" in done.stdout
    assert lab.rules() == before


def test_live_connections_and_affinity_survive_a_kill_and_the_takeover(lab: Lab) -> None:
    lab.store.put(*balanced(IPV4, "b1", "b2", "b3"))
    sticky = balanced(IPV4, "b1", "b2", "b3", name="sticky-takeover", address="10.96.0.11", **STICKY)
    lab.store.put(*sticky)
    (first,) = lab.net.pod.connect("10.96.0.11").names
    with lab.net.pod.talk(IPV4.portal) as talk:
        assert isinstance(talk.greeting, list)
        lab.net.client.ask("load", places=[[IPV4.portal, 80]], rate=200, timeout=1.0)
        lab.programmer.end(signal.SIGKILL)
        assert talk.say() == talk.greeting
        lab.programmer.start(lab.settings, wait=False)
        while not lab.programmer.said("ready:"):
            assert talk.say() == talk.greeting
            time.sleep(0.005)
        lab.programmer.wait_for("ready:")
        assert talk.say() == talk.greeting
    result = lab.net.client.ask("unload")
    assert result["errors"] == {}
    assert lab.net.pod.connect("10.96.0.11", count=10).names == {first: 10}


def test_a_kill_in_the_middle_of_a_change_is_made_good_by_the_next_start(lab: Lab) -> None:
    lab.store.put(*cluster(SOME))
    kill_while_it_writes(lab, [ready(IPV4, "b3", name=f"s{number}") for number in range(SOME)])
    lab.programmer.start(lab.settings)
    assert lab.net.client.connect(f"10.98.0.{SOME}", count=10).names == {"b3": 10}
    after = lab.tidy_rules()
    lab.programmer.end()
    delete(lab)
    lab.programmer.start(lab.settings)
    assert lab.rules() == after


def test_kills_in_the_middle_of_a_start_are_made_good_by_the_next_one(lab: Lab) -> None:
    lab.store.put(*cluster(SOME))
    full = lab.tidy_rules()
    lab.programmer.end()
    delete(lab)
    for _ in range(2):  # the second finds what the first has left
        lab.programmer.start(lab.settings, wait=False)
        kill_while_it_writes(lab)
    lab.programmer.start(lab.settings)
    eventually(lambda: lab.rules() == full, 5.0, "the full state")
    assert lab.net.client.connect(f"10.98.0.{SOME}", count=3).good == 3


def kill_while_it_writes(lab: Lab, changes: Sequence[Document] = ()) -> None:
    """Kill the programmer some milliseconds after the process appeared that changes the kernel for it."""
    pid = lab.programmer.pid
    lab.store.write(*changes)
    end = time.monotonic() + 20.0
    while not (child := writer_of(pid)):
        assert time.monotonic() < end, "no transaction was seen"
        time.sleep(0.0002)  # the process's life is some milliseconds
    time.sleep(chance.uniform(0, LATEST_KILL))
    lab.programmer.end(signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{child}").exists(), 10.0, "the end of what it started")


def writer_of(pid: int) -> int:
    """The child that changes the kernel; 0 while there is none."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"restore") or b"-f" in words:
                return int(child)
    return 0
