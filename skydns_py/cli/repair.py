"""``skydns repair``: make reservations agree with Services, and give doubles an address of their own.

What Services have is the truth; ``survey`` says which findings follow from it.  Each is mended by one
transaction that compares all it was concluded from.  So writers may go on meanwhile: what has changed is
looked at again, a few times.
"""

import argparse
import sys
from collections.abc import Sequence

from skydns_py.cli import Commands, store, survey
from skydns_py.cli.store import Store
from skydns_py.cli.survey import Finding
from skydns_py.errors import ConfigError, SkydnsError, StoreError
from skydns_py.settings import EtcdSource

PASSES = 5


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "repair", help="find leaked and doubly used portal addresses and node ports", allow_abbrev=False
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what is wrong")
    store.add_flags(parser)
    store.add_portal_net(parser, "where Services get addresses from (source.etcd.portal_net)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """One line for each finding; SkydnsError names what could not be mended."""
    etcd = store.source(arguments)
    if not etcd.portal_net:
        raise ConfigError("repair needs --portal-net CIDR, or source.etcd.portal_net in -c FILE")
    with store.connect(etcd) as place:
        if arguments.dry_run:
            for finding in _findings(place, etcd):
                print(finding.what)
            return 0
        stuck = _repair(place, etcd)
    if stuck:
        raise SkydnsError("\n".join(f"{finding.what}, {finding.done}" for finding in stuck))
    return 0


def _repair(place: Store, etcd: EtcdSource) -> list[Finding]:
    """Mend what can be; what cannot. StoreError where others keep changing what it is about."""
    for _ in range(PASSES):
        findings = _findings(place, etcd)
        lost = [finding for finding in findings if finding.changes and not _mend(place, finding)]
        if not lost:
            return [finding for finding in findings if not finding.changes]
    raise StoreError("others keep changing what is to be repaired; repair again")


def _mend(place: Store, finding: Finding) -> bool:
    done = place.write(finding.changes, finding.unchanged)
    if done:
        print(f"{finding.what}, {finding.done}", flush=True)
    return done


def _findings(place: Store, etcd: EtcdSource) -> Sequence[Finding]:
    found = survey.read(place, etcd)
    for title in found.unreadable:
        print(f"skydns: {title} cannot be decoded; what it has stays as it is", file=sys.stderr)
    return found.findings()
