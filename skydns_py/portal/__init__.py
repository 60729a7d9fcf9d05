"""Portals: what stands behind a Service's addresses, planned as data (``plan``) and put into the kernel."""
