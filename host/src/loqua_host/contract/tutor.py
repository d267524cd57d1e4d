"""`Tutor`, a plugin's declaration."""

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
"""A tutor's name, or its agent name."""

SecretName = Annotated[str, StringConstraints(pattern=f"^{VARIABLE}$")]
"""The name of a tutor's secret."""


class NoSettings(BaseModel):
    """The settings model of a tutor without settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Settings_co = TypeVar("Settings_co", bound=BaseModel, default=BaseModel, covariant=True)
"""A tutor's settings model. Code for any tutor omits it."""


@dataclass(frozen=True)  # no slots: in Python 3.11 they break `Tutor[Settings](…)`
class Tutor(Generic[Settings_co]):
    """A tutor, as `register_tutor` declares it; config/tutors may override its dispatch.

    The hooks of a `Tutor[MySettings]` receive a `Lesson[MySettings]`.

    Attributes:
        name: Unique in a host: lower-case words joined by hyphens, at most 64 characters.
        agent_name: The name to dispatch it by, or None to join every new room (automatic).
        settings: The model of its `settings:` in config/tutors, validated before any lesson.
        secrets: Names of the secrets that it needs, such as `OPENAI_API_KEY`; its lessons get
            no others.
        video: Whether it may look at the learner's video (`lesson.look`).

    Raises:
        ValueError: If a name does not have this form.
    """

    name: str
    agent_name: str | None = None
    settings: type[Settings_co] = NoSettings  # type: ignore[assignment]  # where none is given
    secrets: tuple[str, ...] = ()
    video: bool = False

    def __post_init__(self) -> None:
        """Validate the names, so that the error points to the declaration."""
        for field in ("name", "agent_name"):
            value = getattr(self, field)
            if value is not None and not _is_name(value):
                raise ValueError(
                    f"Tutor({field}={value!r}): write lower-case words joined by hyphens, "
                    f"at most {LONGEST_NAME} characters"
                )
        for secret in self.secrets:
            if not re.fullmatch(VARIABLE, secret):
                raise ValueError(f"Tutor(secrets=…): {secret!r} does not look like MY_API_KEY")


def _is_name(value: str) -> bool:
    return len(value) <= LONGEST_NAME and re.fullmatch(NAME, value) is not None
