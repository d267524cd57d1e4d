"""What the host's own events tell of its state, and how they are come by."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from loqua_host.core.events import Event
from loqua_host.ops.logbook import KEPT, Logbook
from loqua_host.ops.logs import configure_logs
from loqua_host.ops.sight import Outcome, Phase


@pytest.fixture
def logbook() -> Logbook:
    """Give a logbook at 100 s after 1970."""
    return Logbook(lambda: 100.0)


def test_the_phase_follows_the_host_s_own_words(logbook: Logbook) -> None:
    """Starting until it is ready, draining from then on that it drains."""
    phases = [logbook.phase]
    for name in ("host.ready", "lesson.opened", "host.draining"):
        logbook(Event(name, {}))
        phases.append(logbook.phase)
    assert phases == [Phase.STARTING, Phase.SERVING, Phase.SERVING, Phase.DRAINING]


def test_an_endpoint_s_last_outcome_is_kept_and_a_cancelled_call_is_none(logbook: Logbook) -> None:
    """A learner who leaves says nothing about the API."""
    called = {"endpoint": "context", "seconds": 0.2}
    logbook(Event("api.called", {**called, "failure": "RefusedError", "why": "403: no"}))
    logbook(Event("api.called", {**called, "failure": "cancelled"}))
    assert logbook.endpoints == {"context": Outcome(100.0, 0.2, "403: no")}
    logbook(Event("api.called", {**called, "failure": None, "why": None}))
    assert logbook.endpoints == {"context": Outcome(100.0, 0.2, None)}


def test_breakers_are_known_by_their_last_change(logbook: Logbook) -> None:
    """One that never opened is not known."""
    logbook(Event("breaker.opened", {"endpoint": "context"}))
    logbook(Event("breaker.opened", {"endpoint": "health"}))
    logbook(Event("breaker.half_opened", {"endpoint": "health"}))
    assert logbook.breakers == {"context": "open", "health": "half open"}


def test_the_last_troubles_are_kept_without_the_learner(logbook: Logbook) -> None:
    """The newest of them, with ids that the reason quotes left out."""
    for number in range(KEPT + 5):
        logbook(Event("noise", {"level": "warning", "why": str(number)}))
    logbook(Event("fine", {"level": "info"}))
    logbook(Event("lesson.refused", {"level": "error", "why": "maria may not", "user_id": "maria"}))
    assert len(logbook.troubles) == KEPT
    last = logbook.troubles[-1]
    assert (last.at, last.level, last.event) == (100.0, "error", "lesson.refused")
    assert last.why == "[user_id] may not"


def test_a_trouble_names_the_endpoint_or_the_tutor_it_is_about(logbook: Logbook) -> None:
    """Else nobody would know which breaker it was."""
    logbook(Event("breaker.opened", {"level": "warning", "endpoint": "progress"}))
    logbook(Event("job.refused", {"level": "warning", "tutor": "grammar", "why": "full"}))
    assert [one.why for one in logbook.troubles] == ["progress", "grammar: full"]


def test_a_trouble_that_happens_again_is_counted_and_drives_out_no_other(logbook: Logbook) -> None:
    """Whoever may reach the ops address can have one be said as often as they like."""
    logbook(Event("ledger.failed", {"level": "error", "why": "disk full"}))
    for _ in range(KEPT + 5):
        logbook(Event("webhook.refused", {"level": "warning", "why": "not signed"}))
    assert [(one.event, one.times) for one in logbook.troubles] == [
        ("ledger.failed", 1),
        ("webhook.refused", KEPT + 5),
    ]


def test_what_the_api_says_of_a_learner_is_not_shown(logbook: Logbook) -> None:
    """Neither as an endpoint's last outcome nor as why a lesson was refused."""
    why = "user-token: 404: USER_NOT_FOUND: there is no maria"
    called = {"endpoint": "user-token", "failure": "RefusedError", "why": why, "user_id": "maria"}
    logbook(Event("api.called", {**called, "level": "warning", "seconds": 0.1}))
    logbook(Event("lesson.refused", {"level": "error", "why": why, "cause": "user-token_refused"}))
    shown = repr((logbook.endpoints, logbook.troubles))
    assert "maria" not in shown
    assert "there is no [user_id]" in shown
    assert logbook.troubles[-1].why == "user-token_refused"


@pytest.mark.parametrize("after", ["livekit.key_adopted", "livekit.key_withdrawn"])
def test_a_key_that_livekit_refuses_is_known_until_another_is_used(
    logbook: Logbook, after: str
) -> None:
    """Operators are told as long as it lasts."""
    assert logbook.refused_key is None
    logbook(Event("livekit.key_refused", {"level": "warning", "why": "unauthenticated"}))
    assert logbook.refused_key == "unauthenticated"
    logbook(Event(after, {}))
    assert logbook.refused_key is None


@pytest.fixture
def seen() -> Iterator[list[Event]]:
    """Give the events that an observer is shown while logs are configured."""
    before = list(logging.getLogger().handlers)
    events: list[Event] = []
    configure_logs("json", "warning", io.StringIO(), [events.append])
    yield events
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = before


def test_the_host_s_events_are_shown_at_any_level_with_what_is_bound(seen: list[Event]) -> None:
    """Figures do not depend on how much is logged."""
    with structlog.contextvars.bound_contextvars(agent_id="loqua-1"):
        structlog.get_logger().debug("lesson.opened", tutor="grammar")
    [event] = seen
    assert event.name == "lesson.opened"
    assert {"tutor": "grammar", "agent_id": "loqua-1", "level": "debug"}.items() <= dict(
        event.fields
    ).items()


def test_what_a_job_logs_is_not_shown(seen: list[Event]) -> None:
    """A tutor could count what never was."""
    record = logging.makeLogRecord({"msg": "record.delivered", "levelno": logging.ERROR})
    logging.getLogger("loqua_tutor_grammar").handle(record)
    assert seen == []
