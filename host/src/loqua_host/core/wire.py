"""The API's requests and responses: conversion from and to camelCase.

What is sent is checked before it is sent; what is answered is checked before it is believed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_serializer,
)
from pydantic_core import ErrorDetails

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Progress, SessionId, SessionRecord, Word
from loqua_host.errors import RefusedError, UnreachableError

from . import ephemeral
from .caller import Caller
from .json_reader import parse_json, read_model

__all__ = [
    "IDENTIFIER",
    "Answer",
    "Request",
    "Status",
    "UserTokenAnswer",
    "context_request",
    "health_request",
    "progress_request",
    "session_request",
    "user_token_request",
]

Status = Literal["in_progress", "completed", "failed"]
T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)

IDENTIFIER = r"[A-Za-z0-9_][A-Za-z0-9_.@:|+-]{0,127}"
"""A user or agent id: safe in a path and in a header; no controls, blanks or path separators."""

Identifier = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER}$")]

Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]
"""A room's name."""

_CHECKED = ConfigDict(
    frozen=True, extra="forbid", hide_input_in_errors=True, revalidate_instances="always"
)
_BELIEVED = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)

AnsweredId = Annotated[str, Field(coerce_numbers_to_str=True)]
"""An id in an answer; a service that keeps numbers may write it as one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its headers, by names in lower case, and its body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call to make: its request, and the parser of its response.

    Attributes:
        path: Below `/api/{version}/agent`.
        read: Turns an answer into its value; a ValueError says that it is no such answer, an
            UnreachableError that it is one of an API in trouble.
        body: JSON; None for a GET.
        revised: The bodies in versions of the API whose body is another one.
        key: The idempotency key; None for a GET.
        repeatable: Whether it may be sent again when the first answer was lost.
        headers: Further ones than every call has.
        session_id: The session that it is about, if it is about one.
    """

    endpoint: str
    path: str
    caller: Caller
    read: Callable[[Answer], T]
    body: bytes | None = None
    key: str | None = None
    repeatable: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    session_id: str = ""
    revised: Mapping[str, bytes] = field(default_factory=dict)

    def body_in(self, version: str) -> bytes | None:
        """Return the body in a version of the API."""
        return self.revised.get(version, self.body)

    @property
    def method(self) -> Literal["GET", "POST"]:
        """A request with a body is a POST."""
        return "GET" if self.body is None else "POST"


class _UserTokenBody(BaseModel):
    model_config = _CHECKED
    user_id: Identifier
    room_name: Name
    agent_id: Identifier


class _LearnerBody(BaseModel):
    model_config = _CHECKED
    user_id: Identifier = Field(serialization_alias="userId")


class _ScoredProgress(Progress):
    @field_serializer("pronunciation_score")
    def _whole(self, score: float | None) -> int | float | None:
        return _number(score)


class _ProgressData(BaseModel):
    model_config = _CHECKED
    status: Status
    progress: _ScoredProgress


class _ProgressBody(_LearnerBody):
    session_id: SessionId = Field(serialization_alias="sessionId")
    data: _ProgressData


class _SessionBody(SessionRecord):
    model_config = _CHECKED
    user_id: Identifier = Field(serialization_alias="userId")
    session_id: SessionId = Field(serialization_alias="sessionId")

    @field_serializer("duration_minutes")
    def _whole(self, minutes: float) -> int | float | None:
        return _number(minutes)


class _SessionBodyV2(_SessionBody):
    new_vocabulary: Annotated[tuple[Word, ...], Field(max_length=500)] = Field(
        default=(), serialization_alias="vocabulary"
    )
    started_at: AwareDatetime | None = None


class UserTokenAnswer(BaseModel):
    """The encrypted token, with its learner, room, agent and lifetime."""

    model_config = _BELIEVED
    encrypted_token: str = Field(repr=False)
    user_id: AnsweredId
    room_name: AnsweredId
    issued_to: AnsweredId
    expires_in: float | None = Field(default=None, description="seconds")
    encryption: str | None = Field(
        default=None, description="how, where it is not with the shared secret"
    )


class _TakenAnswer(BaseModel):
    model_config = _BELIEVED
    success: Literal[True]
    user_id: AnsweredId | None = Field(default=None, alias="userId")


class _HealthAnswer(BaseModel):
    model_config = _BELIEVED
    permissions: frozenset[str]
    status: Any = None

    @property
    def trouble(self) -> str:
        """The API's own report of trouble, if there is one."""
        status = self.status.strip().lower() if isinstance(self.status, str) else ""
        return "" if status in _WELL else status[:40]


_WELL = frozenset({"", "healthy", "ok", "up", "pass", "degraded", "warn"})
"""Health statuses of working services."""


class _ContextAnswer(LearnerContext):
    model_config = _BELIEVED
    user_id: AnsweredId


def user_token_request(
    caller: Caller, key: str, public_key: str | None = None
) -> Request[tuple[UserTokenAnswer, str | None]]:
    """Request the user's JWT, sealed to a key if one is given, and the Date header."""

    def read(answer: Answer) -> tuple[UserTokenAnswer, str | None]:
        return _read(UserTokenAnswer, answer), answer.headers.get("date")

    fields = {"user_id": caller.user_id, "room_name": caller.room, "agent_id": caller.agent_id}
    body = _body("user-token", _UserTokenBody, fields)
    headers = {ephemeral.HEADER: public_key} if public_key else {}
    return Request("user-token", "/user-token", caller, read, body, key, headers=headers)


def context_request(caller: Caller) -> Request[LearnerContext]:
    """Request the learner's context."""

    def read(answer: Answer) -> LearnerContext:
        value = _read(_ContextAnswer, answer)
        if value.user_id != caller.user_id:
            raise ValueError("user_id: is another user's")
        return LearnerContext.model_construct(
            preferences=value.preferences,
            progress=value.progress,
            session_history=value.session_history,
        )

    _body("context", _LearnerBody, {"user_id": caller.user_id})
    path = f"/user/{quote(caller.user_id, safe='')}/context"
    return Request("context", path, caller, read)


def progress_request(
    caller: Caller, session_id: str, status: Status, value: Progress, key: str
) -> Request[None]:
    """Send the learner's progress: cumulative, so that repeating it changes nothing."""
    data = {"status": status, "progress": value.model_dump(warnings=False)}
    fields = {"user_id": caller.user_id, "session_id": session_id, "data": data}
    body = _body("progress", _ProgressBody, fields)

    def read(answer: Answer) -> None:
        if _read(_TakenAnswer, answer).user_id not in (None, caller.user_id):
            raise ValueError("userId: is another user's")

    return Request("progress", "/progress", caller, read, body, key, session_id=session_id)


def session_request(
    caller: Caller,
    record: SessionRecord,
    key: str,
    *,
    repeatable: bool,
    started_at: float | None = None,
) -> Request[None]:
    """Create the record of a lesson; repeatable where the API honours the key.

    In v2, `new_vocabulary` is named `vocabulary`, and `started_at` is sent.
    """
    fields = {"user_id": caller.user_id, **record.model_dump(warnings=False)}
    body = _body("sessions", _SessionBody, fields)
    began = None if started_at is None else datetime.fromtimestamp(started_at, UTC)
    v2 = _body("sessions", _SessionBodyV2, {**fields, "started_at": began})
    request = Request("sessions", "/sessions", caller, _read_taken, body, key, repeatable)
    return replace(request, session_id=record.session_id, revised={"v2": v2})


def health_request(caller: Caller, key: str) -> Request[frozenset[str]]:
    """Request the agent's permissions."""

    def read(answer: Answer) -> frozenset[str]:
        health = _read(_HealthAnswer, answer)
        if health.trouble:
            raise UnreachableError("health", f"the API says that it is {health.trouble}")
        return health.permissions

    body = _body("health", _LearnerBody, {"user_id": caller.user_id})
    return Request("health", "/health", caller, read, body, key)


def _body(endpoint: str, model: type[BaseModel], fields: Mapping[str, Any]) -> bytes:
    try:
        checked = model.model_validate(fields)
    except ValidationError as error:
        raise RefusedError(endpoint, f"not sent: {_reasons(error.errors())}") from None
    return checked.model_dump_json(by_alias=True, exclude_none=True).encode()


def _reasons(errors: Iterable[ErrorDetails]) -> str:
    return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)


def _read(model: type[A], answer: Answer) -> A:
    return read_model(model, parse_json(answer.body))


def _read_taken(answer: Answer) -> None:
    _read(_TakenAnswer, answer)


def _number(value: float | None) -> int | float | None:
    return int(value) if value is not None and value.is_integer() else value
