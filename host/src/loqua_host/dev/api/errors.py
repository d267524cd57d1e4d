"""Refusals in the guide's error body."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from .models import ErrorAnswer, ErrorDetail

_REASONS_SHOWN = 5
_LONGEST_REASON = 300
_MISSING_USER_ID = "userId is required for agent context validation"


class ApiRefusedError(Exception):
    """A refused request, with the status, code and text of the response."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def answer(self, now: float, headers: dict[str, str] | None = None) -> JSONResponse:
        """Return the refusal in the guide's words."""
        body = ErrorAnswer(
            error=ErrorDetail(code=self.code, message=self.message), timestamp=moment(now)
        )
        return JSONResponse(body.model_dump(mode="json"), self.status, headers)


def moment(now: float) -> datetime:
    """Return a Unix time as the guide writes times: UTC, whole seconds."""
    return datetime.fromtimestamp(int(now), UTC)


def invalid_request(errors: list[dict[str, Any]]) -> ApiRefusedError:
    """Return the 400 for pydantic's findings: the first one's code, each field and reason."""
    reasons = "; ".join(map(_reason, errors[:_REASONS_SHOWN]))
    return ApiRefusedError(HTTPStatus.BAD_REQUEST, _code(errors[0]), reasons)


def _code(error: dict[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return "INVALID_JSON"
    if error["type"] != "missing":
        return "INVALID_FIELD"
    missing = {"userId": "MISSING_USER_ID", "user_id": "MISSING_USER_ID"}
    return {**missing, "X-Agent-ID": "MISSING_AGENT_ID"}.get(error["loc"][-1], "MISSING_FIELD")


def _reason(error: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in error["loc"][1:]) or "body"
    if error["type"] == "json_invalid":
        return "the body is not valid JSON"
    if error["type"] == "missing":
        return _MISSING_USER_ID if path == "userId" else f"{path} is required"
    return _writable(f"{path}: {error['msg']}")


def _writable(text: str) -> str:
    """Return the caller's text, truncated and without unpaired surrogates."""
    return text[:_LONGEST_REASON].encode(errors="replace").decode()
