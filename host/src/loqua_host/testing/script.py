"""A lesson's script: a tutor, the steps of a lesson, and the expectations."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from loqua_host.contract.handoff import Handover
from loqua_host.contract.learner import LearnerContext
from loqua_host.settings.lessons import AudioInput

from .replies import Reply
from .steps import LessonStep, read_step

__all__ = ["LessonExpectations", "LessonScript", "ScriptError", "read_script"]

_STRICT = ConfigDict(frozen=True, extra="forbid")


class ScriptError(Exception):
    """The file is not a valid script; the message names the remedy."""


class LessonExpectations(BaseModel):
    """The expectations of a lesson; None accepts anything.

    Attributes:
        hooks: The hooks that were called, in order, ticks included.
        failures: What failed in the tutor's code, as substrings of `LessonResult.failures`.
        reason: Why the lesson ended.
        progress: Fields of the last progress.
        record: Fields of the record that the API got.
        records: Fields of the records of several learners, by `user_id`.
        calls: What the API got, in order: `user-token`, `context`, `progress`, `sessions`.
        answers_within: Virtual seconds from the learner's words to the tutor's answer, at most. The
            end of a turn takes up to 0.1 s of them, work in a thread none.
    """

    model_config = _STRICT

    hooks: tuple[str, ...] | None = None
    failures: tuple[str, ...] = ()
    reason: str | None = None
    progress: dict[str, Any] = {}
    record: dict[str, Any] = {}
    records: dict[str, dict[str, Any]] = {}
    calls: tuple[str, ...] | None = None
    answers_within: float | None = Field(default=None, gt=0)


class LessonScript(BaseModel):
    """A lesson's script.

    Attributes:
        tutor: The tutor's plugin, by its entry point's name.
        agent: Instead, a LiveKit agent, as `module:Class`.
        settings: The tutor's settings, as in its file in config/tutors.
        language: The language taught, as an ISO 639-1 code, if the context has none.
        user_id: The learner.
        context: What the API knows of the learner.
        handover: What a tutor that calls this specialist hands over.
        replies: What the language model answers, in order; without any, there is none. Each is a
            text, or a `CallsTool`.
        realtime: Whether the model hears and speaks by itself, as a `RealtimeModel` does.
        audio_input: Whom the tutor hears: the `learner`, or `all` identified learners in the room.
        reconnect_timeout: Seconds within which a learner who left may return.
        steps: What happens. At the end, the learners leave.
        until_end: Whether steps after the tutor's own end of the lesson are left out. Otherwise,
            they fail, because nobody hears them.
        repeat: How often the lesson is played; each time must be as expected.
        expect: What must have come of it.
    """

    model_config = _STRICT

    tutor: str = ""
    agent: str | None = None
    settings: dict[str, Any] = {}
    language: str = "es"
    user_id: str = "maria"
    context: LearnerContext = LearnerContext()
    handover: Handover | None = None
    replies: tuple[Reply, ...] = ()
    realtime: bool = False
    audio_input: AudioInput = "learner"
    reconnect_timeout: float = Field(default=30.0, ge=0, le=3600)
    steps: tuple[Annotated[LessonStep, BeforeValidator(read_step)], ...] = ()
    until_end: bool = False
    repeat: int = Field(default=1, ge=1, le=1000)
    expect: LessonExpectations = LessonExpectations()


def read_script(path: Path) -> LessonScript:
    """Return the script in a YAML file.

    Raises:
        ScriptError: If it is none; the message names the file and what to write.
    """
    try:
        return LessonScript.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        problems = (f"{_place(one['loc'])}{one['msg']}" for one in error.errors())
        raise ScriptError("\n".join(f"{path}: {one}" for one in problems)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path}: is no YAML: {error}") from None


def _place(keys: tuple[int | str, ...]) -> str:
    return "".join(f"{key}." for key in keys)[:-1] + ": " if keys else ""
