"""The limit on a job's log output."""

import logging

import pytest
import structlog

from loqua_host.ops.job_log_limit import JobLogLimit


@pytest.fixture
def now() -> list[float]:
    """Return the time, to be set."""
    return [0.0]


@pytest.fixture
def limit(now: list[float]) -> JobLogLimit:
    """Return a limit of two kilobytes for a job and of one for a process that waits for one."""
    return JobLogLimit(lambda job_id: 2 if job_id else 1, lambda: now[0])


def record(size: int, pid: int = 7, **fields: object) -> logging.LogRecord:
    """Return a record that a job has sent."""
    return logging.makeLogRecord({"msg": "x" * size, "pid": pid, **fields})


def test_what_exceeds_the_limit_of_a_minute_is_dropped_and_said_once(
    limit: JobLogLimit, now: list[float]
) -> None:
    """The next minute begins anew."""
    with structlog.testing.capture_logs() as logs:
        written = [limit.filter(record(900, job_id="AJ", room="room")) for _ in range(5)]
    assert written == [True, True, False, False, False]
    [line] = logs
    assert (line["event"], line["job_id"], line["room"]) == ("job.log_limited", "AJ", "room")
    assert line["allowed"] == 2
    now[0] = 60.0
    assert limit.filter(record(900, job_id="AJ"))


def test_a_limit_is_looked_up_once_a_minute_and_not_for_each_line(now: list[float]) -> None:
    """However many lines the job writes."""
    asked: list[str | None] = []
    limit = JobLogLimit(lambda job_id: asked.append(job_id) or 2, lambda: now[0])
    for second in (0.0, 1.0, 59.0, 60.0):
        now[0] = second
        limit.filter(record(9, job_id="AJ"))
    assert asked.count("AJ") == 2


def test_fields_count_and_each_process_counts_for_itself(limit: JobLogLimit) -> None:
    """One that waits for a job has a limit, too."""
    assert not limit.filter(record(1, padding="x" * 1000))
    assert limit.filter(record(1, pid=8))


def test_the_limit_is_that_of_the_job_whatever_the_process_logged_before_it(
    limit: JobLogLimit,
) -> None:
    """A line without a job, before or in it, changes nothing."""
    assert limit.filter(record(900))
    assert limit.filter(record(900, job_id="AJ"))
    assert limit.filter(record(100))
    assert not limit.filter(record(900, job_id="AJ"))


def test_what_the_host_logs_is_not_limited(limit: JobLogLimit) -> None:
    """It has no process id of a job."""
    assert all(limit.filter(logging.makeLogRecord({"msg": "x" * 900})) for _ in range(9))
