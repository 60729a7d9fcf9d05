"""Portals as iptables rules: the Backend contract over iptables-restore, one command a family and sync.

A command is atomic by table, as the program is: each COMMIT stands or falls by itself.  The order (raw,
filter, nat) is chosen so that what a half of it leaves is sound: what must be refused is refused before
anything stops to be translated, and a translated connection is never refused.  Nothing is written for a
family without portals; what stands there under our name is taken away.
"""

from collections.abc import Sequence

from skydns_py.portal.backend import Command
from skydns_py.portal.iptables.inventory import Found, leads_to_us, parse
from skydns_py.portal.iptables.portals import Printer
from skydns_py.portal.iptables.skeleton import GUARD, HOOKS, skeleton
from skydns_py.portal.iptables.table import Step, Table
from skydns_py.portal.iptables.tools import Tools
from skydns_py.portal.iptables.tree import Tree, by_address, by_port
from skydns_py.portal.plan.model import Host, Portal, ServiceKey

__all__ = ["IptablesBackend", "Tools"]


class _Family:
    """The tables of one family."""

    def __init__(self, host: Host, tools: Tools, family: int) -> None:
        trees = {
            "raw": [],
            "filter": [by_address("FRONT", family), by_port("PORT")],
            "nat": [by_address("PUBLIC", family), by_address("PORTAL", family), by_port("NODE")],
        }
        if not tools.bpf:
            trees["nat"].append(by_address("HAIRPIN", family))
        fixed = skeleton(host, tools, family)
        self.tables = {name: Table(name, fixed[name], trees[name]) for name in HOOKS}
        self.printer = Printer(host, tools, family)
        self.portals = 0
        self._trees: dict[str, Tree] = {tree.name: tree for some in trees.values() for tree in some}

    def put(self, place: str, key: str, owner: str, rules: str) -> None:
        if place in self._trees:
            self._trees[place].put(key, owner, rules)
        else:
            self.tables[place].put(key, rules)

    def plan(self) -> str:
        return "".join([table.plan(self.portals > 0) for table in self.tables.values()])


class IptablesBackend:
    """See ``skydns_py.portal.backend.Backend``.

    Node ports at 127.0.0.1 need route_localnet, which opens the loopback to neighbours (CVE-2020-8558) but
    for the chain ``GUARD``: it is set after that chain is there, and taken back before it goes.
    """

    name = "iptables"

    def __init__(self, host: Host, tools: Tools) -> None:
        self._loopback = host.localhost_node_ports
        self._guard_there = self._opened = self._opens = False
        self._tools = tools
        self._families = {
            family: _Family(host.of(family), tools, family) for family in (4, 6) if tools.save(family)
        }
        self._placed: dict[ServiceKey, str] = {}

    @property
    def untidy(self) -> bool:
        """Whether flushed chains wait to be deleted."""
        return any(table.untidy for family in self._families.values() for table in family.tables.values())

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        """These are the Service's portals from now on; a family without a program is passed over."""
        served = [portal for portal in portals if portal.family in self._families]
        pieces = {
            f"{portal.family} {piece.place} {piece.key} {piece.owner}": piece.rules
            for portal in served
            for piece in self._families[portal.family].printer.pieces(portal)
            if piece.rules
        }
        before = self._placed.pop(service, "")
        for place in before.splitlines():
            self._count(place, -1)
            if place not in pieces:
                self._put(place, "")
        for place, rules in pieces.items():
            self._count(place, 1)
            self._put(place, rules)
        if pieces:
            self._placed[service] = "\n".join(pieces)

    def inventory(self) -> tuple[Command, ...]:
        """One listing a family."""
        return tuple(Command((self._tools.save(family),)) for family in self._families)

    def adopt(self, outputs: Sequence[str]) -> None:
        """What ``inventory`` printed, in its order."""
        self._guard_there = any(_has_guard(output) for output in outputs)
        self._opened = False
        for family, output in zip(self._families.values(), outputs, strict=True):
            found = parse(output)
            for name, table in family.tables.items():
                table.adopt(found.get(name, Found()))

    def pending(self) -> tuple[Command, ...]:
        """One iptables-restore for each family that differs from what is wanted."""
        texts = {number: family.plan() for number, family in self._families.items()}
        commands = [Command(self._tools.restore(number), text) for number, text in texts.items() if text]
        self._opens = self._may_open()
        if self._opens and not self._opened:
            commands.append(_route_localnet(1))
        if self._guard_there and not self._opens:
            commands.insert(0, _route_localnet(0))
        return tuple(commands)

    def committed(self) -> None:
        """The last ``pending`` is in the kernel."""
        self._guard_there = self._opened = self._opens
        for family in self._families.values():
            for table in family.tables.values():
                table.committed()

    def cleanup(self, outputs: Sequence[str]) -> tuple[Command, ...]:
        """Two commands a family: take out the jumps and flush, then delete."""
        commands = [_route_localnet(0)] if any(map(_has_guard, outputs)) else []
        for number, output in zip(self._families, outputs, strict=True):
            tables = parse(output).items()
            for steps in (
                [(name, _emptied(found)) for name, found in tables],
                [(name, Step(deleted=found.chains - found.held)) for name, found in tables],
            ):
                text = "".join(step.text(name) for name, step in steps)
                if text:
                    commands.append(Command(self._tools.restore(number), text))
        return tuple(commands)

    def _may_open(self) -> bool:
        """Whether the guard is part of what is wanted: a family without portals has no rules."""
        return self._loopback and 4 in self._families and self._families[4].portals > 0

    def _put(self, place: str, rules: str) -> None:
        family, tree, key, owner = place.split(" ")
        self._families[int(family)].put(tree, key, owner, rules)

    def _count(self, place: str, more: int) -> None:
        self._families[int(place[0])].portals += more


def _emptied(found: Found) -> Step:
    moves = [
        f"-D {hook} {rule}\n" for hook, rules in found.hooks.items() for rule in rules if leads_to_us(rule)
    ]
    return Step(flushed=found.chains, moves=moves)


def _has_guard(output: str) -> bool:
    return f"\n:{GUARD} " in output


def _route_localnet(value: int) -> Command:
    """Whether packets to 127.0.0.0/8 are routed (Linux ip-sysctl)."""
    return Command(("tee", "/proc/sys/net/ipv4/conf/all/route_localnet"), f"{value}\n")
