"""What several commands ask for before they start."""

import re
from pathlib import Path

from skydns_py.errors import ConfigError
from skydns_py.settings import ManifestSource, Settings

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
"""Numbers of capabilities(7)."""


def may(*capabilities: int) -> bool:
    """Whether this process has all these capabilities (capabilities(7))."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    has = int(found[1], 16) if found else 0
    return all(has >> each & 1 for each in capabilities)


def with_manifests(found: Settings) -> Settings:
    """These settings; ConfigError where they name manifests that are not there."""
    if isinstance(found.source, ManifestSource) and not Path(found.source.path).exists():
        raise ConfigError(f"{found.source.path}: no such file or folder to take manifests from")
    return found
