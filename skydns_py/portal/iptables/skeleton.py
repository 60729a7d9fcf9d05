"""The chains that every host has: where packets come in, and what happens before and after the trees.

1. NAT first looks for public and balancer fronts (PUBLIC), then for portal IPs (PORTAL), then for node
   ports (NODE), each a tree; an exact front so comes before a node port of the same number.
2. The mark that asks for masquerading is set once for all portal IPs, before their tree, and taken away
   again behind it where nothing matched, so that it never reaches what others translate.  A packet that
   came with the mark keeps it.
3. POST masquerades what was translated and is marked, or goes back to where it came from: one BPF program
   compares source and destination, in place of a rule for each endpoint.
4. nat cannot refuse.  FRONT and PORT, trees in the filter table, refuse and drop new connections that
   were not translated; a translated one is never looked at, as its target may be a front of somebody else.
5. FORWARD takes marked packets and the rest of translated connections before anyone else's rules, as
   kube-proxy does.  Other new translated connections, between pods mostly, are taken in ACCEPT, which
   stands behind everybody's rules: a policy of DROP does not stop them, a network policy does.
6. Packets that conntrack calls invalid are not forwarded: a late reply of an endpoint would otherwise reach
   the client untranslated, from an address that it does not know, and be answered by a reset.
"""

from skydns_py.portal.iptables.tools import Tools
from skydns_py.portal.iptables.words import clear_mark, host, mark, set_mark
from skydns_py.portal.plan.model import Host

DROP_INVALID = True
"""Rule 6; kube-proxy has the same, and the same cost: asymmetric routes through the node need it off."""

HOOKS = {
    "raw": {"PREROUTING": "SKYDNS-RAW", "OUTPUT": "SKYDNS-RAW"},
    "filter": {"INPUT": "SKYDNS-INPUT", "FORWARD": "SKYDNS-FORWARD", "OUTPUT": "SKYDNS-OUTPUT"},
    "nat": {"PREROUTING": "SKYDNS-NAT", "OUTPUT": "SKYDNS-NAT", "POSTROUTING": "SKYDNS-POST"},
}
"""Table to built-in chain to the chain of ours that is its first rule.  The order is that of a transaction:
what refuses stands before what stops to translate, and nothing is tracked that should not be."""
TAILS = {"filter": {"FORWARD": "SKYDNS-ACCEPT"}}
"""Likewise, for a last rule."""

GUARD = "SKYDNS-LOOPBACK"
"""The chain that keeps others away from 127.0.0.0/8 while route_localnet is set."""

TRANSLATED = "-m conntrack --ctstate DNAT "
FRESH = "-m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT "
LOCAL = "-m addrtype --dst-type LOCAL "
_FROM_HERE = "-m addrtype --src-type LOCAL "
_UNREACHABLE = {4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"}
_ADDRESSES = {4: ((12, 16),), 6: tuple((8 + word, 24 + word) for word in range(0, 16, 4))}

Chains = dict[str, dict[str, str]]
"""Table to chain to rules."""


def skeleton(given: Host, tools: Tools, family: int) -> Chains:
    """The chains of every table but the trees; a chain of ``HOOKS`` that is not here is not wanted."""
    raw = {"SKYDNS-RAW": untracked} if (untracked := _untracked(given, family)) else {}
    return {"raw": raw, "filter": _filter(given, family), "nat": _nat(given, tools, family)}


def networks(given: Host, family: int) -> list[str]:
    """The cluster's networks of a family."""
    return [str(network) for network in given.cluster_cidr if network.version == family]


def hairpin_program(family: int) -> str:
    """BPF that accepts a packet whose source address is its destination, word by word (RFC 791, RFC 8200)."""
    words = _ADDRESSES[family]
    steps = []
    for index, (source, destination) in enumerate(words):
        left = 4 * (len(words) - index - 1) + 1
        steps += [f"32 0 0 {source}", "7 0 0 0", f"32 0 0 {destination}", f"29 0 {left} 0"]
    steps += ["6 0 0 1", "6 0 0 0"]
    return f"{len(steps)},{','.join(steps)}"


def masquerade(tools: Tools) -> str:
    """The target that masquerades."""
    return "-j MASQUERADE --random-fully\n" if tools.random_fully else "-j MASQUERADE\n"


def _nat(given: Host, tools: Tools, family: int) -> dict[str, str]:
    return {
        "SKYDNS-NAT": f"-j SKYDNS-PUBLIC\n-j SKYDNS-INSIDE\n{LOCAL}-j SKYDNS-LOCAL\n",
        "SKYDNS-INSIDE": _inside(given),
        "SKYDNS-LOCAL": _local(given, family, "SKYDNS-NODE"),
        "SKYDNS-POST": _post(given, tools, family),
        **_outsiders_mark(given, family),
    }


def _inside(given: Host) -> str:
    """Rule 2."""
    if given.masquerade_all:
        asked = set_mark(given.mark)
    elif given.cluster_cidr:
        asked = "-j SKYDNS-OUTSIDE\n"
    else:
        return "-j SKYDNS-PORTAL\n"
    return f"{mark(given.mark)}-g SKYDNS-PORTAL\n{asked}-j SKYDNS-PORTAL\n{clear_mark(given.mark)}"


def _outsiders_mark(given: Host, family: int) -> dict[str, str]:
    if given.masquerade_all or not given.cluster_cidr:
        return {}
    inside = "".join(f"-s {network} -j RETURN\n" for network in networks(given, family))
    return {"SKYDNS-OUTSIDE": inside + set_mark(given.mark)}


def _post(given: Host, tools: Tools, family: int) -> str:
    """Rule 3."""
    hairpin = "-j SKYDNS-HAIRPIN\n"
    if tools.bpf:
        hairpin = f'-m bpf --bytecode "{hairpin_program(family)}" {masquerade(tools)}'
    marked = f"-m mark ! --mark {given.mark:#x}/{given.mark:#x} -j RETURN\n{clear_mark(given.mark)}"
    return f"-m conntrack ! --ctstate DNAT -j RETURN\n{hairpin}{marked}{masquerade(tools)}"


def _local(given: Host, family: int, tree: str) -> str:
    """Rule 8 of the model; packets to 127.0.0.0/8 that come from elsewhere are never for us."""
    if family == 4 and given.localhost_node_ports:
        text = "-d 127.0.0.0/8 -m addrtype ! --src-type LOCAL -j RETURN\n"
    elif family == 4:
        text = "-d 127.0.0.0/8 -j RETURN\n"
    else:
        text = "" if given.node_addresses else "-d ::1/128 -j RETURN\n"
    if not given.node_addresses:
        return f"{text}-g {tree}\n"
    near = [network for network in given.node_addresses if network.version == family]
    return text + "".join(f"-d {network} -g {tree}\n" for network in near)


def _filter(given: Host, family: int) -> dict[str, str]:
    check = f"{FRESH}-j SKYDNS-CHECK\n"
    return {
        "SKYDNS-INPUT": (f"-j {GUARD}\n" if guarded(given, family) else "") + check,
        **_guard(given, family),
        "SKYDNS-OUTPUT": check,
        "SKYDNS-FORWARD": check + _forward(given),
        "SKYDNS-ACCEPT": f"-m conntrack --ctstate NEW {TRANSLATED}-j ACCEPT\n",
        "SKYDNS-CHECK": f"-j SKYDNS-FRONT\n{LOCAL}-j SKYDNS-LOCAL\n",
        "SKYDNS-LOCAL": _local(given, family, "SKYDNS-PORT"),
        "SKYDNS-REFUSE": "-p tcp -j REJECT --reject-with tcp-reset\n"
        f"-j REJECT --reject-with {_UNREACHABLE[family]}\n",
        "SKYDNS-REMOTE": _remote(given, family),
    }


def guarded(given: Host, family: int) -> bool:
    """Whether node ports answer at 127.0.0.0/8, which takes route_localnet and the guard."""
    return family == 4 and given.localhost_node_ports


def _guard(given: Host, family: int) -> dict[str, str]:
    """With route_localnet the kernel no longer drops these by itself."""
    states = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT"
    drop = f"! -s 127.0.0.0/8 -d 127.0.0.0/8 {states} -j DROP\n"
    return {GUARD: drop} if guarded(given, family) else {}


def _forward(given: Host) -> str:
    """Rules 5 and 6."""
    invalid = "-m conntrack --ctstate INVALID -j DROP\n" if DROP_INVALID else ""
    marked = f"{mark(given.mark)}{TRANSLATED}-j ACCEPT\n"
    return f"{invalid}{marked}-m conntrack --ctstate RELATED,ESTABLISHED {TRANSLATED}-j ACCEPT\n"


def _remote(given: Host, family: int) -> str:
    """A front whose endpoints are all on other nodes and that keeps the client's address (model, rule 3)."""
    inside = "".join(f"-s {network} -j RETURN\n" for network in networks(given, family))
    return f"{inside}{_FROM_HERE}-j RETURN\n-j DROP\n"


def _untracked(given: Host, family: int) -> str:
    """DNS answered on this node without conntrack: queries and replies, coming in and going out."""
    text = ""
    for address in given.untracked:
        for name in ("udp", "tcp") if (len(address) == 4) == (family == 4) else ():
            text += f"-d {host(address)} -p {name} -m {name} --dport 53 -j CT --notrack\n"
            text += f"-s {host(address)} -p {name} -m {name} --sport 53 -j CT --notrack\n"
    return text
