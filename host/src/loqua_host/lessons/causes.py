"""The stable names of what refuses a lesson."""

from loqua_host.errors import (
    LearnerError,
    LedgerError,
    LoquaError,
    RefusedError,
    RoomsError,
    TokenError,
)
from loqua_host.records.ledger import ALREADY_TAUGHT

__all__ = ["ALREADY_TAUGHT", "cause_of"]


def cause_of(refusal: LoquaError) -> str:
    """Name the cause of a refusal, as logs, jobs and metrics know it."""
    match refusal:
        case LearnerError() | TokenError():
            return refusal.cause
        case RoomsError():
            return "livekit_unreachable"
        case LedgerError():
            return "ledger_unusable"
        case RefusedError():
            return f"{refusal.endpoint}_refused"
    return type(refusal).__name__
