"""The runbooks as pages, and the lookup of the one that explains an error or a finding."""

from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Final

from markdown_it import MarkdownIt

from loqua_host.settings.templates import TEMPLATES

from .health import HealthFinding, HealthState
from .status import HostStatus

__all__ = ["render_runbook", "runbook_of_event", "runbook_of_finding"]

FOLDER: Final = TEMPLATES / "prometheus" / "runbooks"

OF_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "AgentAuthenticationFails": ("lesson.refused",),
    "ApiVersionDeprecated": ("api.deprecated",),
    "BreakerOpen": (
        *("breaker.opened", "breaker.learner_suspended", "health.refused", "health.unreachable"),
        "lesson.without_api",
    ),
    "CapacityExhausted": (
        *("announcement.without_voice", "job.refused", "learner.not_notified_aloud"),
    ),
    "ConfigStale": (
        *("config.needs_restart", "config.not_watched", "config.refused", "secret.refresh_failed"),
        "tutor.refused",
    ),
    "DeadLetters": ("progress.dead", "record.dead"),
    "HostDown": ("forkserver.died", "host.refused", "ops.unavailable"),
    "InternalErrors": ("delivery.failed", "error.caught", "error.uncaught"),
    "LearnerWaiting": ("job.lost", "reconciler.rooms_unreachable", "reconciler.failed"),
    "LedgerFails": (
        *("ledger.failed", "ledger.lease_not_renewed", "ledger.unreadable", "lesson.unreadable"),
        *("spool.failed", "spool.unreadable"),
    ),
    "LiveKitKeyRefused": ("livekit.key_refused",),
    "OpsCertificateExpiring": ("ops.certificate_expired", "ops.certificate_kept"),
    "RecordsOverdue": ("progress.postponed", "record.postponed", "record.refused"),
    "TokenRefreshFails": ("token.refresh_failed",),
    "TutorCrashLoop": (
        *("job.hung", "job.over_limit", "lesson.given_up", "lesson.interrupted", "link.closed"),
    ),
    "WorkerOffline": ("job.process_failed", "worker.failed"),
}
"""Events of the host's log, by the runbook that explains them."""

BY_EVENT: Final = {event: name for name, events in OF_EVENTS.items() for event in events}

BY_FINDING: Final[Mapping[str, str]] = {
    "AGENT_JWT_TOKEN": "AgentJwtExpiring",
    "API version": "ApiVersionDeprecated",
    "API's database": "BreakerOpen",
    "LIVEKIT_API_KEY": "LiveKitKeyRefused",
    "config": "ConfigStale",
    "disk": "DiskLow",
    "engines": "FallbackEngineServes",
    "forkserver": "HostDown",
    "job processes": "WorkerOffline",
    "learners": "LearnerWaiting",
    "ledger": "LedgerFails",
    "loop": "EventLoopLagHigh",
    "memory": "MemoryHigh",
    "ops certificate": "OpsCertificateExpiring",
    "rooms API": "WorkerOffline",
}


def runbook_of_event(event: str) -> str | None:
    """Return the name of the runbook for a warning or an error in the log, None without one."""
    return BY_EVENT.get(event)


def runbook_of_finding(finding: HealthFinding, status: HostStatus) -> str | None:
    """Return the name of the runbook for a finding of this status, None if all is well."""
    if finding.state is HealthState.OK:
        return None
    if finding.name == "outbox":
        return "DeadLetters" if status.backlog.dead else "RecordsOverdue"
    if (endpoint := status.endpoints.get(finding.name)) is not None:
        return "BreakerOpen" if endpoint.failure else "ApiSlow"
    return BY_FINDING.get(finding.name, "WorkerOffline")


@cache
def render_runbook(name: str) -> str | None:
    """Return a runbook as an HTML page in the style of the status page.

    Args:
        name: Its name, with or without the `.md` of links between the files.

    Returns:
        None if there is none of that name.
    """
    name = name.removesuffix(".md")
    if name not in _names():
        return None
    body = MarkdownIt("commonmark", {"html": False}).render((FOLDER / f"{name}.md").read_text())
    for other in _names() - {name}:
        body = body.replace(f"<code>{other}</code>", f'<a href="/runbooks/{other}">{other}</a>')
    return PAGE.format(name=escape(name), body=body)


def _names() -> frozenset[str]:
    return frozenset(file.stem for file in FOLDER.glob("*.md"))


PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name} · runbook · loqua-host</title>
<link rel="stylesheet" href="/ops.css">
</head>
<body class="runbook">
<header><a href="/">← Status</a></header>
<main>
{body}</main>
</body>
</html>
"""
