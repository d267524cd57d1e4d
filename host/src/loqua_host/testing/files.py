"""Lessons' scripts in files, as pytest's tests."""

from collections.abc import Iterator

import pytest

from .player import LessonFailedError
from .script import ScriptError, read_script
from .virtual_lesson import play_lesson

__all__ = ["LessonFile"]


class LessonFile(pytest.File):
    """A file with a lesson's script."""

    def collect(self) -> "Iterator[LessonItem]":
        """Yield its test, which has the name of the file."""
        yield LessonItem.from_parent(self, name=self.path.name.partition(".")[0])


class LessonItem(pytest.Item):
    """The test that plays a lesson."""

    def runtest(self) -> None:
        """Play it."""
        play_lesson(read_script(self.path), livekit=self.config.getoption("livekit"))

    def repr_failure(self, excinfo: "pytest.ExceptionInfo[BaseException]") -> str:  # type: ignore[override]  # shown as it is
        """Return what the author needs: the message, and where the tutor's own code failed."""
        if not isinstance(excinfo.value, LessonFailedError | ScriptError):
            return str(super().repr_failure(excinfo))
        cause = excinfo.value.__cause__
        raised = f"\nraised by the tutor: {type(cause).__name__}: {cause}" if cause else ""
        return f"{excinfo.value}{raised}"

    def reportinfo(self) -> tuple[str, None, str]:
        """Return what pytest calls the test."""
        return str(self.path), None, f"lesson {self.name}"
