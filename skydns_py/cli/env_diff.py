"""What a running pod's environment lacks of what a new pod would get: ``skydns env --diff``.

1. Missing (``+``): a new pod would get it, the pod has it not; its Service came after the pod.
2. Changed (``~``): the pod has another value than a new one would get.  Where Services contend for a
   variable (``pods.environment``, rule 6), each of their values is right.
3. Stale (``-``): the pod has it from a Service that is gone, or that gives it no more.
4. A process's environment does not say which variables came from Services.  Where ``X_SERVICE_HOST`` is
   an IP address, ``X_SERVICE_PORT``, ``X_PORT`` and what is made of them belong to a Service ``X``; all
   else that no Service gives now is the container's own and of no interest here.
5. A container's own variable wins over a Service's, and so shows as changed.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from skydns_py.errors import ConfigError

MAX_OCTETS = 16 * 2**20
"""Octets of an environment that are read; Linux gives a new process at most 6 MiB (execve(2))."""
LONGEST_NAME = 255
"""Octets of a variable's name; those of Services have at most 140, made of two DNS labels.  What a pod
prints is the pod's choice, and a name of megabytes could be read in a million ways."""
STDIN = "-"

_PAIR = re.compile(r"([^=\s]+)=(.*)", re.DOTALL)
_HOST = "_SERVICE_HOST"
_JOINT = re.compile(r"_(?=SERVICE_|PORT)")
_REST = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT(_[0-9]+_[A-Z]+(_PROTO|_PORT|_ADDR)?)?")


@dataclass(frozen=True, slots=True)
class Difference:
    """By name: values to get, (value had, value to get), and values had; each in order of the names."""

    missing: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    stale: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.stale)

    def lines(self) -> list[str]:
        """A line for each variable, those of one name's beginning together."""
        found = {name: f"+ {name}={value}" for name, value in self.missing.items()}
        found |= {name: f"~ {name}={to} (was {_shown(had)})" for name, (had, to) in self.changed.items()}
        found |= {name: f"- {name}={_shown(value)}" for name, value in self.stale.items()}
        return [found[name] for name in sorted(found)]

    def document(self) -> dict[str, object]:
        """The same for JSON."""
        changed = {name: {"had": had, "gets": to} for name, (had, to) in self.changed.items()}
        return {"missing": dict(self.missing), "changed": changed, "stale": dict(self.stale)}


def compare(had: Mapping[str, str], gets: Mapping[str, Sequence[str]]) -> Difference:
    """What separates a pod's environment from a new pod's, as ``candidates`` gives it."""
    made = from_services(had)
    both = [name for name in sorted(gets) if name in had]
    return Difference(
        {name: gets[name][-1] for name in sorted(gets) if name not in had},
        {name: (had[name], gets[name][-1]) for name in both if had[name] not in gets[name]},
        {name: had[name] for name in sorted(made) if name not in gets},
    )


def from_services(had: Mapping[str, str]) -> set[str]:
    """The variables that look as though a kubelet had made them (rule 4)."""
    hosts = {name.removesuffix(_HOST) for name in had if name.endswith(_HOST) and _is_address(had[name])}
    short = (name for name in had if len(name) <= LONGEST_NAME)
    return {name for name in short if any(service in hosts for service in _possible_services(name))}


def _possible_services(name: str) -> Iterator[str]:
    """``X`` for each way to read ``name`` as a variable of a Service ``X``."""
    for joint in _JOINT.finditer(name):
        if _REST.fullmatch(name, joint.start()):
            yield name[: joint.start()]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def read(path: str) -> dict[str, str]:
    """A process's environment from a file, or from standard input for "-"; ConfigError where it is none."""
    where = "standard input" if path == STDIN else path
    try:
        octets = _octets(path)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from None
    if len(octets) > MAX_OCTETS:
        raise ConfigError(f"{where}: is larger than {MAX_OCTETS // 2**20} MiB, which no environment is")
    found = parse(octets)
    if not found:
        reason = "holds no NAME=VALUE; give what `env` prints in the pod, or its /proc/PID/environ"
        raise ConfigError(f"{where}: {reason}")
    return found


def _octets(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_OCTETS + 1)
    with open(path, "rb") as file:
        return file.read(MAX_OCTETS + 1)


def parse(octets: bytes) -> dict[str, str]:
    r"""The variables of ``/proc/PID/environ`` (each ends in NUL), or of what ``env`` prints (a line each).

    A line without a name is taken for more of the value before it; a terminal's carriage return at the
    end of a value is dropped.  Only the form with NUL is exact: a value that holds a newline and then
    ``A=b`` cannot be told from two variables.  The first of a name counts, as it does for getenv(3);
    what is not UTF-8 becomes ``\xff``.
    """
    text = octets.decode(errors="backslashreplace")
    if "\0" in text:
        pairs = [pair for part in text.split("\0") if (pair := _PAIR.fullmatch(part))]
        return {pair[1]: pair[2] for pair in reversed(pairs)}
    values: dict[str, list[str]] = {}
    here: list[str] = []
    for line in text.rstrip("\r\n").split("\n"):
        if pair := _PAIR.fullmatch(line):
            here = [pair[2]]
            values.setdefault(pair[1], here)
        else:
            here.append(line)
    return {name: "\n".join(lines).removesuffix("\r") for name, lines in values.items()}


def _shown(value: str) -> str:
    """A value as it is where it is plain, else quoted and escaped, on one line."""
    return value if value.isprintable() and value == value.strip() else ascii(value)
