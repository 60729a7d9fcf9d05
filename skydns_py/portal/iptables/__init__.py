"""Portals through iptables: the text for iptables-restore, and what the host's tools can do."""
