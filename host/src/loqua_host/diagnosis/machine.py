"""Checks of this machine: a running host, the ledger and its disk."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from loqua_host.errors import LedgerError, OpsError
from loqua_host.ops.drain import DRAIN
from loqua_host.ops.snapshot import HostSnapshot
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.database import database_at
from loqua_host.settings.certificates import trusting_context
from loqua_host.settings.directories import ledger_fault
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.secrets import LedgerSecrets
from loqua_host.system.disk import free_share

from .finding import Check, Finding, Verdict, failed, in_order, ok, untried

__all__ = [
    "HealthReport",
    "RunningHost",
    "examine_disk",
    "examine_workers",
    "judge_disk",
    "judge_ledger",
    "judge_webhooks",
]

DISK_FREE: Final = 0.10
"""The share of the disk below which the alert DiskLow fires."""

JOBS: Final = "job processes"
"""The name of the host's own check at `/health`."""

NO_HOST: Final = "no host answers at the address of `ops:`"

START: Final = "start it with `loqua-host run`, or set ops.address and ops.port to where it runs"

ANYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared with, not bound to


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str
    state: str
    reason: str


class _Level(BaseModel):
    model_config = ConfigDict(frozen=True)
    findings: tuple[_Part, ...]


class HealthReport(BaseModel):
    """The response of a host at `/health`."""

    model_config = ConfigDict(frozen=True)
    levels: tuple[_Level, ...]

    def parts(self) -> Iterator[_Part]:
        """Yield all that it looked at."""
        for level in self.levels:
            yield from level.findings


@dataclass(frozen=True, slots=True)
class RunningHost:
    """The host that may run here with this configuration, asked at its ops address.

    Attributes:
        ops: Where that would be.
        tokens: What it may ask for, newest first.
    """

    ops: OpsSettings
    tokens: Sequence[SecretStr] = ()

    async def health(self) -> HealthReport | None:
        """Return its health; None if no host runs, or something else answers there."""
        answer = await self._ask("/health")
        try:
            return None if answer is None else HealthReport.model_validate_json(answer)
        except ValidationError:
            return HealthReport(levels=())

    async def snapshot(self) -> HostSnapshot:
        """Return what its status page shows.

        Raises:
            OpsError: If no host runs, it refuses the token, or something else answers there.
        """
        if self.ops.port is None:
            raise OpsError(
                "ops.port is null: set it to the port that the host serves its status at"
            )
        answer = await self._get("/status")
        if answer is None:
            raise OpsError(f"{NO_HOST} ({self._url('/')}): {START}")
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            hint = "set OPS_TOKEN to the host's"
            raise OpsError(f"the host at {self._url('/')} refuses the token: {hint}")
        try:
            return HostSnapshot.model_validate_json(answer.content)
        except ValidationError:
            hint = "set ops.address and ops.port to a host of this version"
            raise OpsError(f"the service at {self._url('/')} returns no status: {hint}") from None

    async def is_alive(self) -> bool:
        """Return whether one runs; it is asked as probes ask, without a token."""
        return await self._ask("/health/live") == b"alive\n"

    async def webhooks(self) -> float | None:
        """Return how many webhooks the running host has received; None if no host runs."""
        answer = await self._ask("/metrics")
        found = re.search(rb"^loqua_webhooks_total (\S+)$", answer or b"", re.MULTILINE)
        return None if found is None else float(found[1])

    async def drain(self, seconds: float) -> bool | None:
        """Drain it; return whether no lesson is left, None if no host runs or it refuses.

        Args:
            seconds: How long to wait for its lessons to end.
        """
        try:
            answer = await self._request("POST", DRAIN, seconds)
        except httpx.ReadTimeout:
            return False
        except (OSError, httpx.HTTPError):
            return None
        return (answer is not None and answer.content == b"drained\n") or None

    async def _ask(self, path: str) -> bytes | None:
        answer = await self._get(path)
        return None if answer is None else answer.content

    async def _get(self, path: str) -> httpx.Response | None:
        try:
            return await self._request("GET", path, 5.0)
        except (OSError, httpx.HTTPError):
            return None

    async def _request(self, method: str, path: str, seconds: float) -> httpx.Response | None:
        """Send a request; return None if the host has no ops address."""
        if not self.ops.port:
            return None
        verify = trusting_context(self.ops.tls) if self.ops.tls else True
        timeout = httpx.Timeout(5.0, read=seconds)
        async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=timeout) as http:
            return await http.request(method, self._url(path), headers=self._headers())

    def _url(self, path: str) -> httpx.URL:
        address = "127.0.0.1" if self.ops.address in ANYWHERE else self.ops.address
        scheme = "https" if self.ops.tls else "http"
        return httpx.URL(scheme=scheme, host=address, port=self.ops.port, path=path)

    def _headers(self) -> dict[str, str]:
        if not self.tokens:
            return {}
        return {"Authorization": f"Bearer {self.tokens[0].get_secret_value()}"}


def judge_webhooks(before: float | None, after: float | None) -> Verdict:
    """Judge whether the host received a webhook of a room that was opened between two counts."""
    if before is None or after is None:
        return untried(NO_HOST)
    if after > before:
        return ok("LiveKit sends webhooks to the host")
    return ok("LiveKit sends no webhooks to the host; with them, lessons start sooner")


def examine_workers(health: HealthReport | None, tutors: Sequence[str]) -> list[Finding]:
    """Return whether the running host can start jobs and has registered each tutor at LiveKit."""
    names = [JOBS, *(f"worker {tutor}" for tutor in tutors)]
    if health is None:
        return [Finding(name, untried(NO_HOST)) for name in names]
    parts = {part.name: part for part in health.parts()}
    return [Finding(name, _judge_part(parts.get(name))) for name in names]


def _judge_part(part: _Part | None) -> Verdict:
    if part is None:
        return failed(
            "/health at the address of `ops:` does not report it",
            "see that host's log, and its version",
        )
    if part.name == JOBS and part.state == "failed":
        return failed(part.reason, "start that host again")
    if part.name == JOBS:
        return ok(part.reason)
    if part.state != "ok":
        return failed(part.reason, "see config/prometheus/runbooks/WorkerOffline.md")
    return ok(part.reason)


async def examine_disk(ledger: Path, secrets: LedgerSecrets) -> list[Finding]:
    """Check the ledger and its disk; a host may have it open."""

    async def opened() -> Verdict:
        return await asyncio.to_thread(judge_ledger, ledger, secrets)

    async def space() -> Verdict:
        return judge_disk(free_share(_existing(ledger)))

    hangs = "see whether its disk or database hangs"
    return await in_order([Check("ledger", opened, hangs), Check("disk", space, hangs)])


def judge_ledger(path: Path, secrets: LedgerSecrets) -> Verdict:
    """Judge whether the ledger can be opened, and whether the API refused what is in it."""
    if secrets.url is None:
        hint = "let the host's user read and write there, or set ledger.path"
        if why := ledger_fault(path.absolute()):
            return failed(f"{path} cannot be used: {why}", hint)
        if not path.exists():
            return ok(f"{path} does not exist yet; the first start creates it")
    try:
        database = database_at(path, secrets.open_url())
        with LedgerAdmin.open(database, secrets.open_keys()) as ledger:
            dead = ledger.entries(dead_only=True)
    except LedgerError as error:
        return failed(str(error), "follow this message: until then, no host starts")
    if dead:
        why = dead[-1].dead_reason
        hint = "see `loqua-host records list --dead`; once it is repaired, `records resend --dead`"
        return failed(
            f"Session data not persisting: {len(dead)} entries were refused, as {why}", hint
        )
    return ok("it opens, and has no refused entries")


def judge_disk(free: float) -> Verdict:
    """Judge the free share of the ledger's disk."""
    if free < DISK_FREE:
        return failed(f"{free:.0%} of the ledger's disk is free", "free some, or move ledger.path")
    return ok(f"{free:.0%} of the ledger's disk is free")


def _existing(path: Path) -> Path:
    """Return the innermost directory around a path that is there."""
    return next(one for one in path.absolute().parents if one.exists())
