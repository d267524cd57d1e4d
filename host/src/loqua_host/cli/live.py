"""`loqua-host check --live`: try every service that a lesson needs."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog
import typer

from loqua_host.core.clock import SystemClock
from loqua_host.diagnosis.diagnose import diagnose
from loqua_host.diagnosis.finding import CheckState, Finding, ok
from loqua_host.errors import ConfigError
from loqua_host.livekit_internals import silence_native_log
from loqua_host.ops.logs import hide_tokens
from loqua_host.settings.load import load_settings
from loqua_host.settings.problems import printable
from loqua_host.settings.secrets import WantedSecrets, read_secrets

from .tables import print_table

__all__ = ["check_live"]

HEADINGS = ("check", "state", "took", "found")


def check_live(config: Path, environ: Mapping[str, str], learner: str | None) -> int:
    """Print what was tried and its result.

    Returns:
        The exit status: 0 if nothing failed. What could not be tried does not count.
    """
    clock = SystemClock()
    begun = clock.monotonic()
    try:
        settings = load_settings(config, environ)
        secrets = read_secrets(config, environ, WantedSecrets.by(settings))
    except ConfigError:
        typer.echo("\nskipped --live: fix the configuration first", err=True)
        return 1
    verdict = ok(f"all found, from {settings.secrets.place}")
    _be_quiet()
    findings = [
        Finding("secrets", verdict, clock.monotonic() - begun),
        *asyncio.run(diagnose(settings, secrets, learner, clock.now)),
    ]
    typer.echo()
    print_table(HEADINGS, _rows(findings))
    wrong = [finding for finding in findings if finding.verdict.state is CheckState.FAILED]
    for finding in wrong:
        reason = _shown(finding.verdict.reason)
        typer.echo(f"\n{finding.name}\n  {reason}\n  → {finding.verdict.hint}", err=True)
    return 1 if wrong else 0


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, ...]]:
    for finding in findings:
        verdict = finding.verdict
        took = "-" if verdict.state is CheckState.UNTRIED else f"{finding.seconds:.2f} s"
        yield finding.name, verdict.state, took, _shown(verdict.reason)


def _shown(reason: str) -> str:
    """Return a text that a server may have written, as one line without tokens."""
    return hide_tokens(printable(reason))


def _be_quiet() -> None:
    """Log nothing, because the findings contain what matters."""
    logging.disable(logging.CRITICAL)
    silence_native_log()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
