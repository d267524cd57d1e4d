"""One TLS context for the engines of a lesson, read once for all jobs.

Each HTTP client of an engine reads the system's certificates for itself, towards plain loopback
too: 40 ms of CPU in the middle of a lesson's start, and ten times that on a busy machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import httpcore2

__all__ = ["shared_context", "sharing_context"]

_read_certificates = httpcore2.default_ssl_context
shared_context = cache(_read_certificates)
"""Gives the context; as httpx2 calls it (httpx2 2.16.2, _config.py)."""


@contextmanager
def sharing_context() -> Iterator[None]:
    """Have the HTTP clients that are made within the block share one context.

    Only those: what a tutor makes for itself it may change as it likes.
    """
    httpcore2.default_ssl_context = shared_context
    try:
        yield
    finally:
        httpcore2.default_ssl_context = _read_certificates
