"""Checks of the Loqua API, call by call, with a test learner or with an unknown id."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import httpx
from typing_extensions import override

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord, Word
from loqua_host.core import Caller, LoquaApi, SecretsPort
from loqua_host.core.rate_headers import http_date, wait_asked
from loqua_host.core.secrets import CoreSecret
from loqua_host.core.tokens import read_claims
from loqua_host.errors import ApiError, RefusedError, TokenError
from loqua_host.settings.host import HostSettings
from loqua_host.system.proxies import proxy_for

from .finding import Check, Finding, Verdict, broken, failed, in_order, ok, untried
from .reach import judge_clock, reach

__all__ = [
    "ApiResponse",
    "RecordingTransport",
    "examine_api",
    "judge_answer",
    "judge_authentication",
    "judge_limits",
]

NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""A user id that no learner has: an API that accepts the agent's JWT answers 404."""

NO_LEARNER: Final = "pass --learner with the user id of a learner kept for tests"

UNAUTHORISED: Final = frozenset({401, 403})
NOT_FOUND: Final = 404
BAD_REQUEST: Final = 400
TOO_MANY: Final = 429
ANSWERED: Final = frozenset({401, TOO_MANY})
"""Statuses that whatever checks tokens and limits before the API may answer without its words."""

FAILURE: Final = 500

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """The response of the exchange.

    Attributes:
        error: Why there is no token, where there is none.
        headers: The answer's, by names in lower case.
        at: This machine's clock when it came, in unix seconds.
    """

    error: ApiError | None
    headers: Mapping[str, str]
    at: float


@dataclass(slots=True)
class RecordingTransport(httpx.AsyncBaseTransport):
    """Send requests, and keep the headers of the last response."""

    inner: httpx.AsyncBaseTransport
    headers: dict[str, str] = field(default_factory=dict)

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request."""
        response = await self.inner.handle_async_request(request)
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        return response

    @override
    async def aclose(self) -> None:
        """Close what carries."""
        await self.inner.aclose()


async def examine_api(
    settings: HostSettings,
    secrets: SecretsPort,
    learner: str | None,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    """Try the API, as every agent id that config gives.

    Args:
        settings: The host's settings.
        secrets: The core's.
        learner: The user id of a learner kept for tests, who gets a session record; None asks
            for nobody, and tries less.
        now: This machine's clock, in Unix seconds.
    """
    variable = "API_BASE_URL"
    findings = await in_order([_jwt_check(settings, secrets, now)])
    reached = await in_order(reach("API", str(settings.api.api_base_url), variable, now))
    findings += reached
    agents = sorted({settings.agent_id_for(tutor) for tutor in settings.enabled_tutors})
    for agent_id in agents:
        caller = Caller(learner or NOBODY, f"loqua-host-check-{uuid4().hex[:8]}", agent_id)
        what = "API" if len(agents) == 1 else f"API as {agent_id}"
        async with _open_examination(settings, secrets, caller, now) as examination:
            findings += await in_order(examination.checks(what), broken(reached))
    return findings


@asynccontextmanager
async def _open_examination(
    settings: HostSettings, secrets: SecretsPort, caller: Caller, now: Callable[[], float]
) -> AsyncIterator["_ApiExamination"]:
    # With a fresh key, a token would not show whether the API has the same shared secret.
    keys = "required" if settings.api.ephemeral_keys == "required" else "off"
    changes = {"retries": 0, "ephemeral_keys": keys}
    proxy = proxy_for(str(settings.api.api_base_url))
    recorder = RecordingTransport(httpx.AsyncHTTPTransport(http2=True, proxy=proxy))
    async with LoquaApi.open(
        settings.api.model_copy(update=changes), secrets, transport=recorder
    ) as api:
        yield _ApiExamination(api, recorder, caller, sealed=keys == "required", now=now)


@dataclass(slots=True)
class _ApiExamination:
    """The calls of one agent for one learner, each building on those before."""

    api: LoquaApi
    recorder: RecordingTransport
    caller: Caller
    sealed: bool
    now: Callable[[], float]
    answer: ApiResponse = field(init=False)

    def checks(self, what: str) -> list[Check]:
        slow = "see whether the API is overloaded"
        asks = [
            ("answer", self._ask, True),
            ("clock", self._clock, False),
            ("rate limit", self._limits, True),
            ("agent authentication", self._authentication, True),
            ("token decryption", self._decryption, True),
            ("permissions", self._permissions, False),
            ("context", self._context, False),
            ("session record", self._record, False),
        ]
        return [
            Check(f"{what}: {name}", ask, hangs=slow, gate=gate, limit=30)
            for name, ask, gate in asks
        ]

    async def _ask(self) -> Verdict:
        error = None
        try:
            await self.api.lease(self.caller)
        except ApiError as failure:
            error = failure
        self.answer = ApiResponse(error, self.recorder.headers, self.now())
        return judge_answer(self.answer)

    async def _clock(self) -> Verdict:
        return judge_clock(http_date(self.answer.headers.get("date", "")), self.answer.at)

    async def _limits(self) -> Verdict:
        return judge_limits(self.answer)

    async def _authentication(self) -> Verdict:
        return judge_authentication(self.answer)

    async def _decryption(self) -> Verdict:
        return judge_decryption(self.answer, self.caller.user_id, sealed=self.sealed)

    async def _permissions(self) -> Verdict:
        try:
            granted = await self.api.check_health(self.caller)
        except ApiError as error:
            return _refused(error)
        return ok(f"granted: {', '.join(sorted(granted)) or 'none'}")

    async def _context(self) -> Verdict:
        try:
            loaded = await self.api.context(self.caller)
        except ApiError as error:
            return _refused(error)
        if loaded.mode is not Mode.FULL:
            return failed("the context endpoint returned no usable answer", "see the API's own log")
        return ok("the learner's context came")

    async def _record(self) -> Verdict:
        if self.caller.user_id == NOBODY:
            return untried(NO_LEARNER)
        session_id = self.caller.room
        try:
            await self.api.send_progress(
                self.caller,
                session_id=session_id,
                status="in_progress",
                progress=Progress(phrases_practiced=1, grammar_points=("loqua_host_check",)),
                key=uuid4().hex,
            )
            await self.api.create_session(self.caller, _record(session_id), key=uuid4().hex)
            known = await self.api.session_known(self.caller, session_id)
        except ApiError as error:
            return _not_persisting(str(error))
        if not known:
            return _not_persisting(
                f"{session_id} was accepted, but is not in the learner's history"
            )
        return ok(f"{session_id} was written and read back")


def judge_answer(answer: ApiResponse) -> Verdict:
    """Judge whether what answered is a Loqua API that works; a refusal is an answer, too."""
    error = answer.error
    if error is None or isinstance(error, RefusedError) or error.status in ANSWERED:
        return ok("the API answers")
    if error.status is None:
        return failed(str(error), "check network connectivity and API_BASE_URL")
    if error.status >= FAILURE:
        return failed(str(error), "see the API's own log; its configuration may be wrong")
    return failed(str(error), "check that API_BASE_URL is the Loqua API's")


def judge_limits(answer: ApiResponse) -> Verdict:
    """Judge what the API says of its rate limits."""
    status = answer.error.status if answer.error else None
    wait = wait_asked(status or 200, answer.headers, answer.at)
    if status == TOO_MANY or wait:
        asked = f"asks to wait {wait:.0f} s" if wait else "refuses calls for a while"
        hint = "lower api.rate_limit in config/host.yaml, or ask the Loqua admin for a higher limit"
        return failed(f"API rate limiting errors: the API {asked}", hint)
    names = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit")
    left = next(filter(None, map(answer.headers.get, names)), None)
    return ok(f"{left[:40]} calls are left" if left else "the API reports no limit")


def judge_authentication(answer: ApiResponse) -> Verdict:
    """Judge whether the API took the agent's JWT and id."""
    error = answer.error
    unknown_learner = isinstance(error, RefusedError) and error.status == NOT_FOUND
    if error is None or isinstance(error, TokenError) or unknown_learner:
        return ok("the agent's JWT and id are accepted")
    if error.status in UNAUTHORISED:
        hint = (
            "have the Loqua admin issue an AGENT_JWT_TOKEN to this AGENT_ID, with its permissions"
        )
        return failed(f"Agent authentication failed: {error}", hint)
    return untried(f"the API refused the call first: {error}; {NO_LEARNER}")


def judge_decryption(answer: ApiResponse, user_id: str, *, sealed: bool) -> Verdict:
    """Judge whether the exchanged token could be opened."""
    error = answer.error
    if error is None:
        how = "sealed to a fresh key" if sealed else "opened with the shared secret"
        return ok(f"the learner's token is {how}")
    if isinstance(error, TokenError):
        hint = (
            "make SHARED_SECRET the API's"
            if error.cause in OF_SECRET
            else "report it to the API team"
        )
        return failed(f"Token decryption failed: {error}", hint)
    if user_id == NOBODY:
        return untried(NO_LEARNER)
    return failed(f"no token for {user_id}: {error}", "name a learner whom the API knows")


OF_SECRET: Final = frozenset({"wrong_shared_secret", "not_a_jwt"})


def _jwt_check(settings: HostSettings, secrets: SecretsPort, now: Callable[[], float]) -> Check:
    async def ask() -> Verdict:
        warn_before = settings.api.agent_token_warn_before
        jwt = (await secrets.read(CoreSecret.AGENT_JWT_TOKEN)).current
        hint = "get a new AGENT_JWT_TOKEN from the Loqua admin"
        try:
            left = read_claims(jwt).exp - now()
        except TokenError as error:
            if error.cause == "no_expiry":
                return ok("is a JWT; has no expiry")
            return failed("AGENT_JWT_TOKEN is not a JWT of the form header.payload.signature", hint)
        return judge_lifetime(left, warn_before)

    return Check("agent JWT", ask, hangs="see the place that `secrets:` names")


def judge_lifetime(left: float, warn_before: float) -> Verdict:
    """Judge the seconds left to the agent's JWT."""
    hint = "get a new AGENT_JWT_TOKEN from the Loqua admin"
    if left <= 0:
        return failed(f"AGENT_JWT_TOKEN expired {-left / DAY:.1f} days ago", hint)
    if left < warn_before:
        return failed(f"AGENT_JWT_TOKEN expires in {left / DAY:.1f} days", hint)
    return ok(f"has the form of a JWT and {left / DAY:.0f} days left")


def _refused(error: ApiError) -> Verdict:
    return failed(str(error), "ask the Loqua admin for the permission that the answer names")


def _not_persisting(why: str) -> Verdict:
    hint = "compare with the API's specification; an API that takes other fields is another version"
    return failed(f"Session data not persisting: {why}", hint)


def _record(session_id: str) -> SessionRecord:
    return SessionRecord(
        session_id=session_id,
        duration_minutes=1,
        topics_covered=("loqua-host check",),
        new_vocabulary=(Word(word="hello", translation="hola", language="es"),),
        grammar_points=("loqua_host_check",),
        pronunciation_practice_count=1,
        overall_performance=Performance.GOOD,
    )
