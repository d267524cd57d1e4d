"""Installations without the packages for development."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import pytest

WITHOUT_FASTAPI = """
import sys
from loqua_host.__main__ import main
sys.modules["fastapi"] = None
main()
"""


@pytest.mark.parametrize("command", ["demo", "devapi"])
async def test_a_command_whose_extra_is_missing_says_what_to_install(command: str) -> None:
    """One line instead of a traceback, and a failing exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_FASTAPI, command, stderr=PIPE
    )
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert complaint == b"this command needs fastapi: install loqua-host[dev]\n"
