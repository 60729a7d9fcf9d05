"""Portals as nftables: maps that know every front and target, and one chain for each kind of decision."""
