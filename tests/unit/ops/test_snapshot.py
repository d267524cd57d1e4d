"""The snapshot of the host that page, JSON and terminal share."""

from dataclasses import replace

import pytest
from tests.pictures.incident import OUTAGE, incident

from loqua_host.core.endpoints import EndpointStatus
from loqua_host.core.versions import VersionStatus
from loqua_host.lessons.decisions import Wait
from loqua_host.ops.health import HealthState, assess
from loqua_host.ops.snapshot import HostSnapshot
from loqua_host.ops.status import HostStatus, LessonStatus, WorkerStatus
from loqua_host.records.ledger import Backlog


def tutor(**state: bool) -> tuple[str, HealthState]:
    """Return how a worker in this state is shown."""
    worker = WorkerStatus("grammar", "", busy=0, places=1, **{"online": False, **state})
    [shown] = incident(replace(OUTAGE, workers=(worker,))).tutors
    return shown.registration, shown.state


def test_a_snapshot_survives_its_way_as_json() -> None:
    """`loqua-host top` sees what the host saw."""
    snapshot = incident()
    assert HostSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_a_snapshot_cannot_be_changed() -> None:
    """It is of one moment."""
    with pytest.raises(ValueError, match="frozen"):
        incident().ready = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"online": True}, ("registered", HealthState.OK)),
        ({"is_new": True}, ("registering", HealthState.DEGRADED)),
        ({}, ("offline", HealthState.FAILED)),
        ({"online": True, "leaving": True}, ("draining", HealthState.DEGRADED)),
        ({"online": True, "stuck": True}, ("stuck", HealthState.FAILED)),
    ],
    ids=["registered", "registering", "offline", "draining", "stuck"],
)
def test_a_tutor_has_the_state_of_its_worker(
    state: dict[str, bool], shown: tuple[str, HealthState]
) -> None:
    """It is that of /health, except that draining is a warning."""
    assert tutor(**state) == shown


def test_a_tutor_shows_how_it_is_dispatched_its_lessons_and_who_waits_for_it() -> None:
    """Everything of one tutor in one row."""
    conversation, _, pronunciation = incident().tutors
    assert (conversation.dispatch, pronunciation.dispatch) == ("automatic", "explicit")
    assert (conversation.lessons, conversation.jobs, conversation.max_jobs) == (6, 6, 12)
    assert (conversation.waiting, pronunciation.waiting) == (0, 2)


def test_lessons_in_trouble_come_first_the_oldest_before_others() -> None:
    """An operator looks for these."""
    lessons = (
        LessonStatus("well", "grammar", "full", OUTAGE.unix - 900, 0, {"tts": 0}),
        LessonStatus("lost", "grammar", "full", OUTAGE.unix - 30, 1),
        LessonStatus("cached", "grammar", "cache", OUTAGE.unix - 60, 0),
        LessonStatus("fallback", "grammar", "full", OUTAGE.unix - 10, 0, {"tts": 2, "stt": 0}),
        LessonStatus("ahead", "grammar", "full", OUTAGE.unix + 5, 0),
    )
    shown = incident(replace(OUTAGE, lessons=lessons)).lessons
    assert [one.id for one in shown] == ["cached", "lost", "fallback", "well", "ahead"]
    assert [one.age for one in shown] == [60.0, 30.0, 10.0, 900.0, 0.0]
    assert shown[2].fallbacks == ("tts[2]",)


def test_waiting_learners_are_counted_by_tutor_and_not_named() -> None:
    """With the longest of their waits."""
    waits = (Wait("grammar", 3.0), Wait("conversation", 7.0), Wait("grammar", 41.0))
    first, second = incident(replace(OUTAGE, waiting=waits)).waiting
    assert (first.tutor, first.learners, first.longest) == ("conversation", 1, 7.0)
    assert (second.tutor, second.learners, second.longest) == ("grammar", 2, 41.0)


def test_the_outbox_shows_what_the_api_lacks() -> None:
    """And for how long."""
    backlog = Backlog(records=2, progress=5, dead=1, oldest=OUTAGE.unix - 30)
    outbox = incident(replace(OUTAGE, backlog=backlog, spooled=4)).outbox
    assert (outbox.records, outbox.progress, outbox.dead) == (2, 5, 1)
    assert (outbox.oldest, outbox.spooled) == (30.0, 4)
    assert incident(replace(OUTAGE, backlog=Backlog())).outbox.oldest is None


def test_each_endpoint_has_its_breaker_and_the_state_that_health_gives_it() -> None:
    """The one that fails differs from the others."""
    found = {one.name: (one.breaker, one.state) for one in incident().endpoints}
    assert found["sessions"] == ("open", HealthState.FAILED)
    assert found["context"] == ("closed", HealthState.OK)


def test_every_finding_that_is_not_ok_leads_to_a_runbook() -> None:
    """Of whatever is wrong."""
    wrong = HostStatus(
        now=OUTAGE.now,
        unix=OUTAGE.unix,
        stale_config="a: wrong",
        refused_key="unauthenticated",
        lag=9.0,
        memory=0.99,
        forkserver=False,
        disk_free=0.0,
        workers=(WorkerStatus("grammar", "", online=False, busy=0, places=1),),
        lessons=(LessonStatus("a", "grammar", "full", 0.0, 0, {"tts": 1}),),
        waiting=(Wait("grammar", 99.0),),
        endpoints={
            "context": EndpointStatus(OUTAGE.now, 9.0),
            "health": EndpointStatus(OUTAGE.now, 0.1, "503"),
        },
        agent_jwt_left=-1.0,
        api_version=VersionStatus("v1", deprecated=True),
        certificate_left=-1.0,
        backlog=Backlog(dead=1),
    )
    findings = [one for level in incident(wrong).levels for one in level.findings]
    without = [one.name for one in findings if one.state != "ok" and one.runbook is None]
    assert without == []
    books = {one.name: one.runbook for one in findings}
    assert (books["context"], books["health"]) == ("ApiSlow", "BreakerOpen")
    assert (books["outbox"], books["worker grammar"]) == ("DeadLetters", "WorkerOffline")
    assert books["phase"] is None


def test_an_error_brings_its_remedy_and_its_runbook() -> None:
    """The newest first, with how long ago it was."""
    newest, *_, oldest = incident().errors
    assert (newest.event, newest.runbook, newest.tutor) == (
        "job.refused",
        "CapacityExhausted",
        "pronunciation",
    )
    assert newest.hint.startswith("raise max_concurrent_jobs")
    assert (newest.age, newest.state) == (22.0, HealthState.DEGRADED)
    assert (oldest.level, oldest.state) == ("error", HealthState.FAILED)


def test_a_snapshot_agrees_with_health() -> None:
    """They are of the same status."""
    snapshot, health = incident(), assess(OUTAGE)
    assert (snapshot.state, snapshot.ready) == (health.state, health.ready)
    assert [(one.name, one.state) for one in snapshot.levels] == [
        (one.name, one.state) for one in health.levels
    ]
