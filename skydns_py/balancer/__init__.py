"""External load balancer: addresses from pools, announced on the network."""
