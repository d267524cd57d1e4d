"""Tutors' code in errors: recognised by its packages, and shown without other data."""

import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from loqua_host.registry.author import Author

SOURCES = {
    "livekit.fake": "def call(f, *a): return f(*a)",
    "tutor_parts.inner": "def divide(x): return x / 0",
    "tutor_parts": "def teach(call, f): return call(f, 1)",
    "elsewhere": "def run(f, *a): return f(*a)",
}


def module(name: str) -> Any:
    """Return a module of that name, made from its source."""
    made = ModuleType(name)
    exec(compile(SOURCES[name], f"/site/{name}.py", "exec"), vars(made))  # noqa: S102  # ours
    return made


livekit, inner, parts, elsewhere = map(
    module, ("livekit.fake", "tutor_parts.inner", "tutor_parts", "elsewhere")
)
AUTHOR = Author(["tutor_parts"])


def raised(function: Callable[..., Any], *arguments: Any) -> BaseException:
    """Return what a call raises."""
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error
    raise AssertionError


def shown(error: BaseException | None) -> list[str]:
    """Return the functions of a traceback."""
    return [step.name for step in traceback.extract_tb(error.__traceback__)] if error else []


def test_a_failure_is_reported_with_the_function_called_and_the_line_it_came_from() -> None:
    """The outermost function of the author's, and the innermost line."""
    error = raised(livekit.call, elsewhere.run, parts.teach, livekit.call, inner.divide)
    failure = AUTHOR.failure(error)
    assert failure is not None
    assert (failure.callback, failure.at) == ("teach", "tutor_parts.inner.py:1")
    assert failure.functions == ("teach", "divide")


def test_a_traceback_begins_in_the_authors_code_and_leaves_livekit_out() -> None:
    """Frames of other packages that the author calls remain."""
    error = raised(livekit.call, parts.teach, livekit.call, inner.divide)
    assert shown(AUTHOR.cut(error)) == ["teach", "divide"]
    error = raised(livekit.call, parts.teach, elsewhere.run, inner.divide)
    assert shown(AUTHOR.cut(error)) == ["teach", "run", "divide"]


def test_the_place_that_raised_stays_whosever_it_is() -> None:
    """A mistake in a call of LiveKit shows what LiveKit says to it."""
    error = raised(livekit.call, parts.teach, livekit.call, 3)
    assert shown(AUTHOR.cut(error)) == ["teach", "call"]


def test_errors_that_led_to_it_are_cut_too() -> None:
    """And members of groups; one that comes back to itself does no harm."""
    first, second = (
        raised(livekit.call, parts.teach, livekit.call, inner.divide) for _ in range(2)
    )
    first.__cause__, second.__context__ = second, first
    group = ExceptionGroup("both", [first])  # type: ignore[list-item]  # exceptions they are
    AUTHOR.cut(group)
    assert shown(first) == shown(second) == ["teach", "divide"]


def test_an_error_of_others_is_no_failure_of_the_authors() -> None:
    """Unless it is what came of one."""
    foreign = raised(livekit.call, elsewhere.run, int, "x")
    assert AUTHOR.failure(foreign) is None
    foreign.__context__ = raised(parts.teach, livekit.call, inner.divide)
    assert AUTHOR.failure(foreign) is None
    foreign.__cause__ = foreign.__context__
    failure = AUTHOR.failure(foreign)
    assert failure is not None
    assert failure.error is foreign.__cause__


def test_an_agents_class_may_come_from_a_package_of_its_own() -> None:
    """So may its base classes."""
    author = Author([])
    base = type("Base", (), {"__module__": "elsewhere"})
    author.include(type("Agent", (base,), {"__module__": "tutor_parts"}))
    failure = author.failure(raised(livekit.call, elsewhere.run, int, "x"))
    assert failure is not None
    assert failure.callback == "run"
