"""`loqua-host records` beside a running host: its output, and the host's reaction."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from loqua_host.cli import app
from loqua_host.cli import ledger as ledgers
from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import Caller
from loqua_host.core.clock import SystemClock
from loqua_host.errors import RefusedError
from loqua_host.observability.metrics import Instruments
from loqua_host.records import delivery as delivering
from loqua_host.records.captures import CapturedJob, Captures
from loqua_host.records.database import database_at
from loqua_host.records.delivery import Delivery
from loqua_host.records.encryption import KeyRing
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.regions import RegionReport

KEY = "ledger-" * 6
Command = Callable[..., Awaitable[tuple[int, str, str]]]


@dataclass
class RepairableApi:
    """An API that refuses everything until it is repaired."""

    broken: bool = True
    records: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)

    async def send_progress(self, _: Caller, *, session_id: str, **__: object) -> None:
        """Take progress, or not."""
        self._refuse()
        self.progress.append(session_id)

    async def create_session(self, _: Caller, record: SessionRecord, **__: object) -> None:
        """Take a record, or not."""
        self._refuse()
        self.records.append(record.session_id)

    def _refuse(self) -> None:
        if self.broken:
            raise RefusedError("sessions", "an achievement is too long", status=400)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a host with a ledger of its own."""
    directory = tmp_path / "config"
    (directory / "tutors").mkdir(parents=True)
    places = f"path: {tmp_path / 'ledger.db'}, captures: {tmp_path / 'captures'}"
    (directory / "host.yaml").write_text(f"ledger: {{{places}}}", "utf-8")
    (directory / "tutors/conversation.yaml").write_text("worker_type: automatic", "utf-8")
    return directory


@pytest.fixture
def environ(ledger_url: str | None) -> dict[str, str]:
    """Return the environment of the command."""
    return {
        "AGENT_ID": "loqua-host-1",
        "API_BASE_URL": "http://127.0.0.1:9000",
        "LIVEKIT_URL": "ws://127.0.0.1:7880",
        "LEDGER_KEY": KEY,
        **({"LEDGER_URL": ledger_url} if ledger_url else {}),
    }


@pytest.fixture
def command(config: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what runs the command in this process: its status, output and errors.

    As it runs when it has started itself again with a clean environment, which takes a second.
    """

    async def run(*arguments: str, group: str = "records", **changed: str) -> tuple[int, str, str]:
        monkeypatch.setattr(ledgers, "take_startup_environ", lambda _: environ | changed)
        written = [group, *arguments, "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, app, written)
        return done.exit_code, done.stdout, done.stderr

    return run


@pytest.fixture
def api() -> RepairableApi:
    """Return the API."""
    return RepairableApi()


@pytest.fixture
async def ledger(tmp_path: Path, ledger_url: str | None) -> AsyncIterator[Ledger]:
    """Yield the ledger of a host that runs, with one lesson closed and one that goes on."""
    database = database_at(tmp_path / "ledger.db", ledger_url)
    async with Ledger.open(database, keys=[KEY]) as ledger:
        rows = []
        for number in (1, 2):
            row = LessonRow(
                id=f"lesson{number}",
                session_id="",
                visit=f"sess_{number}",
                user_id="maria",
                room=f"room{number}",
                tutor="conversation",
                agent_id="loqua-tutor",
                opened_at=SystemClock().now(),
            )
            rows.append(await ledger.open_lesson(row, ""))
        record = SessionRecord(
            session_id="sess_1", duration_minutes=1, overall_performance=Performance.GOOD
        )
        progress = Progress(words_learned=3)
        why = ["first_words: words_learned_total is 3, of 1"]
        await ledger.close_lesson(rows[0], 1.8e9, Kind.COMPLETED, progress, record, why)
        yield ledger


@pytest.fixture
async def delivery(
    ledger: Ledger, api: RepairableApi, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Delivery]:
    """Yield a delivery that looks at the ledger often."""
    monkeypatch.setattr(delivering, "POLL_INTERVAL", 0.05)
    delivery = Delivery(ledger, api, clock=SystemClock(), metrics=DeliveryMetrics(Instruments()))  # type: ignore[arg-type]  # a fake
    running = asyncio.create_task(delivery.run())
    async with asyncio.timeout(30):
        await delivery.wait_delivered("lesson1")
    yield delivery
    running.cancel()
    await asyncio.wait([running])


async def test_what_was_refused_is_listed_and_sent_again_while_the_host_runs(
    api: RepairableApi, delivery: Delivery, command: Command
) -> None:
    """The operator sees why, fixes the API, and the running host notices."""
    status, listed, _ = await command("list", "--dead")
    assert status == 0
    head, *rows = [line.split("\t") for line in listed.splitlines()]
    assert head == ["session", "user", "tutor", "kind", "attempts", "state"]
    why = "dead: sessions: an achievement is too long"
    assert rows == [
        ["sess_1", "maria", "conversation", "completed", "1", why],
        ["sess_1", "maria", "conversation", "record", "1", why],
    ]
    api.broken = False
    status, printed, _ = await command("resend", "--dead")
    assert (status, "2 to send" in printed) == (0, True)
    async with asyncio.timeout(30):
        while not api.records:  # noqa: ASYNC110  # the API is what is watched
            await asyncio.sleep(0.02)
    assert (api.progress, api.records) == (["sess_1"], ["sess_1"])
    async with asyncio.timeout(30):
        await delivery.wait_delivered("lesson1")


async def test_a_lesson_is_explained(command: Command, ledger: Ledger) -> None:
    """Its outbox entries, their results, and the reasons for the record's derived values."""
    assert [*await ledger.pending_lessons()] == ["lesson1"]
    status, printed, _ = await command("explain", "sess_1")
    lesson = json.loads(printed)
    assert status == 0
    assert lesson["reasons"] == ["first_words: words_learned_total is 3, of 1"]
    assert [entry["kind"] for entry in lesson["undelivered"]] == ["completed", "record"]
    assert lesson["undelivered"][0]["payload"]["words_learned"] == 3
    assert datetime.fromisoformat(lesson["opened_at"]).tzinfo is not None
    row = lesson["undelivered"][0]
    assert (row["not_before"], row["dead_at"]) == (None, None)  # and no seconds since 1970
    status, _, errors = await command("explain", "nobody")
    assert (status, "not in the ledger" in errors) == (1, True)


async def test_an_operator_sees_and_chooses_the_region_that_teaches(
    command: Command, ledger: Ledger
) -> None:
    """Beside hosts that run; one without regions gets a message with the setting."""
    status, _, errors = await command("show", group="region")
    assert (status, "set regions:" in errors) == (1, True)
    for name in ("west", "east"):
        await ledger.report_region(RegionReport(name, "west", ready=True, failover_after=None))
    status, printed, _ = await command("activate", "east", group="region")
    assert (status, printed.splitlines()[1:]) == (0, ["east: 1 ready hosts"])
    assert printed.startswith("east teaches since 20")
    status, _, errors = await command("activate", "esat", group="region")
    assert (status, "no host of esat has run" in errors) == (1, True)


async def test_one_lesson_is_sent_again_and_nothing_without_being_named(
    command: Command, ledger: Ledger
) -> None:
    """Also what is merely waiting for its next attempt."""
    row = await ledger.next_entry("lesson1")
    assert row is not None
    await ledger.postpone(row, 9e9, maybe_delivered=False)
    assert (await command("resend", "sess_1"))[1].startswith("2 to send")
    again = await ledger.next_entry("lesson1")
    assert again is not None
    assert again.not_before == 0.0
    for wrong in ([], ["sess_1", "--dead"]):
        status, _, errors = await command("resend", *wrong)
        assert (status, "write either a session id or --dead" in errors) == (1, True)


async def test_a_learner_gets_all_and_has_all_deleted(
    command: Command, ledger: Ledger, tmp_path: Path
) -> None:
    """Neither the files nor the running host keep data of the learner."""
    part = CapturedJob(tutor="conversation", messages=())
    captures = Captures(tmp_path / "captures", KeyRing((KEY,)))
    captures.append("sess_1", part)
    _, exported, _ = await command("export", "maria")
    lessons = json.loads(exported)["lessons"]
    assert json.loads(exported)["captures"] == [part.model_dump(mode="json")]
    assert [lesson["session_id"] for lesson in lessons] == ["sess_1", "sess_2"]
    assert lessons[0]["undelivered"][1]["payload"]["session_id"] == "sess_1"
    status, printed, _ = await command("delete", "maria", "--yes")
    assert status == 0
    assert printed.startswith("deleted 2 lessons (1 running) and 2 undelivered entries")
    row = LessonRow("lesson2", "sess_2", "sess_2", "maria", "room2", "conversation", "a", 0.0)
    await ledger.save_progress(row, 1.0, Progress(words_learned=9), {})
    record = SessionRecord(
        session_id="sess_2", duration_minutes=1, overall_performance=Performance.GOOD
    )
    await ledger.close_lesson(row, 5.0, Kind.FAILED, None, record)
    assert (await ledger.pending_lessons(), await ledger.interrupted()) == ({}, [])
    assert json.loads((await command("export", "maria"))[1])["lessons"] == []
    assert captures.read("sess_1") == []
    assert not any(b"sess_1" in file.read_bytes() for file in files(tmp_path))


async def test_nothing_is_deleted_unless_the_operator_means_it(
    command: Command, ledger: Ledger
) -> None:
    """Without a terminal to ask there is no yes."""
    assert (await command("delete", "maria"))[0] == 1
    assert [*await ledger.pending_lessons()] == ["lesson1"]


async def test_the_ledgers_key_is_in_no_environment_that_jobs_could_read(
    config: Path, environ: dict[str, str], ledger: Ledger
) -> None:
    """The command may wait for its operator for long, beside a host that runs."""
    written = ("records", "delete", "maria", "--config", str(config))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loqua_host", *written),
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    async with asyncio.timeout(60):
        await process.stdout.readuntil(b"delivered or not?")
    assert not {"AGENT_ID", "LEDGER_KEY"} & psutil.Process(process.pid).environ().keys()
    await process.communicate(b"n\n")
    assert [*await ledger.pending_lessons()] == ["lesson1"]


async def test_a_wrong_key_and_a_missing_ledger_are_told_with_their_hint(
    command: Command, ledger: Ledger, tmp_path: Path, ledger_url: str | None
) -> None:
    """The command creates and prints nothing."""
    assert ledger is not None
    status, output, errors = await command("list", LEDGER_KEY="another-" * 4)
    assert (status, output, "LEDGER_KEY_PREVIOUS" in errors) == (1, "", True)
    if ledger_url is not None:
        status, _, errors = await command("list", LEDGER_URL=f"{ledger_url}elsewhere")
        assert (status, "contains no ledger" in errors) == (1, True)
        return
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    status, _, errors = await command("list")
    assert (status, "is not there" in errors) == (1, True)
    assert not (tmp_path / "ledger.db").exists()


def files(directory: Path) -> list[Path]:
    """List the ledger's files."""
    return [file for file in directory.iterdir() if file.name.startswith("ledger")]
