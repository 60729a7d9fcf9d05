"""Cluster DNS: a Service that someone writes becomes a name that a pod resolves."""

__version__ = "0.1.0"
