"""All exceptions that the host raises deliberately, as one tree.

::

    LoquaError
    ├── ConfigError              the configuration is invalid; all problems in one message
    ├── TutorError               a plugin violates the contract
    │   ├── HookFailedError      a hook raised, timed out or returned a wrong type
    │   └── BlockedError         raised in a tutor's code that blocks the event loop
    ├── HandoffError             a specialist cannot be called
    ├── LinkError                a job sent an invalid message over the link
    ├── LearnerError             the learner cannot be taught (see `cause`)
    ├── AnnouncementError        the announcement for a waiting learner cannot be played
    ├── RoomsError               LiveKit's rooms API does not respond
    ├── OpsError                 a running host does not show its status
    ├── WebhookError             a webhook is invalid or not signed by LiveKit
    ├── SecretsError             the source of the secrets does not respond
    │   └── UnusableSecretError  a secret has an unusable value
    ├── LedgerError              the ledger cannot be opened, read or written
    │   └── DecryptionError      data in the ledger cannot be decrypted
    └── ApiError                 a call to the Loqua API failed
        ├── UnreachableError     degrades: timeout, 429, 5xx, invalid response, a proxy's 4xx
        │   └── SuspendedError   not attempted: open breaker, or the API requested a pause
        └── RefusedError         never degrades: the API's own 400, 401 twice, 403, 404
            └── TokenError       the exchanged user token cannot be used

If the API is unreachable, a lesson continues without it. If the API refuses, it does not.
"""

from dataclasses import dataclass

__all__ = [
    "AnnouncementError",
    "ApiError",
    "BlockedError",
    "ConfigError",
    "DecryptionError",
    "HandoffError",
    "HookFailedError",
    "LearnerError",
    "LedgerError",
    "LinkError",
    "LoquaError",
    "OpsError",
    "Problem",
    "RefusedError",
    "RoomsError",
    "SecretsError",
    "SuspendedError",
    "TokenError",
    "TutorError",
    "UnreachableError",
    "UnusableSecretError",
    "WebhookError",
]


class LoquaError(Exception):
    """The base class of all exceptions that the host raises deliberately."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the configuration: where it is, what it is, and how to correct it."""

    where: str
    what: str
    hint: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.where}: {self.what}; {self.hint}"


class ConfigError(LoquaError):
    """The configuration is invalid; contains all problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class TutorError(LoquaError):
    """A tutor's plugin violates the contract; the message names plugin and hook."""


class HookFailedError(TutorError):
    """A hook raised, timed out or returned a wrong type."""

    def __init__(self, hook: str, message: str) -> None:
        self.hook = hook
        super().__init__(f"{hook}: {message}")


class BlockedError(TutorError):
    """Raised in a tutor's code that blocks the event loop, to interrupt it."""


class HandoffError(LoquaError):
    """A specialist cannot be called; the message says what to do instead."""


class LinkError(LoquaError):
    """A job sent an invalid message; its connection is closed."""


class LearnerError(LoquaError):
    """The learner cannot be taught; `cause` is a stable name for logs and metrics."""

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)


class AnnouncementError(LoquaError):
    """The announcement for a waiting learner cannot be played."""


class RoomsError(LoquaError):
    """LiveKit's rooms API does not respond; see LIVEKIT_URL and the LIVEKIT_API_* variables."""


class OpsError(LoquaError):
    """A running host does not show its status at its ops address."""


class WebhookError(LoquaError):
    """A webhook is invalid, or does not have LiveKit's signature."""


class SecretsError(LoquaError):
    """The source of the secrets does not respond; see `secrets:` in config/host.yaml."""


class UnusableSecretError(SecretsError):
    """A secret has an unusable value, which the message never shows.

    Attributes:
        variable: Its name.
        what: What is wrong with it.
        hint: What to write instead.
    """

    def __init__(self, variable: str, what: str, hint: str) -> None:
        self.variable = variable
        self.what = what
        self.hint = hint
        super().__init__(f"{variable} {what}; {hint}")


class LedgerError(LoquaError):
    """The ledger cannot be opened, read or written; the message names file and hint."""


class DecryptionError(LedgerError):
    """Data in the ledger cannot be decrypted: it is corrupt, or has been tampered with."""


class ApiError(LoquaError):
    """A call to the Loqua API failed.

    Attributes:
        endpoint: The endpoint's short name, such as `user-token`.
        message: What happened, without the endpoint.
        status: The HTTP status, or None without a response.
    """

    retryable = False

    def __init__(self, endpoint: str, message: str, *, status: int | None = None) -> None:
        self.endpoint = endpoint
        self.message = message
        self.status = status
        super().__init__(f"{endpoint}: {message}")


class UnreachableError(ApiError):
    """The API gave no usable response in time; the lesson degrades and continues.

    Attributes:
        retry_after: Seconds that the API asked to wait, if it did.
        sent: Whether the API may have processed the request.
    """

    retryable = True

    def __init__(
        self,
        endpoint: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        self.retry_after = retry_after
        self.sent = sent
        super().__init__(endpoint, message, status=status)


class SuspendedError(UnreachableError):
    """The call was not attempted: the breaker is open, or the API asked for a longer pause."""

    retryable = False


class RefusedError(ApiError):
    """The API refused the request; a retry would not help.

    Attributes:
        code: The API's error code, such as `USER_NOT_FOUND`; empty if there is none.
    """

    def __init__(
        self, endpoint: str, message: str, *, status: int | None = None, code: str = ""
    ) -> None:
        self.code = code
        super().__init__(endpoint, message, status=status)


class TokenError(RefusedError):
    """The exchanged user token cannot be used; `cause` is one of the guide's causes.

    The message never contains ciphertext, key or token.
    """

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__("user-token", message)
