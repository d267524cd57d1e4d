"""A test's script for the tutor in a room."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from loqua_host import LessonReport, Progress

__all__ = ["Attack", "DeniedAttempts", "Misbehaviour", "ProbeScript", "SecretSearch"]

Misbehaviour = Literal["raise", "hang", "nonsense", "block"]
Attack = Literal[
    "second",
    "stolen",
    "flood",
    "oversized",
    "malformed",
    "nan",
    "rejoin",
    "channels",
    "siblings",
    "host",
    "guessed",
    "rooms",
    "webhook",
    "all",
]


class SecretSearch(BaseModel):
    """The places to search for secrets.

    Attributes:
        host: The host's process id, the last ancestor to look at.
        memory: Whether to read ancestors' memory as well as its own.
        files: Files to read, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: int
    memory: bool
    files: tuple[Path, ...] = ()


class DeniedAttempts(BaseModel):
    """The targets of attempts that the kernel denies.

    Attributes:
        host: The host's process id.
        ledger: The ledger's file.
        ports: Ports of this machine to connect to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: int
    ledger: Path
    ports: list[int]


class ProbeScript(BaseModel):
    """A lesson's script; by default, everything goes well.

    Attributes:
        beats: Whether to send the room a data packet with each tick, which shows that it teaches.
        clings: Whether its agent does not let go of the voice at the end, not even cancelled.
        deed: What of the hostile set it does once.
        hoards: Bytes of memory that the tutor takes, some with each tick, and never gives back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    create_agent: Misbehaviour | None = None
    on_user_ready: Misbehaviour | None = None
    on_progress_tick: Misbehaviour | None = None
    on_session_end: Misbehaviour | None = None
    on_user_turn_completed: Misbehaviour | None = None
    progress: tuple[Progress, ...] = ()
    report: LessonReport | None = None
    ends_at: int | None = None
    killed_at: int | None = None
    killed_again: bool = False
    blocked_at: int | None = None
    reconnects_at: int | None = None
    beats: bool = False
    attack: Attack | None = None
    misbehaviour: str | None = None
    attempts: DeniedAttempts | None = None
    calls: str | None = None
    search: SecretSearch | None = None
    clings: bool = False
    hoards: int = 0

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a room's script; a room without one has the plain script."""
        return cls.model_validate_json(file.read_bytes()) if file.exists() else cls()

    def progress_at(self, tick: int) -> Progress | None:
        """Return what to report at a tick: as written, then nothing new; unwritten, a word more."""
        if not self.progress:
            return Progress(words_learned=tick, phrases_practiced=2 * tick)
        return self.progress[tick - 1] if tick <= len(self.progress) else None
