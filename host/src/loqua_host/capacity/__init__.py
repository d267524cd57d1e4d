"""Capacity: how many lessons this machine can run."""
