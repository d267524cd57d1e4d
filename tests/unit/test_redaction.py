"""Redaction of foreign code's log records: constant text only."""

import ast
import asyncio
import enum
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from loqua_host.errors import LedgerError
from loqua_host.observability.redaction import (
    Redaction,
    describe,
    format_exception,
    report_uncaught,
)

SAID = "zebra quokka 4711"
"""What a learner says, and nobody may read."""

library = logging.getLogger("a.library")


@pytest.fixture
def shown() -> Iterator[Callable[[], str]]:
    """Yield what a library's records look like, with their fields."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)

    class WithFields(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            record.rest = {k: v for k, v in vars(record).items() if k not in before}
            return super().format(record)

        def formatException(self, ei: Any) -> str:  # noqa: N802
            return format_exception(ei[1])

    before = {*vars(logging.makeLogRecord({})), "message", "rest", "taskName"}
    handler.setFormatter(WithFields("%(message)s %(rest)s"))
    handler.addFilter(Redaction())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: stream.getvalue().rstrip("\n")
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_message_of_the_source_code_is_shown(shown: Callable[[], str]) -> None:
    """It was written before anybody spoke."""
    library.warning("the voice is slower than real time")
    assert shown() == "the voice is slower than real time {}"


def test_a_message_whose_tree_cannot_be_made_is_hidden(
    shown: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12, logging in the garbage collector may fail in this way (gh-106905)."""

    def fail(_: str) -> ast.Module:
        raise SystemError

    monkeypatch.setattr(ast, "parse", fail)
    library.warning("the voice is slower than real time")
    assert shown().startswith("… (test_redaction.py:")


def test_of_what_is_formatted_into_a_message_numbers_are_shown(shown: Callable[[], str]) -> None:
    """By `%`, whatever asks for it."""
    library.warning("said %s for %.1f s, try %d of %r", SAID, 2.25, 3, [SAID])
    assert shown() == "said … for 2.2 s, try 3 of '…' {}"


def test_a_mapping_is_formatted_alike(shown: Callable[[], str]) -> None:
    """`%(name)s` is rare but there is it."""
    library.warning("said %(text)s, %(times)d times", {"text": SAID, "times": 2})
    assert shown() == "said …, 2 times {}"


def test_of_an_f_string_the_constant_parts_are_shown(shown: Callable[[], str]) -> None:
    """Also over several lines, and put together."""
    library.warning(f"unknown tool `{SAID}`")
    library.log(
        logging.WARNING,
        "señal: " + f"{SAID!r} of {SAID:>30}",
    )
    assert shown() == "unknown tool `…` {}\nseñal: … of … {}"


@pytest.mark.parametrize("message", [SAID, [SAID], ValueError(SAID)])
def test_a_message_that_the_code_does_not_have_is_hidden(
    shown: Callable[[], str], message: object
) -> None:
    """Named is the place that logs it."""
    library.warning(message)
    assert SAID not in shown()
    assert "test_redaction.py:" in shown()


def test_a_message_that_does_not_fit_its_arguments_is_shown_without_them(
    shown: Callable[[], str],
) -> None:
    """Instead of a complaint on stderr that quotes them."""
    library.warning("took %d s", SAID)
    assert shown() == "took %d s {}"


def test_fields_are_shown_that_count_or_name(shown: Callable[[], str]) -> None:
    """A learner's text is in fields of any name."""
    color = enum.Enum("color", "RED")
    fields = {"transcript": SAID, "lk.pii.user_input": SAID, "lk.pii.digits": 4711, "text": [SAID]}
    counts = {"attempt": 2, "seconds": 0.5, "final": True, "color": color.RED}
    library.warning("e", extra={**fields, **counts, "error": ValueError(SAID), "user_id": "maria"})
    kept = {"attempt": 2, "seconds": 0.5, "final": True, "color": "RED", "error": "ValueError"}
    fields_shown = eval(shown().removeprefix("e "))  # noqa: S307  # what this test had formatted
    assert fields_shown == kept | {"user_id": "maria"}


def test_an_exception_shows_types_and_places_and_what_the_code_says(
    shown: Callable[[], str],
) -> None:
    """Of its causes, too."""
    try:
        try:
            int(SAID)
        except ValueError as error:
            raise RuntimeError(f"no number: {SAID}, {error}") from error
    except RuntimeError:
        library.exception("a tool failed")
    text = shown()
    assert SAID not in text
    assert "\nValueError\nwhich led to\n" in text
    assert text.endswith("RuntimeError: no number: …, …")
    assert "int(SAID)" in text
    assert "test_redaction.py" in text


def test_members_of_a_group_are_shown_alike() -> None:
    """A TaskGroup's."""

    async def fail() -> None:
        raise KeyError(SAID)

    async def fail_together() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(fail_together())
    text = format_exception(caught.value)
    assert SAID not in text
    assert text.count("| KeyError") == 2


def test_notes_of_an_exception_are_hidden() -> None:
    """They are texts like any."""
    error = ValueError()
    error.add_note(SAID)
    assert SAID not in format_exception(error)


def test_what_a_model_refuses_is_hidden() -> None:
    """Pydantic quotes the input."""

    class ModelAnswer(BaseModel):
        number: int

    with pytest.raises(ValueError, match="quokka") as caught:
        ModelAnswer.model_validate({"number": SAID})
    assert "quokka" not in format_exception(caught.value)


def test_the_host_s_own_words_and_the_system_s_are_shown() -> None:
    """They name what to fix."""
    with pytest.raises(OSError, match="quokka") as caught:
        open(f"/nowhere/{SAID}")  # noqa: SIM115, PTH123
    assert describe(caught.value) == "FileNotFoundError: No such file or directory"
    assert describe(LedgerError("ledger.path: is full")) == "LedgerError: ledger.path: is full"


def test_an_error_of_a_tutor_s_own_class_is_no_word_of_the_host_s() -> None:
    """Its base class does not matter."""

    class OwnError(LedgerError):
        pass

    assert "quokka" not in describe(OwnError(SAID))


def test_causes_without_end_end() -> None:
    """Nor does a circle of them turn for ever."""
    error = ValueError(SAID)
    for _ in range(5000):
        following = ValueError(SAID)
        following.__cause__ = error
        error = following
    assert format_exception(error).count("ValueError") == 20
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert format_exception(one).count("which led to") == 1


def test_what_the_host_words_stays_as_it_is(shown: Callable[[], str]) -> None:
    """And what a tutor does by `lesson.log`, and what a job has sent."""
    logging.getLogger("loqua_host.tutor").warning("word %s", "hola", extra={"word": "hola"})
    logging.getLogger().handle(
        logging.makeLogRecord({"name": "a.library", "levelno": 30, "msg": "sent"})
    )
    assert shown() == "word hola {'word': 'hola'}\nsent {}"


@given(st.text(min_size=1), st.text(min_size=1))
def test_whatever_is_said_is_never_shown(first: str, second: str) -> None:
    """By any way there is into a record."""
    record = library.makeRecord(
        library.name,
        logging.WARNING,
        __file__,
        1,
        f"{first}%s",
        (second,),
        None,
        None,
        {"x": first},
    )
    Redaction().filter(record)
    assert record.getMessage() == "… (test_redaction.py:1)"
    assert not hasattr(record, "x")


def test_errors_that_nobody_caught_are_logged_as_any(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python would write them to stderr, where the log goes, with what they quote."""
    for where, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(where, hook, getattr(where, hook))
    report_uncaught()
    with structlog.testing.capture_logs() as logs:
        thread = threading.Thread(target=int, args=(SAID,))
        thread.start()
        thread.join()
        leaving = threading.Thread(target=sys.exit)
        leaving.start()
        leaving.join()
        sys.excepthook(ValueError, ValueError(SAID), None)
    assert [(one["event"], one["where"]) for one in logs] == [
        ("error.uncaught", "thread"),
        ("error.uncaught", "process"),
    ]
    assert capfd.readouterr().err == ""
