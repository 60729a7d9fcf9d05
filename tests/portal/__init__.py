"""Tests of the portal: what is planned, what is printed, and what the kernel does with it."""
