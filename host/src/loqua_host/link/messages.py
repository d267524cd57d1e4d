"""What goes over the link, as JSON text frames; anything else is refused.

A job speaks first with `Join`; the host answers `Welcome` or `Refused`. While the lesson
runs, the job sends `Checkpoint`, in passing `VoiceTimed`, `HookTimed`,
`CallbackFailed`, `EngineServes`, `Late` and `Spans`, and at last
`Finish`, which the host answers with `Recorded` once the record is in the ledger. To
`CallSpecialist` the host answers `HandedBack` when the specialist is done, or `HandoffRefused`.
When its learner has left and somebody comes, it sends `Join` again; if that is the learner, the
host says `Returned`. So it does when its learner seems to have become another, or its own
connection to the room was repaired. While the learner is away, the host may say `StepOut`: another
learner needs the place. The job answers `SteppedOut` and leaves, if it sees the learner away, too.
The end of the link without `Finish` is a crash, unless the job has said `SteppedOut` or
`ConnectionLost`. As long as its event loop turns, a job says `Alive`.
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
"""More than the longest report there can be; a larger message ends its connection."""

MAX_STATE_BYTES = 16 * 1024

MAX_TURNS = 20
"""Turns of the conversation that a checkpoint has at most."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")


Turns = Annotated[tuple[Utterance, ...], Field(max_length=MAX_TURNS)]


class Alive(BaseModel):
    """The job's event loop turns."""

    model_config = _FROZEN

    type: Literal["alive"] = "alive"


ALIVE_SECONDS = 3.0
"""How often a job says so."""


class Join(BaseModel):
    """The job sees this participant as its learner; the host looks for itself."""

    model_config = _FROZEN

    type: Literal["join"] = "join"
    identity: str = Field(min_length=1, max_length=256)


def _bounded(state: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(state, allow_nan=False, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise ValueError("lesson.state holds half a character") from None
    except ValueError:
        raise ValueError("lesson.state holds a number that is not finite") from None
    if size > MAX_STATE_BYTES:
        raise ValueError(f"lesson.state has {size} bytes; keep it under {MAX_STATE_BYTES}")
    return state


State = Annotated[dict[str, JsonValue], AfterValidator(_bounded)]
_STATE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(State)


def check_state(state: object) -> None:
    """Check that a tutor's state can be kept.

    Raises:
        ValidationError: If it cannot.
    """
    _STATE.validate_python(state)


class Checkpoint(BaseModel):
    """What a lesson is gone on from after a crash.

    `seconds` and `progress` are cumulative since the lesson began; without progress there is
    nothing new to tell the API. `state` is the tutor's own; without one, the last stays. `turns`
    are the last of the conversation, oldest first.
    """

    model_config = _FROZEN

    type: Literal["checkpoint"] = "checkpoint"
    seconds: float = Field(ge=0, allow_inf_nan=False)
    progress: Progress | None = None
    state: State | None = None
    turns: Turns = ()


class Finish(BaseModel):
    """The lesson is over; the report is None when the tutor gave none."""

    model_config = _FROZEN

    type: Literal["finish"] = "finish"
    ending: Ending
    report: LessonReport | None = None


class SteppedOut(BaseModel):
    """The job leaves the lesson open, as its learner is away and the place is needed.

    `ending` and `report` are for the record if the learner does not return in time; else another
    job goes on with the lesson. The host answers `Recorded`.
    """

    model_config = _FROZEN

    type: Literal["stepped_out"] = "stepped_out"
    ending: Ending
    report: LessonReport | None = None


class ConnectionLost(BaseModel):
    """The job has lost LiveKit for good and leaves the lesson to another; that is no crash."""

    model_config = _FROZEN

    type: Literal["connection_lost"] = "connection_lost"


Stage = Literal["hearing", "turn", "thinking", "speaking", "reply"]
"""Of a reply: to the transcript, to the end of the turn, to the first word of the mind and the
first sound of the voice; and all of it, from the learner's last word to the tutor's first."""

LONGEST_STAGE = 60.0


class VoiceTimed(BaseModel):
    """What a learner or a tutor said, and the seconds that its stages took."""

    model_config = _FROZEN

    type: Literal["voice"] = "voice"
    stages: dict[Stage, Annotated[float, Field(ge=0, le=LONGEST_STAGE)]]


class CallSpecialist(BaseModel):
    """The tutor wants a specialist to go on for a while, knowing what was said last."""

    model_config = _FROZEN

    type: Literal["call_specialist"] = "call_specialist"
    agent_name: Name
    wish: HandoffRequest
    sentences: Annotated[tuple[Utterance, ...], Field(max_length=10)] = ()


Hook = Literal["create_agent", "on_user_ready", "on_progress_tick", "on_session_end"]
"""A hook that is called in a lesson."""

LONGEST_HOOK = 600.0
LONGEST_LATE = 60.0
LONGEST_LESSON = 86_400.0


class HookTimed(BaseModel):
    """The seconds that a call of a hook took, and whether it failed.

    `after` is when it began, in seconds since the job's welcome.
    """

    model_config = _FROZEN

    type: Literal["hook"] = "hook"
    hook: Hook
    after: float = Field(ge=0, le=LONGEST_LESSON)
    seconds: float = Field(ge=0, le=LONGEST_HOOK)
    failed: bool


class CallbackFailed(BaseModel):
    """A failure of the tutor's code outside its hooks: of a callback of its agent's, for one."""

    model_config = _FROZEN

    type: Literal["callback_failed"] = "callback_failed"


EngineKind = Literal["stt", "llm", "tts"]
"""What an engine is for: speech to text, language, text to speech."""

ENGINE_KINDS: Final[tuple[EngineKind, ...]] = get_args(EngineKind)

MOST_ENGINES: Final = 5
"""Engines of one kind; the index of the one in use is a label of metrics."""


class EngineServes(BaseModel):
    """Which engine of a list serves the lesson from now on; one by itself is not told of."""

    model_config = _FROZEN

    type: Literal["engine"] = "engine"
    kind: EngineKind
    index: int = Field(ge=0, lt=MOST_ENGINES)


class Late(BaseModel):
    """By how many seconds the job is behind its learner; not told while it keeps up."""

    model_config = _FROZEN

    type: Literal["late"] = "late"
    seconds: float = Field(ge=0, le=LONGEST_LATE)


class Spans(BaseModel):
    """Spans of the job that have ended."""

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
    """All that a job needs for its lesson, and nothing that belongs to the host.

    `session_id` is what the API knows the lesson by. `secrets` holds what this tutor declared
    in `Tutor(secrets=…)` and what config names for its engines, by name. A resumed lesson goes
    on from `seconds`, `progress`, `state` and `turns`. After `last_try` no other job goes on
    with it. `engines` says which engine of a list to begin with, where it is not the first.
    `traced` says whether the host wants its spans.
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
    seconds: float = 0.0
    progress: Progress | None = None
    state: dict[str, JsonValue] = Field(default_factory=dict)
    turns: Turns = ()
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    engines: dict[EngineKind, int] = Field(default_factory=dict)
    traced: bool = False


class Refused(BaseModel):
    """There is no lesson to give; the learner is told so in `language`, not at all without one."""

    model_config = _FROZEN

    type: Literal["refused"] = "refused"
    cause: str
    language: str | None = None
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)


class ProgressRefused(BaseModel):
    """The last progress does not count: which field is wrong, and why."""

    model_config = _FROZEN

    type: Literal["progress_refused"] = "progress_refused"
    why: str


class ModeChanged(BaseModel):
    """The API went down or came back during the lesson."""

    model_config = _FROZEN

    type: Literal["mode"] = "mode"
    mode: Mode


class ContextLoaded(BaseModel):
    """The learner's context, for a lesson that began without it."""

    model_config = _FROZEN

    type: Literal["context"] = "context"
    context: LearnerContext


class WrapUp(BaseModel):
    """End the lesson politely within so many seconds, for this reason; at once without any."""

    model_config = _FROZEN

    type: Literal["wrap_up"] = "wrap_up"
    reason: str
    seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class StepOut(BaseModel):
    """Leave the lesson to a later job, if its learner is away: another learner needs the place."""

    model_config = _FROZEN

    type: Literal["step_out"] = "step_out"


class Returned(BaseModel):
    """The learner is back in the room, perhaps under another identity."""

    model_config = _FROZEN

    type: Literal["returned"] = "returned"
    learner: Learner


class HandedBack(BaseModel):
    """The called specialist is done, or will not come."""

    model_config = _FROZEN

    type: Literal["handed_back"] = "handed_back"
    handback: Handback


class HandoffRefused(BaseModel):
    """The specialist cannot be called."""

    model_config = _FROZEN

    type: Literal["handoff_refused"] = "handoff_refused"
    why: str


class Others(BaseModel):
    """Who else is in the room and identified; all of them, in place of those told before.

    `entries` has LiveKit's `sid` of each: somebody else may come by an identity when it is free.
    """

    model_config = _FROZEN

    type: Literal["others"] = "others"
    others: tuple[Learner, ...]
    entries: tuple[str, ...]


class Recorded(BaseModel):
    """The lesson's record is safe in the ledger, or will be made from what is."""

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
    """Return which fields of a message are wrong and why, without their values."""
    return "; ".join(
        f"{_place(item['loc']) or 'message'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )[:500]


def _place(path: tuple[int | str, ...]) -> str:
    """Name a field as far as the contract does: keys below it are the tutor's own data."""
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
