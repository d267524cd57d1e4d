"""The steps of a lesson's script: events, and what the tutor must do."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from loqua_host.link.messages import reasons_of

__all__ = [
    "FailApi",
    "Joins",
    "KillJob",
    "Leaves",
    "LessonStep",
    "RestartHost",
    "Returns",
    "Says",
    "StaysSilent",
    "TutorCalls",
    "TutorSays",
    "Types",
    "read_step",
]

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class LessonStep:
    """A step of a lesson's script."""

    @classmethod
    def read(cls, written: Any) -> Self:
        """Return the step that a YAML file gives with this value."""
        match written:
            case None:
                return cls()
            case Mapping():
                return cls(**written)
            case _:
                names: tuple[str, ...] = vars(cls)["__match_args__"]
                if not names:
                    raise TypeError("takes no argument")
                return cls(**{names[0]: written})


@dataclass(frozen=True, config=_STRICT)
class Says(LessonStep):
    """The learner says a sentence, and waits for the answer. `says: Hola.`.

    Args:
        text: The sentence.
        learner: Another learner who says it, by `user_id`.
    """

    text: str
    learner: str = ""


@dataclass(frozen=True, config=_STRICT)
class Types(LessonStep):
    """The learner types a chat message, and waits for the answer. `types: hola`.

    Args:
        text: The message.
        learner: Another learner who types it, by `user_id`.
    """

    text: str
    learner: str = ""


@dataclass(frozen=True, config=_STRICT)
class StaysSilent(LessonStep):
    """Let some virtual seconds of silence pass: `silence: 40`."""

    seconds: Seconds


@dataclass(frozen=True, config=_STRICT)
class Joins(LessonStep):
    """Another learner enters the room. `joins: ana`.

    A tutor teaches one learner at a time in a room, and hears the others if the script's
    `audio_input` is `all`. When the lesson is over, it teaches one who is still there.

    Args:
        learner: Their `user_id`.
        display_name: Their name.
    """

    learner: str
    display_name: str = ""


@dataclass(frozen=True, config=_STRICT)
class Leaves(LessonStep):
    """The learner leaves the room. `leaves`.

    Args:
        learner: Another learner who leaves, by `user_id`.
    """

    learner: str = ""


@dataclass(frozen=True, config=_STRICT)
class Returns(LessonStep):
    """The learner enters the room again. `returns`.

    Args:
        learner: Another learner who returns, by `user_id`.
    """

    learner: str = ""


@dataclass(frozen=True, config=_STRICT)
class KillJob(LessonStep):
    """The tutor's process dies; the host starts another, which resumes the lesson. `kill_job`."""


@dataclass(frozen=True, config=_STRICT)
class RestartHost(LessonStep):
    """The host dies with its jobs, and serves again 20 s later. `restart_host`."""


@dataclass(frozen=True, config=_STRICT)
class FailApi(LessonStep):
    """The Loqua API fails from now on. `api: 503 for 20 s`.

    Args:
        status: The HTTP status of its answers, 429 or 5xx: what the API refuses is no outage.
        seconds: For how long, in virtual seconds.
    """

    status: Annotated[int, Field(ge=429, le=599)]
    seconds: Seconds

    @classmethod
    def read(cls, written: Any) -> Self:
        """Return the step for a text such as `503 for 20 s`."""
        found = re.fullmatch(r"(\d{3}) for (\d+(?:\.\d+)?) ?s", str(written))
        if found is None:
            raise ValueError(f"{written!r} is no failure of the API; write `503 for 20 s`")
        return cls(int(found[1]), float(found[2]))


@dataclass(frozen=True, config=_STRICT)
class TutorSays(LessonStep):
    """The tutor has said this since the last `TutorSays` that matched.

    `tutor_says: ¡Hola!`, or `tutor_says: {matches: "[Hh]ola"}`.

    Args:
        text: Exactly this utterance.
        matches: Instead, a regular expression that is found in an utterance.
        means: Instead, what all that it has said since then must mean, such as `asks for the name`.
            The judge of `play_lesson` decides.
    """

    text: str = ""
    matches: str = ""
    means: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not match, or would match anything.

        Raises:
            ValueError: If there is not exactly one of them, or no regular expression.
        """
        if [bool(self.text), bool(self.matches), bool(self.means)].count(True) != 1:
            raise ValueError("give either a text, or `matches`, a regular expression, or `means`")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"{self.matches!r} is no regular expression: {error}") from None

    def accepts(self, said: str) -> bool:
        """Return whether an utterance is what is expected."""
        return said == self.text if self.text else bool(re.search(self.matches, said))

    def __str__(self) -> str:
        """Return what is expected, for messages."""
        return repr(self.text) if self.text else f"what matches {self.matches!r}"


@dataclass(frozen=True, config=_STRICT)
class TutorCalls(LessonStep):
    """The tutor has called a specialist, who comes, teaches, and hands the learner back.

    `tutor_calls: grammar-specialist`, or a mapping of the arguments.

    Args:
        agent_name: The specialist's agent name.
        focus: The focus that the specialist must receive; None accepts any.
        words: The words that the specialist must receive; None accepts any.
        outcome: Whether the specialist teaches, fails, or does not come.
        seconds: How long the specialist's lesson takes, in virtual seconds.
    """

    agent_name: str
    focus: str | None = None
    words: tuple[str, ...] | None = None
    outcome: Literal["taught", "absent", "failed"] = "taught"
    seconds: Seconds = 30.0


STEPS: Final[Mapping[str, type[LessonStep]]] = {
    "says": Says,
    "types": Types,
    "silence": StaysSilent,
    "joins": Joins,
    "leaves": Leaves,
    "returns": Returns,
    "kill_job": KillJob,
    "restart_host": RestartHost,
    "api": FailApi,
    "tutor_says": TutorSays,
    "tutor_calls": TutorCalls,
}
"""The steps by their names in YAML."""


def read_step(written: object) -> LessonStep:
    """Return a step from YAML: its name, or a mapping from its name to its arguments.

    Raises:
        ValueError: If it is no step; the message says what to write.
    """
    if isinstance(written, LessonStep):
        return written
    match written:
        case str():
            name, value = written, None
        case Mapping() if len(written) == 1:
            ((name, value),) = written.items()
        case _:
            raise ValueError("one item is one step, such as `- says: Hola.`")
    if name not in STEPS:
        similar = get_close_matches(str(name), STEPS, 1) or STEPS
        raise ValueError(f"{name!r} is no step; write {', '.join(similar)}")
    try:
        return STEPS[name].read(value)
    except ValidationError as error:
        raise ValueError(f"{name}: {reasons_of(error)}") from None
    except TypeError:
        raise ValueError(f"{name}: takes other arguments; {STEPS[name].__doc__}") from None
