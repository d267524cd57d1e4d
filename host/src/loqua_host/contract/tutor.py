"""What a plugin declares about its tutor."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Generic

from pydantic import BaseModel, ConfigDict, StringConstraints
from typing_extensions import TypeVar

__all__ = ["NAME", "Name", "NoSettings", "SecretName", "Settings_co", "Tutor"]

NAME: Final = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
LONGEST_NAME: Final = 64
VARIABLE: Final = r"[A-Z][A-Z0-9_]*"

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$", max_length=LONGEST_NAME)]
"""A tutor's name, or the name an agent is dispatched by."""

SecretName = Annotated[str, StringConstraints(pattern=f"^{VARIABLE}$")]
"""The name of a secret of a tutor's own."""


class NoSettings(BaseModel):
    """The settings model of a tutor that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Settings_co = TypeVar("Settings_co", bound=BaseModel, default=BaseModel, covariant=True)
"""A tutor's own model of its settings. Code that works for any tutor writes none."""


@dataclass(frozen=True)  # no slots: in Python 3.11 they break `Tutor[Settings](…)`
class Tutor(Generic[Settings_co]):
    """A tutor, as `register_tutor` declares it; config/tutors may override the dispatch.

    `Tutor[MySettings]` has settings of its own, and its hooks get a `Lesson[MySettings]`.

    Attributes:
        name: Unique in a host: lower-case words joined by hyphens, 64 characters at most.
        agent_name: The name to dispatch it by; None joins every new room (automatic).
        settings: The model of its `settings:` in config/tutors, validated before any lesson.
        secrets: Names of the secrets it needs, such as `OPENAI_API_KEY`; its lessons get
            these and no others.
        video: Whether it wants the learner's video as well as the audio.

    Raises:
        ValueError: If a name is not of the form above.
    """

    name: str
    agent_name: str | None = None
    settings: type[Settings_co] = NoSettings  # type: ignore[assignment]  # where none is given
    secrets: tuple[str, ...] = ()
    video: bool = False

    def __post_init__(self) -> None:
        """Check the names, so that a mistake shows where the tutor is declared."""
        for field in ("name", "agent_name"):
            value = getattr(self, field)
            if value is not None and not _is_name(value):
                raise ValueError(
                    f"Tutor({field}={value!r}): write lower-case words joined by hyphens, "
                    f"{LONGEST_NAME} characters at most"
                )
        for secret in self.secrets:
            if not re.fullmatch(VARIABLE, secret):
                raise ValueError(f"Tutor(secrets=…): {secret!r} is not of the form MY_API_KEY")


def _is_name(value: str) -> bool:
    return len(value) <= LONGEST_NAME and re.fullmatch(NAME, value) is not None
