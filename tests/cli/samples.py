"""What the tests write."""

import json
from typing import Any

import yaml

KEY = "services/specs/my-ns/web"
"""Where ``service()`` is stored, below the registry's prefix."""


def service(name: str = "web", port: object = 80, **more: object) -> str:
    spec = {"clusterIP": "10.0.0.9", "ports": [{"name": "http", "port": port}]}
    metadata = {"name": name, "namespace": "my-ns"}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, **more})


def stored(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
