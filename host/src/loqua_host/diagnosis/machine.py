"""This machine: the host that may run on it, the ledger and its disk."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from loqua_host.errors import LedgerError
from loqua_host.records.archive import Archive
from loqua_host.records.place import database_at
from loqua_host.settings.host import OpsSettings
from loqua_host.settings.secrets import LedgerSecrets

from .finding import Check, Finding, Verdict, failed, in_order, ok, untried

__all__ = ["Health", "examine_disk", "examine_workers", "judge_ledger", "running_host"]

DISK_FREE: Final = 0.10
"""The share of the disk below which the alert DiskLow fires."""

ANYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # compared with, not bound to


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str
    state: str
    reason: str


class _Level(BaseModel):
    model_config = ConfigDict(frozen=True)
    findings: tuple[_Part, ...]


class Health(BaseModel):
    """What a host says at `/health`."""

    model_config = ConfigDict(frozen=True)
    levels: tuple[_Level, ...]

    def parts(self) -> Iterator[_Part]:
        """Give all that it looked at."""
        for level in self.levels:
            yield from level.findings


async def running_host(ops: OpsSettings, tokens: Sequence[SecretStr] = ()) -> Health | None:
    """Give the health of the host that runs here with this configuration; None if none does.

    Of whatever else answers there, nothing is known.

    Args:
        ops: Where it would be asked.
        tokens: What it may ask for, newest first.
    """
    if not ops.port:
        return None
    address = "127.0.0.1" if ops.address in ANYWHERE else ops.address
    url = httpx.URL(scheme="http", host=address, port=ops.port, path="/health")
    try:
        async with httpx.AsyncClient(auth=_auth(tokens)) as http:
            return Health.model_validate_json((await http.get(url)).content)
    except httpx.HTTPError:
        return None
    except ValidationError:
        return Health(levels=())


def _auth(tokens: Sequence[SecretStr]) -> tuple[str, str] | None:
    return ("check", tokens[0].get_secret_value()) if tokens else None


def examine_workers(health: Health | None, tutors: Sequence[str]) -> list[Finding]:
    """Say of each tutor whether the host that runs has registered it at LiveKit."""
    if health is None:
        verdict = untried("no host answers at the address of `ops:`")
        return [Finding(f"worker {tutor}", verdict) for tutor in tutors]
    parts = {part.name: part for part in health.parts()}
    names = (f"worker {tutor}" for tutor in tutors)
    return [Finding(name, _judge_worker(parts.get(name))) for name in names]


def _judge_worker(part: _Part | None) -> Verdict:
    if part is None:
        return failed("what answers at the address of `ops:` has no such tutor", "see its log")
    if part.state != "ok":
        return failed(part.reason, "see config/prometheus/runbooks/WorkerOffline.md")
    return ok(part.reason)


async def examine_disk(ledger: Path, secrets: LedgerSecrets) -> list[Finding]:
    """Look at the ledger and the disk it is on; a host may have it open meanwhile."""

    async def opened() -> Verdict:
        return judge_ledger(ledger, secrets)

    async def space() -> Verdict:
        usage = shutil.disk_usage(_existing(ledger))
        return judge_disk(usage.free / usage.total)

    hangs = "see whether its disk hangs"
    return await in_order([Check("ledger", opened, hangs), Check("disk", space, hangs)])


def judge_ledger(path: Path, secrets: LedgerSecrets) -> Verdict:
    """Judge whether the ledger can be opened, and whether the API refused what is in it."""
    if secrets.url is None and not path.exists():
        if os.access(_existing(path), os.W_OK):
            return ok(f"{path} is not there yet; the first start makes it")
        return failed(
            f"{path} cannot be made", "let the host's user write there, or set ledger.path"
        )
    try:
        database = database_at(path, secrets.open_url())
        with Archive.open(database, secrets.open_keys()) as archive:
            dead = archive.letters(dead_only=True)
    except LedgerError as error:
        return failed(str(error), "do as it says: no host starts with it as it is")
    if dead:
        why = dead[-1].dead_because
        mend = "see `loqua-host records list --dead`; once it is mended, `records resend --dead`"
        return failed(f"Session data not persisting: {len(dead)} rows were refused, as {why}", mend)
    return ok("it opens, and nothing in it was refused")


def judge_disk(free: float) -> Verdict:
    """Judge the free share of the ledger's disk."""
    if free < DISK_FREE:
        return failed(f"{free:.0%} of the ledger's disk is free", "free some, or move ledger.path")
    return ok(f"{free:.0%} of the ledger's disk is free")


def _existing(path: Path) -> Path:
    """Give the innermost directory around a path that is there."""
    return next(one for one in path.absolute().parents if one.exists())
