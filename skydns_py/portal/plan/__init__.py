"""Cluster → portals, as data. Nothing here knows of a kernel, a process or a clock."""
