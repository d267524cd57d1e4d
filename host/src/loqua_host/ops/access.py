"""Who may ask at the ops address: whoever has its token, where there is one."""

import hmac
from base64 import b64decode
from collections.abc import Callable, Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from pydantic import SecretStr

__all__ = ["PROBES", "guard"]

PROBES = frozenset({"/health/live", "/health/ready"})
"""Asked without a token: a kubelet has none that is not written in the open, and the answer
is one word that whoever may start or stop the host sees anyway."""

CHALLENGE = {hdrs.WWW_AUTHENTICATE: 'Basic realm="loqua-host", charset="UTF-8"'}


def guard(tokens: Callable[[], Sequence[SecretStr]], unless: frozenset[str]) -> Middleware:
    """Return what lets only requests with one of the tokens pass, or all while there is none.

    The token comes as a bearer token, or as the password of whatever user, so that a browser
    can ask for it too.

    Args:
        tokens: The tokens of the moment.
        unless: Paths that need none.
    """

    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        known = tokens()
        if known and request.path not in unless:
            given = _token(request.headers.get(hdrs.AUTHORIZATION, ""))
            # All are compared, so that the time tells nothing.
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
