"""All checks; independent ones run in parallel."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.workers.worker import LiveKitAccess

from .api import examine_api
from .engines import examine_engines
from .finding import CheckState, Finding
from .jobs import examine_jobs
from .livekit import ROOMS_API, examine_livekit
from .machine import RunningHost, examine_disk, examine_workers, judge_webhooks
from .present import examine_present

__all__ = ["diagnose"]


async def diagnose(
    settings: HostSettings,
    secrets: HostSecrets,
    learner: str | None,
    now: Callable[[], float],
) -> list[Finding]:
    """Try all that a lesson needs; a host may run meanwhile.

    Args:
        settings: The host's settings.
        secrets: The host's secrets.
        learner: The user id of a learner kept for tests; see `examine_api`.
        now: This machine's clock, in Unix seconds.
    """
    return await _side_by_side(
        [
            examine_api(settings, secrets.cache, learner, now),
            _examine_rooms(settings, secrets, now),
            examine_engines(settings, secrets.grant),
            examine_disk(settings.ledger.path, secrets.ledger),
            examine_jobs(),
        ]
    )


async def _examine_rooms(
    settings: HostSettings, secrets: HostSecrets, now: Callable[[], float]
) -> list[Finding]:
    """Try LiveKit, then ask it of others: the check's own room is gone by then."""
    tutors = settings.enabled_tutors
    access = LiveKitAccess(settings.livekit.url, secrets.livekit())
    host = RunningHost(settings.ops, secrets.ops_tokens())
    health, webhooks_before = await host.health(), await host.webhooks()
    findings = await examine_livekit(access, now)
    findings.append(Finding("webhooks", judge_webhooks(webhooks_before, await host.webhooks())))
    findings += examine_workers(health, [tutor.name for tutor in tutors])
    names = [tutor.agent_name or "" for tutor in tutors]
    alone = health is None and bool(settings.ops.port)
    answers = any(one.name == ROOMS_API and one.verdict.state is CheckState.OK for one in findings)
    after = None if answers else ROOMS_API
    return findings + await examine_present(access, names, call=alone, after=after)


async def _side_by_side(
    examining: Iterable[Coroutine[Any, Any, list[Finding]]],
) -> list[Finding]:
    async with asyncio.TaskGroup() as tasks:
        groups = [tasks.create_task(one) for one in examining]
    return [finding for group in groups for finding in group.result()]
