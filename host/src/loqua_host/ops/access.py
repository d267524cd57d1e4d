"""Authentication of requests to the ops address."""

import hmac
from base64 import b64decode
from collections.abc import Callable, Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

__all__ = ["PROBES", "guard"]

PROBES = frozenset({"/health/live", "/health/ready", "/health/active"})
"""Paths without authentication: a kubelet has no secrets, and the responses reveal nothing else."""

CHALLENGE = {hdrs.WWW_AUTHENTICATE: 'Basic realm="loqua-host", charset="UTF-8"'}


def guard(tokens: Callable[[], Sequence[SecretStr]], unless: frozenset[str]) -> Middleware:
    """Return a middleware that requires one of the tokens, if there are any.

    The token is a bearer token, or the password of any user, so that browsers can send it.

    Args:
        tokens: Returns the current tokens.
        unless: Paths that need no token.
    """

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        known = tokens()
        if known and request.path not in unless:
            given = _token(request.headers.get(hdrs.AUTHORIZATION, ""))
            # Compare with all of them, so that the time reveals nothing.
            if not any([_same(given, token) for token in known]):  # noqa: C419  # as above
                return web.Response(status=401, text="what is OPS_TOKEN?\n", headers=CHALLENGE)
        return await handler(request)

    return ask


def _token(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return credentials.strip() if scheme.lower() == "bearer" else ""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _same(given: str, token: SecretStr) -> bool:
    known = token.get_secret_value().encode()
    return hmac.compare_digest(given.encode(errors="surrogateescape"), known)
