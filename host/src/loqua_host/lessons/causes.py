"""Stable names of the causes for which lessons are refused."""

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
    """Return the cause of a refusal, for logs, jobs and metrics."""
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
