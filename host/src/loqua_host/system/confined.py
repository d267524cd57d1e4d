"""Sandboxing of the importing process; the forkserver of jobs imports it first."""

from .sandbox import confine_from_environ

__all__: list[str] = []

confine_from_environ()
