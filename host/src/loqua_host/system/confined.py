"""Confines the process that imports it, as the one that jobs are forked from does first of all."""

from .sandbox import confine_from_environ

__all__: list[str] = []

confine_from_environ()
