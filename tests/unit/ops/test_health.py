"""Health in the guide's four levels."""

from dataclasses import replace

import pytest

from loqua_host.core.breaker import BreakerState
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.core.versions import VersionStatus
from loqua_host.lessons.decisions import Wait
from loqua_host.ops.health import HealthFinding, HealthState, assess
from loqua_host.ops.status import HostStatus, LessonStatus, Outcome, Phase, WorkerStatus
from loqua_host.records.ledger import Backlog
from loqua_host.records.regions import RegionState
from loqua_host.settings.regions import RegionSettings

NOW = 5_000.0
UNIX = 1_800_000_000.0
FINE = Outcome(at=NOW - 3, seconds=0.02)
ANSWERED = EndpointStatus(at=NOW - 3, seconds=0.02)
WELL = HostStatus(
    now=NOW,
    unix=UNIX,
    phase=Phase.SERVING,
    workers=(WorkerStatus("grammar", "grammar-specialist", online=True, busy=1, places=2),),
    rooms=FINE,
    endpoints={"user-token": ANSWERED, "health": ANSWERED},
    agent_jwt_left=30 * 86_400,
    ledger=FINE,
    jobs=FINE,
)


def finding(status: HostStatus, level: int, name: str) -> HealthFinding:
    """Return the finding of that name, and see that its level is no better than it."""
    judged = assess(status).levels[level - 1]
    [found] = [one for one in judged.findings if one.name == name]
    assert list(HealthState).index(judged.state) >= list(HealthState).index(found.state)
    return found


def test_a_host_that_does_well_is_ok_at_each_of_the_four_levels_and_ready() -> None:
    """In the guide's order."""
    health = assess(WELL)
    assert [level.name for level in health.levels] == ["host", "livekit", "api", "database"]
    assert {level.state for level in health.levels} == {health.state} == {HealthState.OK}
    assert health.ready


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
def test_a_host_that_starts_or_drains_is_not_ready_and_yet_well(phase: Phase) -> None:
    """No new lessons should come, and nobody need be woken."""
    health = assess(replace(WELL, phase=phase))
    assert (health.ready, health.state) == (False, HealthState.OK)


@pytest.mark.parametrize(
    ("lag", "state"),
    [(0.1, HealthState.OK), (0.25, HealthState.DEGRADED), (2.0, HealthState.FAILED)],
)
def test_a_loop_that_lags_is_reported_with_its_lag(lag: float, state: HealthState) -> None:
    """Everything in the host waits for it."""
    found = finding(replace(WELL, lag=lag), 1, "loop")
    assert (found.state, found.latency) == (state, lag)


@pytest.mark.parametrize(
    ("waits", "state", "expected"),
    [
        ((), HealthState.OK, "nobody waits for a tutor"),
        ((4.0,), HealthState.OK, "1 learner waits for a tutor, the longest for 4 s"),
        ((4.0, 34.0), HealthState.DEGRADED, "2 learners wait for a tutor, the longest for 34 s"),
    ],
)
def test_a_learner_who_waits_too_long_is_reported_and_keeps_none_away(
    waits: tuple[float, ...], state: HealthState, expected: str
) -> None:
    """Others may well find a tutor."""
    seen = replace(WELL, waiting=tuple(Wait("grammar", seconds) for seconds in waits))
    found = finding(seen, 1, "learners")
    assert (found.state, found.reason) == (state, expected)
    assert assess(seen).ready


def test_a_lesson_that_a_fallback_serves_is_a_worry_and_keeps_none_away() -> None:
    """The status contains the engine, its list, and the number of lessons."""
    lessons = (
        LessonStatus("a", "grammar", "full", 0.0, 0, {"tts": 1, "stt": 0}),
        LessonStatus("b", "grammar", "full", 0.0, 0, {"tts": 1, "llm": 2}),
    )
    seen = replace(WELL, lessons=lessons)
    found = finding(seen, 1, "engines")
    assert (found.state, found.reason) == (
        HealthState.DEGRADED,
        "grammar: engines.llm[2] serves 1 lesson; grammar: engines.tts[1] serves 2 lessons",
    )
    assert assess(seen).ready
    assert finding(WELL, 1, "engines").state is HealthState.OK


def test_a_record_that_is_overdue_is_a_worry() -> None:
    """A new entry is not."""
    for age, state in ((200.0, HealthState.OK), (720.0, HealthState.DEGRADED)):
        backlog = Backlog(records=3, progress=0, dead=0, oldest=UNIX - age)
        found = finding(replace(WELL, backlog=backlog), 4, "outbox")
        assert found.state is state
        assert ("the oldest for 12 min" in found.reason) == (state is HealthState.DEGRADED)


def test_a_host_that_can_start_no_job_takes_none() -> None:
    """Its supervisor starts it anew."""
    gone = replace(WELL, forkserver=False)
    assert finding(gone, 1, "forkserver").state is HealthState.FAILED
    assert not assess(gone).ready


def test_what_the_kernel_lacks_for_the_sandbox_is_a_worry_and_keeps_none_away() -> None:
    """It is named; a complete sandbox is well."""
    assert finding(WELL, 1, "sandbox").state is HealthState.OK
    found = finding(replace(WELL, sandbox_gaps=("signals (Linux 6.12)",)), 1, "sandbox")
    assert found.state is HealthState.DEGRADED
    assert "signals (Linux 6.12)" in found.reason
    assert assess(replace(WELL, sandbox_gaps=("signals",))).ready


def test_a_host_whose_jobs_would_not_reach_it_takes_none() -> None:
    """Though the process that jobs are forked from is there."""
    lost = replace(WELL, jobs=replace(FINE, failure="a process for a job does not reach the host"))
    assert finding(lost, 1, "job processes").state is HealthState.FAILED
    assert not assess(lost).ready


def test_a_worker_whose_job_processes_never_get_ready_makes_the_host_not_ready() -> None:
    """Though LiveKit has it."""
    health = assess(replace(WELL, workers=(replace(WELL.workers[0], stuck=True),)))
    assert (health.levels[1].state, health.ready) == (HealthState.FAILED, False)


@pytest.mark.parametrize(
    ("changed", "name", "state"),
    [
        ({"memory": 0.86}, "memory", HealthState.DEGRADED),
        ({"memory": 0.96}, "memory", HealthState.FAILED),
        ({"disk_free": 0.05}, "disk", HealthState.DEGRADED),
        ({"disk_free": 0.01}, "disk", HealthState.FAILED),
    ],
)
def test_memory_and_disk_that_run_out_are_found(
    changed: dict[str, float], name: str, state: HealthState
) -> None:
    """Memory from the guide's 85 % on."""
    assert finding(replace(WELL, **changed), 1, name).state is state  # type: ignore[arg-type]  # by parameter


def test_a_worker_that_livekit_does_not_have_makes_the_host_not_ready() -> None:
    """Its learners would wait for nobody; the reason names the settings."""
    offline = replace(WELL.workers[0], online=False)
    status = replace(WELL, workers=(*WELL.workers, offline))
    health = assess(status)
    assert (health.levels[1].state, health.ready) == (HealthState.FAILED, False)
    reason = health.levels[1].findings[1].reason
    assert "livekit.url" in reason


def test_workers_that_come_and_go_leave_the_host_ready() -> None:
    """A tutor enabled or disabled in a running host keeps no learner from the others."""
    coming = replace(WELL.workers[0], tutor="coming", online=False, is_new=True)
    going = replace(WELL.workers[0], tutor="going", online=False, leaving=True)
    health = assess(replace(WELL, workers=(*WELL.workers, coming, going)))
    assert health.ready
    states = [one.state for one in health.levels[1].findings[:3]]
    assert states == [HealthState.OK, HealthState.DEGRADED, HealthState.OK]


def test_a_key_that_livekit_refuses_leaves_the_host_ready_with_the_one_before() -> None:
    """For as long as LiveKit takes that."""
    status = replace(WELL, refused_key="unauthenticated; add the new key")
    found = finding(status, 2, "LIVEKIT_API_KEY")
    assert (found.state, assess(status).ready) == (HealthState.DEGRADED, True)
    assert found.reason.endswith("the previous one is used: unauthenticated; add the new key")


def test_a_rooms_api_that_fails_is_reported_in_its_own_words_with_latency_and_age() -> None:
    """The values are those of its last call."""
    found = finding(replace(WELL, rooms=Outcome(NOW - 7, 5.0, "no answer")), 2, "rooms API")
    assert found == HealthFinding(
        "rooms API", HealthState.FAILED, "no answer", latency=5.0, age=7.0
    )


@pytest.mark.parametrize("outcome", [None, Outcome(NOW - 61, 0.01)])
def test_what_was_not_asked_lately_counts_as_degraded(outcome: Outcome | None) -> None:
    """An old answer proves nothing."""
    assert finding(replace(WELL, rooms=outcome), 2, "rooms API").state is HealthState.DEGRADED
    assert finding(replace(WELL, ledger=outcome), 4, "ledger").state is HealthState.DEGRADED


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (EndpointStatus(NOW, 0.1), HealthState.OK),
        (EndpointStatus(NOW, 2.1), HealthState.DEGRADED),
        (EndpointStatus(NOW, 0.1, "503"), HealthState.DEGRADED),
        (EndpointStatus(NOW, 0.1, "503", BreakerState.OPEN), HealthState.FAILED),
        (EndpointStatus(NOW, 0.1, "503", BreakerState.HALF_OPEN), HealthState.DEGRADED),
    ],
    ids=["answered", "slow", "failed", "held back", "tried out"],
)
def test_an_endpoint_is_judged_by_its_last_outcome_and_its_breaker(
    status: EndpointStatus, state: HealthState
) -> None:
    """Slow from the guide's 2 s on; failed once it is left alone."""
    status = replace(WELL, endpoints={"context": status})
    assert finding(status, 3, "context").state is state
    assert assess(status).ready, "lessons degrade, and go on"


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (None, HealthState.OK),
        (8 * 86_400.0, HealthState.OK),
        (6 * 86_400.0, HealthState.DEGRADED),
        (0.0, HealthState.FAILED),
    ],
)
def test_an_agent_jwt_that_expires_is_reported_ahead(
    left: float | None, state: HealthState
) -> None:
    """A week ahead, by default."""
    assert finding(replace(WELL, agent_jwt_left=left), 3, "AGENT_JWT_TOKEN").state is state


@pytest.mark.parametrize(
    ("sunset", "expected"),
    [
        pytest.param(None, "which this host speaks", id="without a date"),
        pytest.param(86_400.0 * 40, "it ends in 40 days", id="ahead"),
        pytest.param(-86_400.0, "it ended 1 days ago", id="past"),
    ],
)
def test_the_end_of_the_api_s_version_is_reported_ahead(
    sunset: float | None, expected: str
) -> None:
    """While the host still speaks it."""
    ending = VersionStatus("v1", deprecated=True, sunset=sunset and WELL.unix + sunset)
    found = finding(replace(WELL, api_version=ending), 3, "API version")
    assert found.state is HealthState.DEGRADED
    assert found.reason.endswith(expected)


def test_the_api_s_own_database_is_what_its_health_endpoint_says() -> None:
    """The host has no other way to know."""
    status = replace(WELL, endpoints={"health": EndpointStatus(NOW, 0.1, "503: database is down")})
    found = finding(status, 4, "API's database")
    assert (found.state, "database is down" in found.reason) == (HealthState.DEGRADED, True)
    unasked = finding(replace(WELL, endpoints={}), 4, "API's database")
    assert (unasked.state, "not checked yet" in unasked.reason) == (HealthState.OK, True)


def test_rows_set_aside_for_good_are_a_worry_until_somebody_looked() -> None:
    """A learner's record is among them, perhaps."""
    found = finding(replace(WELL, backlog=Backlog(records=2, dead=1)), 4, "outbox")
    assert found.state is HealthState.DEGRADED
    assert found.reason.startswith("2 records and 0 progress updates are pending; 1 ")


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (15 * 86_400.0, HealthState.OK),
        (13 * 86_400.0, HealthState.DEGRADED),
        (-1.0, HealthState.DEGRADED),
    ],
)
def test_an_ops_certificate_that_expires_is_reported_ahead_and_ends_no_lessons(
    left: float, state: HealthState
) -> None:
    """Two weeks ahead; a host that nobody can look into still teaches."""
    status = replace(WELL, certificate_left=left)
    found = finding(status, 1, "ops certificate")
    assert found.state is state
    assert ("has expired" in found.reason) == (left < 0)
    assert assess(status).ready


def test_a_host_over_which_another_version_was_installed_is_not_ready() -> None:
    """Its jobs would mix both."""
    status = replace(WELL, installed_over="9.0.0")
    found = finding(status, 1, "loqua-host")
    assert found.state is HealthState.FAILED
    assert found.reason.startswith("9.0.0 is installed over the running ")
    assert not assess(status).ready


REGIONS = RegionSettings(here="east", primary="west", secondary="east")
READY = {"west": 2, "east": 1}


@pytest.mark.parametrize(
    ("state", "judged", "reason"),
    [
        pytest.param(
            RegionState("west", 0.0, READY),
            HealthState.OK,
            "west teaches, and this host is in east",
            id="primary",
        ),
        pytest.param(
            RegionState("east", 0.0, READY),
            HealthState.DEGRADED,
            "east teaches, and this host is in east; once west is healthy, run "
            "`loqua-host region activate west`",
            id="failed-over",
        ),
        pytest.param(
            RegionState("west", 0.0, {"west": 2}),
            HealthState.DEGRADED,
            "west teaches, and this host is in east; no host is ready in east",
            id="nothing-to-fail-over-to",
        ),
        pytest.param(None, HealthState.DEGRADED, "the ledger has not been read yet", id="unread"),
    ],
)
def test_health_tells_which_region_teaches_and_whether_each_could(
    state: RegionState | None, judged: HealthState, reason: str
) -> None:
    """Each host looks at both regions, in the ledger."""
    found = finding(replace(WELL, regions=REGIONS, region_state=state), 4, "regions")
    assert (found.state, found.reason) == (judged, reason)


def test_only_a_host_of_the_region_that_teaches_is_active() -> None:
    """A host that stands by is ready: it could teach."""
    there, here = (RegionState(name, 0.0, READY) for name in ("west", "east"))
    for state, active in ((there, False), (here, True)):
        health = assess(replace(WELL, regions=REGIONS, region_state=state))
        assert (health.ready, health.active) == (True, active)
    assert assess(WELL).active
