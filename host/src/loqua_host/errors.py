"""Every error the host raises on purpose, as one tree.

::

    LoquaError
    ├── ConfigError              the start is refused; all problems in one message
    ├── TutorError               a plugin breaks the contract
    │   ├── HookFailedError      a hook raised, took too long or returned something else
    │   └── BlockedError         its code keeps the event loop; raised in that code
    ├── HandoffError             a specialist cannot be called
    ├── LinkError                a job spoke out of turn over the link
    ├── LearnerError             who is in the room cannot be taught (see `cause`)
    ├── AnnouncementError        a waiting learner cannot be told so aloud
    ├── RoomsError               LiveKit's rooms API gave no answer
    ├── WebhookError             what came as a webhook is not LiveKit's
    ├── SecretsError             the place that keeps the secrets gave no answer
    │   └── UnusableSecretError  it gave what cannot be used as that secret
    ├── LedgerError              the ledger cannot be opened, read or written
    │   └── DecryptionError      something in it is not as the host encrypted it
    └── ApiError                 a call to the Loqua API did not succeed
        ├── UnreachableError     degrades: timeout, 429, 5xx, garbage, a proxy's 4xx
        │   └── SuspendedError   not even tried: open breaker, or the API asked to wait
        └── RefusedError         never degrades: the API's own 400, 401 twice, 403, 404
            └── TokenError       the exchanged user token cannot be used

Unreachable degrades, refused does not: a lesson goes on without the API, but never
against its word.
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
    """The root of all errors that the host raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: where it is and what to write instead."""

    where: str
    what: str
    hint: str

    def __str__(self) -> str:
        """Return the problem as one line for people."""
        return f"{self.where}: {self.what}; {self.hint}"


class ConfigError(LoquaError):
    """The host will not start; carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class TutorError(LoquaError):
    """A tutor plugin breaks the contract; the message names plugin and hook."""


class HookFailedError(TutorError):
    """A hook raised, took too long or returned something else than its contract says."""

    def __init__(self, hook: str, message: str) -> None:
        self.hook = hook
        super().__init__(f"{hook}: {message}")


class BlockedError(TutorError):
    """A tutor's code keeps the event loop from turning; raised in that code, to free the loop."""


class HandoffError(LoquaError):
    """A specialist cannot be called; the message says what to write or wait for instead."""


class LinkError(LoquaError):
    """A job sent what the link does not take; its connection is closed."""


class LearnerError(LoquaError):
    """The learner cannot be taught; `cause` is a stable name for logs and metrics."""

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)


class AnnouncementError(LoquaError):
    """A learner who waits for a place cannot be told so aloud."""


class RoomsError(LoquaError):
    """LiveKit's rooms API gave no answer; see livekit.url and the LIVEKIT_API_* variables."""


class WebhookError(LoquaError):
    """What came as a webhook does not have LiveKit's signature, or is none."""


class SecretsError(LoquaError):
    """The place that keeps the secrets gave no answer; see `secrets:` in config/host.yaml."""


class UnusableSecretError(SecretsError):
    """A secret is there and cannot be used; never says its value.

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
    """Something in the ledger is not as the host encrypted it: it rotted, or somebody wrote it."""


class ApiError(LoquaError):
    """A call to the Loqua API did not succeed.

    Attributes:
        endpoint: The endpoint's short name, such as `user-token`.
        message: What happened, without the endpoint.
        status: The HTTP status, or None when no answer came.
    """

    retryable = False

    def __init__(self, endpoint: str, message: str, *, status: int | None = None) -> None:
        self.endpoint = endpoint
        self.message = message
        self.status = status
        super().__init__(f"{endpoint}: {message}")


class UnreachableError(ApiError):
    """The API gave no usable answer in time; the lesson degrades and goes on.

    Attributes:
        retry_after: Seconds the API asked to wait, when it did.
        sent: Whether the API may have taken the request although it did not say so.
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
    """The call was not tried: the breaker is open, or the API asked for a longer pause."""

    retryable = False


class RefusedError(ApiError):
    """The API understood and said no; repeating the request changes nothing.

    Attributes:
        code: The API's own name for it, such as `USER_NOT_FOUND`; empty where it gave none.
    """

    def __init__(
        self, endpoint: str, message: str, *, status: int | None = None, code: str = ""
    ) -> None:
        self.code = code
        super().__init__(endpoint, message, status=status)


class TokenError(RefusedError):
    """The exchanged user token cannot be used; `cause` names which of the guide's causes.

    The message never holds ciphertext, key or token.
    """

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__("user-token", message)
