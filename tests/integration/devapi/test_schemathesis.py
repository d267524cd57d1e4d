"""The dev API's conformance to its schema: valid requests answered, invalid ones refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from loqua_host.dev.api import DevApiSettings, create_app
from loqua_host.dev.api.tokens import PERMISSIONS, UserClaims, sign

AGENT, USER = "loqua-spanish-tutor", "user_ana"
MINE = {"userId": USER, "user_id": USER, "agent_id": AGENT}

SETTINGS = DevApiSettings(
    shared_secret="a shared secret",
    livekit_url="ws://127.0.0.1:7880",
    livekit_api_key="devkey",
    livekit_api_secret="a secret of the LiveKit server, thirty-two or more",
)
APP = create_app(SETTINGS)
OPERATIONS = [(path, method) for path, item in APP.openapi()["paths"].items() for method in item]


class Tokens:
    """The agent's JWT for the exchange, and Ana's for all other endpoints."""

    def get(self, case: Any, _context: Any) -> str:
        """Return the token that this operation needs."""
        if case.operation.path.endswith("user-token"):
            return SETTINGS.mint_agent_jwt(AGENT)
        claims = UserClaims(
            sub=USER,
            user_id=USER,
            room="room_1",
            agent_id=AGENT,
            iat=0,
            exp=2**40,
            permissions=PERMISSIONS,
        )
        return sign(claims, SETTINGS.user_signing_secret.get_secret_value())

    def set(self, case: Any, data: str, _context: Any) -> None:
        """Set the token where the guide has it."""
        case.headers["Authorization"] = f"Bearer {data}"


@pytest.fixture(scope="module")
def schema() -> Any:
    """Return the API's schema, with a token for each request.

    Schemathesis takes a second to import, which the processes that run other tests do without.
    """
    import schemathesis  # noqa: PLC0415  # see above
    from schemathesis.checks import load_all_checks  # noqa: PLC0415  # likewise

    load_all_checks()
    schema = schemathesis.openapi.from_asgi("/openapi.json", APP)
    schema.auth(refresh_interval=None)(Tokens)
    return schema


def from_my_agent(case: Any) -> None:
    """Change a valid request so that it comes from Ana's agent and gets past 403 and 404."""
    for place in (case.body, case.path_parameters):
        if isinstance(place, dict):
            place.update({name: mine for name, mine in MINE.items() if name in place})
    if "X-Agent-ID" in case.headers:
        case.headers["X-Agent-ID"] = AGENT


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def validate(case: Any) -> None:
    """Check status, body, headers, auth and method; valid data is taken, invalid is refused."""
    if case.meta and case.meta.generation.mode.is_positive:
        from_my_agent(case)
    case.call_and_validate()


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=map(" ".join, OPERATIONS))
def test_every_request_is_answered_as_the_schema_says(schema: Any, path: str, method: str) -> None:
    """Each operation answers what the schema allows as it says, and refuses what it forbids.

    `schema.parametrize()` would make all cases when tests are collected, in every process, and give
    them all one name (schemathesis 4.32.5, pytest 9.2.0).
    """
    from schemathesis.generation.feedback import FeedbackSources  # noqa: PLC0415  # see `schema`
    from schemathesis.pytest._test_builder import build_operation_test  # noqa: PLC0415  # likewise

    build_operation_test(
        config=schema.config,
        operation=schema[path][method],
        test_func=validate,
        given_kwargs={},
        feedback=FeedbackSources(),
    )()
