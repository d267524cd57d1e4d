"""The messages of the link, as JSON text frames. Anything else is refused.

* **Start.** The job sends `Join`; the host answers `Welcome` or `Refused`.
* **Lesson.** The job sends `Checkpoint`, and in the background `VoiceTimed`, `HookTimed`,
  `CallbackFailed`, `EngineServes`, `Late` and `Spans`. While its event loop runs, it sends `Alive`.
* **End.** The job sends `Finish`; the host answers `Recorded` once the record is in the ledger.
* **Handoff.** The job sends `CallSpecialist`; the host answers `HandedBack` when the specialist is
  done, or `HandoffRefused`. If a job crashes in between, `HandedBack` goes to the next one, whose
  `Welcome` says so.
* **Return.** While the learner is away, the job sends `Join` for each participant who joins. If it
  is the learner, the host answers `Returned`. The job also sends `Join` when the learner's
  attributes have changed, and after it has reconnected.
* **Step out.** While the learner is away, the host may send `StepOut`, if another learner needs the
  capacity. If the job also sees that the learner is away, it answers `SteppedOut` and leaves.

If the link ends without `Finish`, `SteppedOut` or `ConnectionLost`, the job has crashed.
"""

import json
from functools import cache
from itertools import chain, takewhile
from typing import Annotated, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
)

from loqua_host.contract.handoff import Handback, HandoffRequest, Utterance
from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Ending, LessonReport, Mode, Progress
from loqua_host.contract.tutor import Name

from .spans import MAX_SPANS, JobSpan

__all__ = [
    "ALIVE_SECONDS",
    "ENGINE_KINDS",
    "FROM_JOB",
    "LONGEST_HOOK",
    "LONGEST_LATE",
    "LONGEST_LESSON",
    "LONGEST_STAGE",
    "MAX_MESSAGE_BYTES",
    "MAX_STATE_BYTES",
    "MAX_TURNS",
    "MOST_ENGINES",
    "TO_JOB",
    "Alive",
    "CallSpecialist",
    "CallbackFailed",
    "Checkpoint",
    "ConnectionLost",
    "ContextLoaded",
    "EngineKind",
    "EngineServes",
    "Finish",
    "FromJob",
    "HandedBack",
    "HandoffRefused",
    "Hook",
    "HookTimed",
    "Join",
    "Late",
    "ModeChanged",
    "Others",
    "ProgressRefused",
    "Recorded",
    "Refused",
    "Returned",
    "Spans",
    "Stage",
    "StepOut",
    "SteppedOut",
    "ToJob",
    "VoiceTimed",
    "Welcome",
    "WrapUp",
    "reasons_of",
]

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The maximum size of a message, above that of the longest report; a larger one ends the link."""

MAX_STATE_BYTES = 16 * 1024

MAX_TURNS = 20
"""Maximum of turns in a checkpoint."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")


Turns = Annotated[tuple[Utterance, ...], Field(max_length=MAX_TURNS)]


class Alive(BaseModel):
    """The job's event loop runs."""

    model_config = _FROZEN

    type: Literal["alive"] = "alive"


ALIVE_SECONDS = 3.0
"""Seconds between two `Alive` messages."""


class Join(BaseModel):
    """The participant that the job sees as its learner, for the host to verify."""

    model_config = _FROZEN

    type: Literal["join"] = "join"
    identity: str = Field(min_length=1, max_length=256)


def _bounded(state: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(state, allow_nan=False, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise ValueError("lesson.state contains an unpaired surrogate") from None
    except ValueError:
        raise ValueError("lesson.state contains a number that is not finite") from None
    if size > MAX_STATE_BYTES:
        raise ValueError(f"lesson.state has {size} bytes; keep it under {MAX_STATE_BYTES}")
    return state


State = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]
_STATE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(State)


def check_state(state: object) -> None:
    """Validate a tutor's state.

    Raises:
        ValidationError: If it is invalid.
    """
    _STATE.validate_python(state)


class Checkpoint(BaseModel):
    """The state to resume a lesson from after a crash.

    `seconds` and `progress` are cumulative since the start of the lesson; without progress, there
    is nothing new for the API. `state` is the tutor's own; without one, the previous one stays.
    `turns` are the last of the conversation, oldest first.
    """

    model_config = _FROZEN

    type: Literal["checkpoint"] = "checkpoint"
    seconds: float = Field(ge=0, allow_inf_nan=False)
    progress: Progress | None = None
    state: State | None = None
    turns: Turns = ()


class Finish(BaseModel):
    """The end of the lesson; the report is None if the tutor returned none.

    `turns` are the last of the conversation, as in a checkpoint.
    """

    model_config = _FROZEN

    type: Literal["finish"] = "finish"
    ending: Ending
    report: LessonReport | None = None
    turns: Turns = ()


class SteppedOut(BaseModel):
    """The job leaves the lesson open, because its learner is away and others wait for capacity.

    `ending` and `report` are for the record if the learner does not return in time; otherwise,
    another job resumes the lesson. The host answers `Recorded`.
    """

    model_config = _FROZEN

    type: Literal["stepped_out"] = "stepped_out"
    ending: Ending
    report: LessonReport | None = None


class ConnectionLost(BaseModel):
    """The job has lost LiveKit and leaves the lesson to another job; this is not a crash."""

    model_config = _FROZEN

    type: Literal["connection_lost"] = "connection_lost"


Stage = Literal["hearing", "turn", "thinking", "speaking", "reply"]
"""The stages of a reply: until the transcript, the end of the turn, the language model's first word
and the first audio; and the whole, from the learner's last word to the tutor's first."""

LONGEST_STAGE = 60.0


class VoiceTimed(BaseModel):
    """The durations of a reply's stages, in seconds."""

    model_config = _FROZEN

    type: Literal["voice"] = "voice"
    stages: dict[Stage, Annotated[float, Field(ge=0, le=LONGEST_STAGE)]]


class CallSpecialist(BaseModel):
    """A tutor's call to a specialist, with the last sentences."""

    model_config = _FROZEN

    type: Literal["call_specialist"] = "call_specialist"
    agent_name: Name
    request: HandoffRequest
    sentences: Annotated[tuple[Utterance, ...], Field(max_length=10)] = ()


Hook = Literal["create_agent", "on_user_ready", "on_progress_tick", "on_session_end"]
"""A hook that is called in a lesson."""

LONGEST_HOOK = 600.0
LONGEST_LATE = 60.0
LONGEST_LESSON = 86_400.0


class HookTimed(BaseModel):
    """The duration of a hook call in seconds, and whether it failed.

    `after` is when it started, in seconds since the job's welcome.
    """

    model_config = _FROZEN

    type: Literal["hook"] = "hook"
    hook: Hook
    after: float = Field(ge=0, le=LONGEST_LESSON)
    seconds: float = Field(ge=0, le=LONGEST_HOOK)
    failed: bool


class CallbackFailed(BaseModel):
    """A failure of the tutor's code outside its hooks, such as a callback of its agent."""

    model_config = _FROZEN

    type: Literal["callback_failed"] = "callback_failed"


EngineKind = Literal["stt", "llm", "tts"]
"""The kind of an engine: speech to text, language model, text to speech."""

ENGINE_KINDS: Final[tuple[EngineKind, ...]] = get_args(EngineKind)

MOST_ENGINES: Final = 5
"""Maximum of engines of one kind; the index of the serving one is a label of metrics."""


class EngineServes(BaseModel):
    """The engine of a list that serves the lesson from now on."""

    model_config = _FROZEN

    type: Literal["engine"] = "engine"
    kind: EngineKind
    index: int = Field(ge=0, lt=MOST_ENGINES)


class Late(BaseModel):
    """The job's response delay in seconds; not sent while there is none."""

    model_config = _FROZEN

    type: Literal["late"] = "late"
    seconds: float = Field(ge=0, le=LONGEST_LATE)


class Spans(BaseModel):
    """Ended spans of the job."""

    model_config = _FROZEN

    type: Literal["spans"] = "spans"
    spans: Annotated[tuple[JobSpan, ...], Field(max_length=MAX_SPANS)]


FromJob = Annotated[
    Alive
    | Join
    | Checkpoint
    | VoiceTimed
    | HookTimed
    | CallbackFailed
    | EngineServes
    | Late
    | Spans
    | CallSpecialist
    | ConnectionLost
    | SteppedOut
    | Finish,
    Field(discriminator="type"),
]
FROM_JOB: TypeAdapter[FromJob] = TypeAdapter(FromJob)


class Welcome(BaseModel):
    """Everything that a job needs for its lesson, without any secret of the host.

    `session_id` is the lesson's id for the API. `secrets` has the secrets that the tutor declares
    in `Tutor(secrets=…)` and those of its engines, by name. A resumed lesson continues from
    `seconds`, `progress`, `state` and `turns`. If `last_try` is True, no other job resumes it. If
    `called` is True, an earlier job has called a specialist, and `HandedBack` follows.
    `engines` has the index of the engine to start with, by kind, if it is not the first. `traced`
    is whether the host collects spans.
    """

    model_config = _FROZEN

    type: Literal["welcome"] = "welcome"
    lesson: str
    session_id: str
    visit: str
    room: str
    agent_id: str
    learner: Learner
    context: LearnerContext
    language: str
    mode: Mode
    resumed: bool = False
    last_try: bool = False
    called: bool = False
    seconds: float = 0.0
    progress: Progress | None = None
    state: dict[str, JsonValue] = Field(default_factory=dict)
    turns: Turns = ()
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    engines: dict[EngineKind, int] = Field(default_factory=dict)
    traced: bool = False


class Refused(BaseModel):
    """The lesson is refused. The learner hears an apology in `language`, or none if it is None."""

    model_config = _FROZEN

    type: Literal["refused"] = "refused"
    cause: str
    language: str | None = None
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)


class ProgressRefused(BaseModel):
    """The last progress is invalid: which field, and why."""

    model_config = _FROZEN

    type: Literal["progress_refused"] = "progress_refused"
    why: str


class ModeChanged(BaseModel):
    """The lesson's mode has changed: the API went down or came back."""

    model_config = _FROZEN

    type: Literal["mode"] = "mode"
    mode: Mode


class ContextLoaded(BaseModel):
    """The learner's context, for a lesson that started without it."""

    model_config = _FROZEN

    type: Literal["context"] = "context"
    context: LearnerContext


class WrapUp(BaseModel):
    """End the lesson politely within these seconds, for this reason; at once with 0."""

    model_config = _FROZEN

    type: Literal["wrap_up"] = "wrap_up"
    reason: str
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class StepOut(BaseModel):
    """Leave the lesson to a later job if its learner is away, because others wait for capacity."""

    model_config = _FROZEN

    type: Literal["step_out"] = "step_out"


class Returned(BaseModel):
    """The learner is back in the room, possibly with another identity."""

    model_config = _FROZEN

    type: Literal["returned"] = "returned"
    learner: Learner


class HandedBack(BaseModel):
    """The result of a call to a specialist."""

    model_config = _FROZEN

    type: Literal["handed_back"] = "handed_back"
    handback: Handback


class HandoffRefused(BaseModel):
    """The specialist cannot be called."""

    model_config = _FROZEN

    type: Literal["handoff_refused"] = "handoff_refused"
    why: str


class Others(BaseModel):
    """All other identified learners in the room, replacing those sent before.

    `entries` has LiveKit's `sid` of each, because somebody else may reuse a free identity.
    """

    model_config = _FROZEN

    type: Literal["others"] = "others"
    others: tuple[Learner, ...]
    entries: tuple[str, ...]


class Recorded(BaseModel):
    """The end of the lesson is saved in the ledger."""

    model_config = _FROZEN

    type: Literal["recorded"] = "recorded"


ToJob = Annotated[
    Welcome
    | Refused
    | ProgressRefused
    | ModeChanged
    | ContextLoaded
    | WrapUp
    | StepOut
    | Returned
    | HandedBack
    | HandoffRefused
    | Others
    | Recorded,
    Field(discriminator="type"),
]
TO_JOB: TypeAdapter[ToJob] = TypeAdapter(ToJob)


def reasons_of(error: ValidationError) -> str:
    """Return which fields of a message are invalid and why, without their values."""
    return "; ".join(
        f"{_place(item['loc']) or 'message'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )[:500]


def _place(path: tuple[int | str, ...]) -> str:
    """Return a field's path as far as the contract defines it; deeper keys are the tutor's data."""
    known = takewhile(lambda part: isinstance(part, int) or part in _fields(), path)
    return ".".join(str(part) for part in known)


@cache
def _fields() -> frozenset[str]:
    """Return the names of all fields and types that messages have, at any depth."""
    definitions = FROM_JOB.json_schema()["$defs"].values()
    fields = (field for one in definitions for field in one.get("properties", {}).items())
    return frozenset(
        chain.from_iterable((name, *filter(None, [rule.get("const")])) for name, rule in fields)
    )
