"""The last warnings and errors of the host's own log."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from loqua_host.ops.logs import configure_logs
from loqua_host.ops.recent_errors import MAX_ERRORS, RecentErrors


@pytest.fixture
def errors() -> RecentErrors:
    """Return what remembers errors, at 100 s."""
    return RecentErrors(lambda: 100.0)


def log(errors: RecentErrors, level: str, event: str, **fields: object) -> None:
    """Log a line as structlog does."""
    line = {"event": event, **fields}
    assert errors(None, level, line) is line


def test_the_last_are_kept_without_the_learner(errors: RecentErrors) -> None:
    """The newest of them, with ids that the reason quotes left out; what is no trouble is not."""
    for number in range(MAX_ERRORS + 5):
        log(errors, "warning", "noise", why=str(number))
    log(errors, "info", "fine")
    log(errors, "error", "lesson.refused", why="maria may not", user_id="maria")
    newest, *others = errors.newest_first()
    assert (newest.at, newest.level, newest.event) == (100.0, "error", "lesson.refused")
    assert newest.why == "[user_id] may not"
    assert [one.why for one in others] == [str(n) for n in range(MAX_ERRORS + 4, 5, -1)]


def test_each_names_the_endpoint_or_the_tutor_it_is_about(errors: RecentErrors) -> None:
    """Else nobody would know which breaker it was."""
    log(errors, "warning", "breaker.opened", endpoint="progress")
    log(errors, "warning", "job.refused", tutor="grammar", why="full")
    assert [one.why for one in errors.newest_first()] == ["grammar: full", "progress"]


def test_each_has_its_remedy_and_its_tutor_without_the_learner(errors: RecentErrors) -> None:
    """The hint of the log's line."""
    log(errors, "error", "worker.failed", tutor="grammar", hint="ask maria", user_id="maria")
    [found] = errors.newest_first()
    assert (found.why, found.hint, found.tutor) == ("grammar", "ask [user_id]", "grammar")


def test_all_are_counted_also_those_that_are_no_longer_kept(errors: RecentErrors) -> None:
    """For the rate of the last hour."""
    for number in range(MAX_ERRORS + 5):
        log(errors, "warning", "noise", why=str(number))
    log(errors, "info", "fine")
    log(errors, "error", "worker.failed", tutor="grammar")
    assert errors.totals == {"": MAX_ERRORS + 5, "grammar": 1}


def test_one_that_happens_again_is_counted_and_drives_out_no_other(errors: RecentErrors) -> None:
    """A client of the ops address can repeat an error at will."""
    log(errors, "error", "ledger.failed", why="disk full")
    for _ in range(MAX_ERRORS + 5):
        log(errors, "warning", "webhook.refused", why="not signed")
    assert [(one.event, one.times) for one in errors.newest_first()] == [
        ("webhook.refused", MAX_ERRORS + 5),
        ("ledger.failed", 1),
    ]


def test_what_the_api_says_of_a_learner_is_not_shown(errors: RecentErrors) -> None:
    """The cause is, where there is one: it says nothing of the learner whom the line leaves out."""
    why = "user-token: 404: USER_NOT_FOUND: there is no maria"
    log(errors, "error", "lesson.refused", why=why, cause="user-token_refused")
    assert errors.newest_first()[0].why == "user-token_refused"


@pytest.fixture
def configured(errors: RecentErrors) -> Iterator[None]:
    """Configure logs for the length of a test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs("json", "critical", io.StringIO(), [errors])
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("configured")
def test_the_host_s_lines_are_kept_at_any_level_of_the_log(errors: RecentErrors) -> None:
    """With what is bound; what the log shows is another matter."""
    with structlog.contextvars.bound_contextvars(user_id="maria"):
        structlog.get_logger().warning("attribute.refused", why="maria has none")
    assert [one.why for one in errors.newest_first()] == ["[user_id] has none"]


@pytest.mark.usefixtures("configured")
def test_what_a_job_logs_is_not_kept(errors: RecentErrors) -> None:
    """A tutor words it, and could name a learner."""
    record = logging.makeLogRecord({"msg": "record.dead", "levelno": logging.ERROR})
    logging.getLogger("loqua_tutor_grammar").handle(record)
    assert errors.newest_first() == ()
