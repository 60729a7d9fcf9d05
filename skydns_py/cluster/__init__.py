"""The cluster as objects: what the sources say exists, decoded once and never mutated."""
