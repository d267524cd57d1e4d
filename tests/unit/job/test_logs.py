"""A job's log records, as the host receives them."""

import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from loqua_host.job import logs as module

CHATTY = ("", "httpx", "httpx2", "livekit", "livekit.agents", "openai", "loqua_host")


@pytest.fixture
def log_as_a_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.LogRecord]]:
    """Log as a job does; return what is sent to the host."""
    loggers = {name: logging.getLogger(name) for name in CHATTY}
    levels = {name: logger.level for name, logger in loggers.items()}
    sent: list[logging.LogRecord] = []
    handler = logging.Handler()

    def emit(record: logging.LogRecord) -> None:
        record.message = handler.format(record)  # as LiveKit's handler does
        sent.append(record)

    monkeypatch.setattr(handler, "emit", emit)
    monkeypatch.setattr(module, "log_as_json", lambda: None)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    for where in (sys, threading):
        monkeypatch.setattr(where, "excepthook", where.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    module.send_logs_to_host()
    structlog.configure(cache_logger_on_first_use=False)
    yield sent
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    for name, level in levels.items():
        loggers[name].setLevel(level)


@pytest.mark.parametrize("field", ["name", "message", "args", "module", "process", "asctime"])
async def test_a_tutor_may_log_fields_of_any_name(
    log_as_a_job: list[logging.LogRecord], job: Any, field: str
) -> None:
    """A learner's name is no reason for a hook to fail."""
    job.lesson.log.info("learner.greeted", **{field: "Ana"})
    [record] = log_as_a_job
    assert record.getMessage() == "learner.greeted"
    assert vars(record)[f"{field}_"] == "Ana"
    assert vars(record)["user_id"] == "maria"


async def test_what_a_tutor_raises_is_logged_with_its_traceback(
    log_as_a_job: list[logging.LogRecord], job: Any
) -> None:
    """The traceback is a field: the event's name must not change."""
    with pytest.raises(ValueError, match="a mistake") as caught:
        raise ValueError("a mistake")
    job.lesson.log.error("went.wrong", exc_info=caught.value)
    [record] = log_as_a_job
    assert record.getMessage() == "went.wrong"
    assert "ValueError: a mistake" in vars(record)["exception"]


async def test_libraries_in_a_job_keep_quiet(log_as_a_job: list[logging.LogRecord]) -> None:
    """Their every request would fill the host's log."""
    logging.getLogger("httpx").info("HTTP Request: POST")
    logging.getLogger("livekit.agents").info("received job request")
    logging.getLogger("loqua_host.tutor").info("heard")
    assert [record.msg for record in log_as_a_job] == ["heard"]
