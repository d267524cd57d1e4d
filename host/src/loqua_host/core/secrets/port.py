"""The port through which the core reads secrets, old and new at once."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, Protocol, SupportsIndex

from pydantic import SecretStr

__all__ = ["CoreSecret", "Sealed", "Secret", "SecretsPort", "SecretsSource"]


class CoreSecret(StrEnum):
    """The core's secrets: two by the guide's names, and the address of the store in Supabase."""

    AGENT_JWT_TOKEN = "AGENT_JWT_TOKEN"  # noqa: S105  (the name of a secret, not its value)
    SHARED_SECRET = "SHARED_SECRET"  # noqa: S105  (likewise)
    SUPABASE_DB_URL = "SUPABASE_DB_URL"


class Sealed(SecretStr):
    """A secret that prints as stars and refuses to be pickled or copied out of this process."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse, whatever the protocol."""
        raise TypeError("a secret stays in this process: it cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret's value and, while it is being rotated, its previous value."""

    current: Sealed
    previous: Sealed | None = None

    def values(self) -> tuple[Sealed, ...]:
        """Return the values to try, newest first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


class SecretsPort(Protocol):
    """The interface from which the core gets secrets, at every use and without a delay."""

    async def read(self, name: CoreSecret, *, fresh: bool = False) -> Secret:
        """Return the secret of that name.

        Args:
            name: Which one.
            fresh: Look it up now where it is kept; the API seems to have another already.

        Raises:
            ConfigError: There is none; the message names where to put it.
        """


class SecretsSource(Protocol):
    """A source of secrets, which are named like environment variables."""

    place: str
    """The name of the source, for logs and error messages."""

    def fetch(self, variable: str) -> Secret | None:
        """Look a secret up, waiting as long as it takes; None where there is none.

        Raises:
            SecretsError: The place gave no answer.
        """
