"""Results of checks, and their execution: each within a limit, one after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Check",
    "CheckState",
    "Finding",
    "Verdict",
    "broken",
    "failed",
    "in_order",
    "ok",
    "untried",
]

LIMIT = 10.0
"""Maximum seconds of a check without a limit of its own."""


class CheckState(StrEnum):
    """The state of a check."""

    OK = "ok"
    FAILED = "failed"
    UNTRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check.

    Attributes:
        reason: What was found, or why nothing was tried, in words without a secret.
        hint: What the operator is to do about a failure.
    """

    state: CheckState
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check with its name, verdict and duration in seconds; a check may be skipped."""

    name: str
    verdict: Verdict
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check to run.

    Attributes:
        ask: Tries it.
        hangs: The hint when that takes longer than `limit` seconds.
        gate: Whether those after it make no sense unless it is ok.
    """

    name: str
    ask: Callable[[], Awaitable[Verdict]]
    hangs: str
    gate: bool = False
    limit: float = LIMIT


def ok(reason: str) -> Verdict:
    """Return the finding that all is well."""
    return Verdict(CheckState.OK, reason)


def failed(reason: str, hint: str) -> Verdict:
    """Return what is wrong and what fixes it."""
    return Verdict(CheckState.FAILED, reason, hint)


def untried(reason: str) -> Verdict:
    """Return why it was not tried."""
    return Verdict(CheckState.UNTRIED, reason)


async def in_order(checks: Iterable[Check], after: str | None = None) -> list[Finding]:
    """Make checks one after the other; past a gate that is not ok, none is tried.

    Args:
        checks: What to try.
        after: The name of a gate that is broken already.
    """
    findings = []
    for check in checks:
        if after is not None:
            findings.append(Finding(check.name, untried(f"comes after {after}")))
            continue
        finding = await _made(check)
        findings.append(finding)
        if check.gate and finding.verdict.state is not CheckState.OK:
            after = check.name
    return findings


def broken(findings: Sequence[Finding]) -> str | None:
    """Return the name of the first finding that is not ok."""
    return next((one.name for one in findings if one.verdict.state is not CheckState.OK), None)


async def _made(check: Check) -> Finding:
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        async with asyncio.timeout(check.limit):
            verdict = await check.ask()
    except TimeoutError:
        verdict = failed(f"nothing within {check.limit:g} s", check.hangs)
    return Finding(check.name, verdict, clock() - begun)
