"""Checks of the host's port: whether it is free."""

import errno
import socket
from collections.abc import Callable

from loqua_host.errors import Problem
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.problems import KeyPath

from .machine import RunningHost

__all__ = ["port_problems"]

Where = Callable[[KeyPath], str]


async def port_problems(ops: OpsSettings, where: Where) -> list[Problem]:
    """Find why a host could not listen at its ops address, unless it runs there already.

    Args:
        ops: The section `ops:`.
        where: Names the file and key of a setting.
    """
    problem = _port_problem(ops, where)
    if problem is None or await RunningHost(ops).is_alive():
        return []
    return [problem]


def _port_problem(ops: OpsSettings, where: Where) -> Problem | None:
    if not ops.port:
        return None
    try:
        _bind(ops.address, ops.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "write another port, or stop the program that listens there"
            return Problem(where(("ops", "port")), f"{ops.port} is in use by another", hint)
        what = f"{ops.address} port {ops.port} cannot be opened: {error.strerror}"
        hint = "write an address of this machine, such as 127.0.0.1, and a port above 1023"
        return Problem(where(("ops", "address")), what, hint)
    return None


def _bind(address: str, port: int) -> None:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, place in found:
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind(place)
