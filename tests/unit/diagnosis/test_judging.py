"""Verdicts on certificates, clocks, answers, rooms and the ledger."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.contract.records import Progress
from loqua_host.diagnosis.api import (
    ApiResponse,
    judge_answer,
    judge_authentication,
    judge_decryption,
    judge_lifetime,
    judge_limits,
)
from loqua_host.diagnosis.engines import judge_models
from loqua_host.diagnosis.finding import CheckState
from loqua_host.diagnosis.livekit import MediaPath, judge_media
from loqua_host.diagnosis.machine import (
    HealthReport,
    examine_workers,
    judge_disk,
    judge_ledger,
    judge_webhooks,
)
from loqua_host.diagnosis.present import judge_answers, judge_learners, judge_names
from loqua_host.diagnosis.reach import judge_certificate, judge_clock
from loqua_host.errors import ApiError, RefusedError, TokenError, UnreachableError
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.session_record import compose_record
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.rooms.learners import Participant
from loqua_host.settings.secrets import LedgerSecrets

DAY = 86_400.0
CERTIFICATE = {"notAfter": "Jan 30 00:00:00 2030 GMT"}
EXPIRY = float(ssl.cert_time_to_seconds(CERTIFICATE["notAfter"]))


@pytest.mark.parametrize(
    ("days", "state"), [(30, CheckState.OK), (6.9, CheckState.FAILED), (-1, CheckState.FAILED)]
)
def test_a_certificate_is_judged_by_the_days_left_to_it(days: float, state: CheckState) -> None:
    """A week is what it takes to have one renewed."""
    assert judge_certificate("api:443", CERTIFICATE, EXPIRY - days * DAY).state is state


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (1000.0, 1010.0, "differs by 10 s"),
        (1000.0, 1031.0, "this machine's clock is 31 s ahead of theirs"),
        (1031.0, 1000.0, "this machine's clock is 31 s behind theirs"),
        (None, 1000.0, "the answer had no Date to compare with"),
    ],
)
def test_clocks_may_differ_by_half_a_minute(theirs: float | None, ours: float, said: str) -> None:
    """Before LiveKit refuses tokens."""
    assert judge_clock(theirs, ours).reason == said


def unreachable(status: int | None) -> UnreachableError:
    """Return the error of an API that gives no usable answer."""
    return UnreachableError("user-token", "why", status=status)


def refused(status: int) -> RefusedError:
    """Return the error of an API that says no."""
    return RefusedError("user-token", "why", status=status)


UNFIT = TokenError("wrong_shared_secret", "why")


@pytest.mark.parametrize(
    ("error", "answered", "accepted", "opened"),
    [
        (None, CheckState.OK, CheckState.OK, CheckState.OK),
        (UNFIT, CheckState.OK, CheckState.OK, CheckState.FAILED),
        (refused(404), CheckState.OK, CheckState.OK, CheckState.FAILED),
        (refused(401), CheckState.OK, CheckState.FAILED, CheckState.FAILED),
        (refused(403), CheckState.OK, CheckState.FAILED, CheckState.FAILED),
        (refused(400), CheckState.OK, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(429), CheckState.OK, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(None), CheckState.FAILED, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(503), CheckState.FAILED, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(302), CheckState.FAILED, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(404), CheckState.FAILED, CheckState.UNTRIED, CheckState.FAILED),
        (unreachable(403), CheckState.FAILED, CheckState.FAILED, CheckState.FAILED),
        (unreachable(401), CheckState.OK, CheckState.FAILED, CheckState.FAILED),
    ],
)
def test_each_outcome_of_an_exchange_says_how_far_it_came(
    error: ApiError | None, answered: CheckState, accepted: CheckState, opened: CheckState
) -> None:
    """To the API, past its doorkeeper, to a token."""
    answer = ApiResponse(error, {}, 0.0)
    assert judge_answer(answer).state is answered
    assert judge_authentication(answer).state is accepted
    assert judge_decryption(answer, "ana", sealed=False).state is opened


def test_limits_are_read_from_the_headers() -> None:
    """Reached, near, or unknown."""
    spent = {"ratelimit-remaining": "0", "ratelimit-reset": "30"}
    assert judge_limits(ApiResponse(None, spent, 0.0)).state is CheckState.FAILED
    assert "asks to wait 30 s" in judge_limits(ApiResponse(None, spent, 0.0)).reason
    left = judge_limits(ApiResponse(None, {"ratelimit-remaining": "12"}, 0.0))
    assert left.reason == "12 calls are left"
    assert judge_limits(ApiResponse(unreachable(429), {}, 0.0)).state is CheckState.FAILED


def test_the_agent_s_jwt_is_judged_by_the_life_left_to_it() -> None:
    """From the day that config says to warn."""
    assert judge_lifetime(8 * DAY, 7 * DAY).state is CheckState.OK
    assert judge_lifetime(6 * DAY, 7 * DAY).reason == "AGENT_JWT_TOKEN expires in 6.0 days"
    assert judge_lifetime(-DAY, 7 * DAY).reason == "AGENT_JWT_TOKEN expired 1.0 days ago"


@pytest.mark.parametrize(
    ("ways", "state"),
    [
        ([MediaPath("udp", "HOST")], CheckState.OK),
        ([MediaPath("udp", "RELAY"), MediaPath("udp", "HOST")], CheckState.OK),
        ([MediaPath("tcp", "HOST")], CheckState.FAILED),
        ([MediaPath("udp", "HOST"), MediaPath("tcp", "RELAY")], CheckState.FAILED),
        ([], CheckState.FAILED),
    ],
)
def test_sound_is_to_go_by_udp(ways: list[MediaPath], state: CheckState) -> None:
    """Relayed or not."""
    assert judge_media(ways).state is state


def participant(kind: str = "standard", **attributes: str) -> Participant:
    """Return somebody in a room; in names of attributes, _ stands for a dot."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return Participant("who", kind, "", named, writes_own_attributes=False, joined_at=0.0)


def test_learners_are_judged_as_jobs_would() -> None:
    """An empty room is no failure; a learner without a user_id is one."""
    assert judge_learners({"r": []}).state is CheckState.UNTRIED
    assert judge_learners({"r": [participant(user_id="ana")]}).state is CheckState.OK
    judged = judge_learners({"r": [participant(user_id="ana")], "s": [participant()]})
    assert judged.reason.startswith("room s: User ID not found in participant metadata")


def test_an_agent_under_a_tutor_s_name_is_to_be_a_tutor() -> None:
    """The attribute of this host identifies its own participants."""
    ours = participant("agent", lk__agent__name="grammar", loqua__tutor="grammar")
    theirs = participant("agent", lk__agent__name="grammar")
    other = participant("agent", lk__agent__name="sales")
    assert judge_names({"r": [participant()]}, ["grammar"]) is None
    for present, state in (([ours, other], CheckState.OK), ([ours, theirs], CheckState.FAILED)):
        verdict = judge_names({"r": present}, ["grammar"])
        assert verdict is not None
        assert verdict.state is state
    assert judge_answers({"grammar": None, "": None}).state is CheckState.OK
    assert "a host elsewhere answers to grammar" in judge_answers({"grammar": ours}).reason
    assert judge_answers({"grammar": ours, "": theirs}).state is CheckState.FAILED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, CheckState.OK),
        (404, CheckState.OK),
        (401, CheckState.FAILED),
        (500, CheckState.FAILED),
    ],
)
def test_an_engine_is_judged_by_its_list_of_models(status: int, state: CheckState) -> None:
    """A service without such a list is there, at least."""
    assert judge_models("http://speech/v1", status).state is state


def test_workers_are_what_the_running_host_says() -> None:
    """Registered, not registered, refused, or nobody to say so; and whether jobs start at all."""
    findings = [
        {"name": "job processes", "state": "degraded", "reason": "not checked yet"},
        {"name": "worker a", "state": "ok", "reason": "registered"},
        {"name": "worker b", "state": "failed", "reason": "not registered"},
    ]
    health = HealthReport.model_validate({"levels": [{"findings": findings}]})
    states = [one.verdict.state for one in examine_workers(health, ["a", "b", "c"])]
    assert states == [CheckState.OK, CheckState.OK, CheckState.FAILED, CheckState.FAILED]
    assert [one.verdict.state for one in examine_workers(None, ["a"])] == [CheckState.UNTRIED] * 2
    findings[0]["state"] = "failed"
    health = HealthReport.model_validate({"levels": [{"findings": findings}]})
    assert examine_workers(health, [])[0].verdict.state is CheckState.FAILED


def test_webhooks_are_counted_but_not_asked_for() -> None:
    """The host works without them."""
    assert judge_webhooks(None, None).state is CheckState.UNTRIED
    assert judge_webhooks(3.0, 4.0).reason == "LiveKit sends webhooks to the host"
    assert judge_webhooks(3.0, 3.0).state is CheckState.OK


async def test_the_ledger_is_looked_at_beside_the_host_that_has_it(
    tmp_path: Path, a_lesson: Callable[..., LessonRow]
) -> None:
    """One that is not there yet is made by the first start; another's key is a failure."""
    path = tmp_path / "var" / "ledger.db"
    assert judge_ledger(path, LedgerSecrets()).state is CheckState.OK
    assert not path.parent.exists()
    async with Ledger.open(SqliteDatabase(path)):
        assert judge_ledger(path, LedgerSecrets()).state is CheckState.OK
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        row = await ledger.open_lesson(a_lesson(), "")
        record = compose_record(row, None, 60).record
        await ledger.close_lesson(row, 500.0, Kind.COMPLETED, Progress(), record)
        entry = await ledger.next_entry(row.id)
        assert entry is not None
        await ledger.dead_letter(entry, "sessions: 400: INVALID_FIELD", 1.0)
        reason = judge_ledger(path, LedgerSecrets()).reason
    assert reason.startswith(
        "Session data not persisting: 1 entries were refused, as sessions: 400"
    )
    path.write_bytes(b"no ledger at all" * 100)
    assert judge_ledger(path, LedgerSecrets()).state is CheckState.FAILED
    assert judge_disk(0.5).state is CheckState.OK
    assert judge_disk(0.09).state is CheckState.FAILED
