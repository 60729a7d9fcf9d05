"""What names the cluster has, and which RRsets each owns."""
