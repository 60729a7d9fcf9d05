"""Whole programs: network namespaces, glibc, dig."""
