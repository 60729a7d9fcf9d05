"""What a pod is given so that it finds Services without DNS, as data."""
