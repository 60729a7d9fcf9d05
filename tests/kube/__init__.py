"""The parts of the stand-in API server of ``tests/kube_api.py``."""
