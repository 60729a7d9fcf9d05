"""The recorded cluster: what a Kubernetes 1.36 control plane wrote to etcd, and CoreDNS's answers for it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data" / "kubernetes-1.36"


def registry() -> Iterator[tuple[str, bytes]]:
    """Key and value of everything in etcd."""
    for line in (DATA / "registry.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield row["key"], base64.b64decode(row["value"])


def answers() -> list[dict[str, Any]]:
    """Every recorded query with its answer."""
    return [json.loads(line) for line in (DATA / "coredns-answers.jsonl").read_text().splitlines()]
