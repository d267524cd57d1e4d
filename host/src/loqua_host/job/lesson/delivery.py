"""What a job sends at the end of its lesson, until the host has it."""

import asyncio

import structlog

from loqua_host.errors import LinkError
from loqua_host.job.telemetry import Telemetry
from loqua_host.link.client import HostLink
from loqua_host.link.messages import Finish, Recorded, SteppedOut

__all__ = ["deliver"]

log = structlog.get_logger()

RECORDED_SECONDS = 10.0


async def deliver(link: HostLink, telemetry: Telemetry, last: Finish | SteppedOut) -> None:
    """Send the last message of a lesson, and wait until the host has it in the ledger."""
    try:
        await telemetry.flush()
        await link.send(last)
        async with asyncio.timeout(RECORDED_SECONDS):
            await _recorded(link)
    except (LinkError, TimeoutError) as error:
        log.warning("lesson.unacknowledged", why=str(error) or "no answer in time")
    else:
        ending = last.ending
        log.info("lesson.finished", reason=ending.reason_shown, seconds=round(ending.seconds, 1))


async def _recorded(link: HostLink) -> None:
    while (message := await link.receive()) is not None:
        if isinstance(message, Recorded):
            return
    raise LinkError("the host is gone")
