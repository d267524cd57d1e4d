"""Logs: one line per event in the guide's format, which no participant can forge."""

import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loqua_host.errors import LedgerError
from loqua_host.ops.logs import configure_logs

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXJpYSJ9.c2lnbmF0dXJlLXRoYXQtaXMtc2VjcmV0"
ENCRYPTED = f"{'0a' * 16}:{'5f' * 48}"
LINE = re.compile(
    r"\[20\d\d-\d\d-\d\dT[\d:.]+Z\] \[[A-Z]+\] \[[^]]+\] \[[^]]+\] \[[^]]+\] \S.*", re.DOTALL
)

Lines = Callable[[], list[str]]


class LogClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return its time."""
        return self.seconds


@pytest.fixture
def clock() -> LogClock:
    """Return the clock by which repeats are counted."""
    return LogClock()


@pytest.fixture
def log_to(clock: LogClock) -> Iterator[Callable[[str], Lines]]:
    """Yield what configures logging, and with it what reads the lines so far."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def configure(form: Any) -> Lines:
        stream = io.StringIO()
        configure_logs(form, "info", stream, monotonic=clock)
        # Loggers that tests share would keep what they were first configured with.
        structlog.configure(cache_logger_on_first_use=False)
        return lambda: stream.getvalue().split("\n")[:-1]

    yield configure
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_has_the_guides_format(log_to: Callable[[str], Lines]) -> None:
    """`[TIMESTAMP] [LEVEL] [AGENT_ID] [SESSION_ID] [USER_ID] message`, then the fields."""
    lines = log_to("text")
    structlog.contextvars.bind_contextvars(agent_id="loqua", session_id="sess_1", user_id="maria")
    structlog.get_logger().info("token.exchanged", lifetime=3600, why="as asked")
    [line] = lines()
    assert LINE.fullmatch(line)
    expected = '[INFO] [loqua] [sess_1] [maria] token.exchanged lifetime=3600 why="as asked"'
    assert line.partition(" ")[2] == expected


def test_what_is_not_known_yet_is_a_dash(log_to: Callable[[str], Lines]) -> None:
    """Every line has every part."""
    lines = log_to("text")
    structlog.get_logger().warning("host.draining")
    assert lines()[0].endswith("] [WARNING] [-] [-] [-] host.draining")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_that_names_no_agent_names_the_host(form: Any) -> None:
    """Its own, a library's, and one of another thread; a tutor's names the tutor's."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    try:
        configure_logs(form, "info", stream, agent_id="loqua-host-1")
        structlog.configure(cache_logger_on_first_use=False)
        structlog.get_logger().warning("host.draining")
        logging.getLogger("a.library").warning("odd")
        thread = threading.Thread(target=structlog.get_logger().warning, args=("spool.failed",))
        thread.start()
        thread.join()
        structlog.get_logger().warning("worker.left", agent_id="loqua-grammar")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    *own, tutors = stream.getvalue().splitlines()
    named = ["loqua-host-1", "loqua-host-1", "loqua-host-1", "loqua-grammar"]
    if form == "json":
        assert [json.loads(line)["agent_id"] for line in (*own, tutors)] == named
    else:
        assert [line.split("] [")[2] for line in (*own, tutors)] == named


def test_a_field_without_a_value_is_not_said(log_to: Callable[[str], Lines]) -> None:
    """A call that did not fail has no failure to tell people of; 0 is a value."""
    lines = log_to("text")
    structlog.get_logger().info("api.called", status=200, failure=None, attempt=0)
    assert lines()[0].endswith("api.called status=200 attempt=0")


def test_a_librarys_record_is_a_line_of_the_same_format(log_to: Callable[[str], Lines]) -> None:
    """With its extra fields."""
    lines = log_to("text")
    logging.getLogger("somebody").warning("took %d s", 5, extra={"user_id": "maria", "try": 2})
    [line] = lines()
    assert LINE.fullmatch(line)
    assert line.endswith("[WARNING] [-] [-] [maria] took 5 s try=2")


def test_json_lines_hold_the_same_for_machines(log_to: Callable[[str], Lines]) -> None:
    """One object a line."""
    lines = log_to("json")
    structlog.get_logger().info("lesson.opened", user_id="maría", room="r\n1", parts=[1, {"a": 2}])
    [line] = lines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "event": "lesson.opened",
        "level": "info",
        "user_id": "maría",
        "room": "r\n1",
        "parts": [1, {"a": 2}],
    }


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("token", [JWT, ENCRYPTED], ids=["JWT", "encrypted"])
def test_a_token_is_hidden_wherever_it_is(
    log_to: Callable[[str], Lines], form: str, token: str
) -> None:
    """In the message, a field, a nested value, an exception and its cause."""
    lines = log_to(form)
    log = structlog.get_logger()
    log.info(f"got {token}")  # noqa: G004 - the point is an event that holds it
    log.info("e", value=token, nested={"headers": [("Authorization", f"Bearer {token}")]})
    logging.getLogger("httpx").warning("sent %s", {"Authorization": token})
    error = RuntimeError({"token": token})
    error.__cause__ = ValueError(f"bad {token}")
    log.error("failed", exc_info=error)
    text = "\n".join(lines())
    assert "[token]" in text
    assert token not in text
    assert token[40:60] not in text


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
@given(
    event=st.text(),
    value=st.text(st.characters()) | st.lists(st.text()) | st.dictionaries(st.text(), st.text()),
)
def test_no_text_whatever_makes_more_than_one_line(
    log_to: Callable[[str], Lines], event: str, value: object
) -> None:
    """A participant's name is data: it ends no line and turns no terminal."""
    lines = log_to("text")
    structlog.get_logger().info(event, value=value)
    [line] = lines()
    assert len(line.splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", line)


def test_a_value_cannot_look_like_further_fields(log_to: Callable[[str], Lines]) -> None:
    """What has blanks or quotes is quoted, and its quotes escaped."""
    lines = log_to("text")
    structlog.get_logger().info("joined", name='Ana" level="ERROR', room="a=b")
    assert lines()[0].endswith(r'joined name="Ana\" level=\"ERROR" room="a=b"')


def test_what_an_exception_quotes_cannot_look_like_a_line(log_to: Callable[[str], Lines]) -> None:
    """All of a traceback is indented."""
    lines = log_to("text")
    forged = "[2026-01-01T00:00:00Z] [ERROR] [-] [-] [-] forged"
    error = LedgerError(f"name\n{forged}\r{forged}\x1b[2J")
    structlog.get_logger().error("lesson.failed", exc_info=error)
    head, *trace = lines()
    assert LINE.fullmatch(head)
    assert len(trace) >= 3
    assert all(line.startswith("    ") for line in trace)
    assert "\x1b" not in "".join(trace)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_libraries_are_given_is_not_in_the_log(
    log_to: Callable[[str], Lines], form: str
) -> None:
    """LiveKit's own workers, a web server, the event loop: in this process, too."""
    lines = log_to(form)
    said = "zebra" + " quokka"
    with pytest.raises(ValueError, match=said) as caught:
        int(said)
    error = caught.value
    for name in ("livekit.agents", "aiohttp.server", "asyncio", "psycopg"):
        log = logging.getLogger(name)
        log.error("no answer to %s", error, exc_info=error, extra={"job": {"metadata": said}})
    structlog.get_logger().error("hook.failed", exc_info=error)
    text = "\n".join(lines())
    assert text.count("no answer to ValueError") == 4
    assert "quokka" not in text


def test_what_is_below_the_level_is_not_said(log_to: Callable[[str], Lines]) -> None:
    """Nor is a library's chatter."""
    lines = log_to("text")
    structlog.get_logger().debug("too much")
    logging.getLogger("httpx").info("HTTP Request: POST")
    assert lines() == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_warning_that_repeats_is_reported_some_times_and_then_counted(
    log_to: Callable[[str], Lines], clock: LogClock, form: str
) -> None:
    """Once a minute, with what is said next; whatever was measured each time."""
    lines = log_to(form)
    log = structlog.get_logger()
    for attempt in range(25):
        clock.seconds += 1
        log.warning("api.called", endpoint="context", attempt=attempt, seconds=attempt / 10)
    assert len(lines()) == 5
    clock.seconds += 60
    log.info("token.exchanged")
    *_, counted, exchanged = lines()
    assert re.search(r'repeated("?: |=)20\b', counted)
    assert "token.exchanged" in exchanged
    log.warning("api.called", endpoint="context", attempt=1, seconds=0.1)
    clock.seconds += 60
    log.info("token.exchanged")
    assert re.search(r'repeated("?: |=)1\b', lines()[-2])


def test_what_has_not_repeated_for_a_minute_is_reported_as_new(
    log_to: Callable[[str], Lines], clock: LogClock
) -> None:
    """And nothing is said of repeats that were not."""
    lines = log_to("text")
    for _ in range(3):
        structlog.get_logger().error("ledger.failed", why="disk full")
        clock.seconds += 61
    assert len(lines()) == 3
    assert "repeated" not in "".join(lines())


def test_lessons_and_causes_do_not_hide_one_another(log_to: Callable[[str], Lines]) -> None:
    """Each has a line of its own, bound or named, and so have lines without one."""
    lines = log_to("text")
    log = structlog.get_logger()
    for number in range(20):
        with structlog.contextvars.bound_contextvars(session_id=f"sess_{number}"):
            log.error("hook.failed", hook="create_agent", why="raised")
        log.error("lesson.refused", room=f"room-{number}", cause="no_learner")
        log.warning("lesson.found_open", user_id=f"user{number}")
        log.warning("learner.unknown", why=f"cause {number}")
        logging.getLogger("job").warning("tick.failed", extra={"session_id": f"s{number}"})
        for _ in range(2):
            log.info("progress.made", words=1)
    assert len(lines()) == 140


def test_a_full_host_is_one_cause_whichever_room_it_turns_away(
    log_to: Callable[[str], Lines],
) -> None:
    """No lesson is meant yet."""
    lines = log_to("text")
    for number in range(20):
        structlog.get_logger().warning("job.refused", why="full", room=f"room-{number}")
    assert len(lines()) == 5


def test_a_library_s_numbers_make_no_other_warning(log_to: Callable[[str], Lines]) -> None:
    """It says how long it waits this time."""
    lines = log_to("text")
    for number in range(20):
        logging.getLogger("otlp").warning("no answer, again in %.2fs", number / 7)
    assert len(lines()) == 5


def test_no_more_is_remembered_than_there_is_room_for(
    log_to: Callable[[str], Lines],
) -> None:
    """An entry that is dropped early is logged with its count so far."""
    lines = log_to("text")
    log = structlog.get_logger()
    for _ in range(7):
        log.warning("learner.unknown", why="first")
    for number in range(1100):
        log.warning("learner.unknown", why=f"cause {number}")
    [counted] = [line for line in lines() if "repeated=" in line]
    assert "why=first" in counted
    assert "repeated=2" in counted
