"""Which iptables the host uses, and what it can do.

1. Two variants may be installed, ``nft`` and ``legacy``; each has rules of its own, and the kernel runs
   both.  Rules belong where the host's other rules are, so that first and last mean something.
2. The variant is the one in which kubelet left its hint (a chain KUBE-IPTABLES-HINT in mangle); else the one
   with more rules of others; else the one that ``iptables`` stands for.  Rules in both are worth a warning.
3. What the kernel can do is tried out in a network namespace that lives as long as the trial (``unshare``).
   Whoever may make none gets one within a user namespace of their own; where that is not allowed either,
   only what every kernel of this century has is taken for granted.
"""

import logging
from dataclasses import dataclass

from skydns_py.errors import SkydnsError
from skydns_py.portal.backend import Command
from skydns_py.portal.iptables.skeleton import hairpin_program
from skydns_py.portal.iptables.tools import PREFIX, Tools
from skydns_py.portal.process import CommandFailed, read_now, run_now, which
from skydns_py.settings import IptablesVariant

log = logging.getLogger("skydns")

HINT = ":KUBE-IPTABLES-HINT"
_NEEDED = {
    "xt_statistic": "-p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination",
    "xt_recent": "-p tcp -m recent --name skydns-probe --set -j DNAT --to-destination",
    "xt_addrtype": "-p tcp -m addrtype --src-type LOCAL -j DNAT --to-destination",
}
APART = ("unshare", "--user", "--map-root-user", "--net")
"""Runs a program as root of a user namespace and a network namespace of its own (user_namespaces(7))."""
_TARGET = {4: "192.0.2.1:80", 6: "[2001:db8::1]:80"}


@dataclass(frozen=True)
class _Variant:
    """Programs of one variant: ``iptables`` and so on, with what stands between that and ``-restore``."""

    name: str
    infix: str

    def program(self, family: int, verb: str) -> str:
        """The path of a program; "" where it is not installed."""
        return which(f"{'ip6tables' if family == 6 else 'iptables'}{self.infix}-{verb}")

    def listing(self) -> str:
        """All rules of both families."""
        programs = [self.program(family, "save") for family in (4, 6)]
        return "".join(read_now(Command((program,))) for program in programs if program)


def detect(wanted: IptablesVariant = IptablesVariant.AUTO) -> Tools:
    """The programs to use, and what they can do; SkydnsError where there is no iptables that works."""
    installed = _installed()
    if not installed:
        raise SkydnsError("iptables-restore not found: install iptables, or set portal.backend to nftables")
    if wanted is not IptablesVariant.AUTO:
        chosen = [each for each in installed if each.name == wanted.value]
        if not chosen:
            raise SkydnsError(f"no {wanted.value} iptables found: install it, or set portal.iptables to auto")
        return _tools(chosen[0])
    return _tools(_in_use(installed))


def _installed() -> list[_Variant]:
    """The one that ``iptables`` stands for first."""
    plain = _Variant(_flavour(which("iptables-restore")), "")
    named = [_Variant(name, f"-{name}") for name in ("nft", "legacy")]
    named.sort(key=lambda each: each.name != plain.name)
    found = [each for each in named if each.program(4, "restore") and each.program(4, "save")]
    if not any(each.name == plain.name for each in found) and plain.program(4, "restore"):
        found.insert(0, plain)
    return found


def _flavour(program: str) -> str:
    version = read_now(Command((program, "--version"))) if program else ""
    return "nft" if "nf_tables" in version else "legacy"


def _in_use(installed: list[_Variant]) -> _Variant:
    """Rule 2."""
    listings = {each: each.listing() for each in installed}
    foreign = {each: _foreign_rules(text) for each, text in listings.items()}
    hinted = [each for each in installed if HINT in listings[each]]
    chosen = hinted[0] if hinted else max(installed, key=lambda each: foreign[each])
    others = [each for each in installed if each is not chosen and foreign[each]]
    if others and foreign[chosen]:
        log.warning(
            "iptables: rules in both variants, %d in %s (used) and %d in %s: have every tool use one of them",
            *(foreign[chosen], chosen.name, foreign[others[0]], others[0].name),
        )
    return chosen


def _foreign_rules(listing: str) -> int:
    return sum(line.startswith("-A ") and PREFIX not in line for line in listing.splitlines())


def _tools(variant: _Variant) -> Tools:
    """Rule 3."""
    trial = _Trial(variant)
    places = [(verb, family) for verb in ("restore", "save") for family in (4, 6)]
    programs = {f"{verb}{family}": variant.program(family, verb) for verb, family in places}
    if not trial.possible:
        log.warning("iptables: no network namespace to try it out: neither xt_bpf nor --random-fully is used")
        return Tools(**programs, random_fully=False, bpf=False, wait=trial.wait)
    for module, rule in _NEEDED.items():
        if complaint := trial.complaint(4, f"{rule} {_TARGET[4]}"):
            raise SkydnsError(f"iptables ({variant.name}) cannot use {module}: {complaint}")
    six = bool(programs["restore6"]) and not trial.complaint(6, f"{_NEEDED['xt_statistic']} {_TARGET[6]}")
    families = (4, 6) if six else (4,)
    if not six:
        programs |= {"restore6": "", "save6": ""}
    hairpin = '-m bpf --bytecode "{}" -j RETURN'
    bpf = (trial.complaint(each, hairpin.format(hairpin_program(each))) for each in families)
    full = (trial.complaint(each, "-j MASQUERADE --random-fully", "POSTROUTING") for each in families)
    return Tools(**programs, random_fully=not any(full), bpf=not any(bpf), wait=trial.wait)


class _Trial:
    """Loads single rules where nobody sees them."""

    def __init__(self, variant: _Variant) -> None:
        self._variant = variant
        self._prefix: tuple[str, ...] = ("unshare", "--net")
        self.possible = not self._fails(4, "*nat\nCOMMIT\n")
        if not self.possible:
            self._prefix = APART
            self.possible = not self._fails(4, "*nat\nCOMMIT\n")
        waits = not self._fails(4, "*nat\nCOMMIT\n", "--test", "-w", "5", alone=self.possible)
        self.wait = ("-w", "5") if waits else ()

    def complaint(self, family: int, rule: str, chain: str = "PREROUTING") -> str:
        """What the program says of a rule in nat; "" if it takes it."""
        return self._fails(family, f"*nat\n-A {chain} {rule}\nCOMMIT\n")

    def _fails(self, family: int, text: str, *options: str, alone: bool = True) -> str:
        program = self._variant.program(family, "restore")
        prefix = self._prefix if alone else ()
        try:
            run_now(Command((*prefix, program, "--noflush", *options), text))
        except CommandFailed as error:
            return str(error)
        return ""
