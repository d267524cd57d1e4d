"""Where LiveKit tells of its rooms: it has no token of the ops address, but signs what it says."""

from collections.abc import Callable, Sequence

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from loqua_host.errors import WebhookError
from loqua_host.rooms.webhooks import WebhookEvent, read_webhook_event, signed_digest
from loqua_host.settings.secrets import LiveKitKey

__all__ = ["WEBHOOK", "receive_webhook"]

log = structlog.get_logger()

WEBHOOK = "/livekit/webhook"


def receive_webhook(
    keys: Callable[[], Sequence[LiveKitKey]], handle: Callable[[WebhookEvent], None]
) -> Handler:
    """Return what passes on each hint that LiveKit signed, and answers 401 to all else.

    Args:
        keys: The keys that LiveKit may sign with at the moment.
        handle: Gets the hints; must be quick.
    """

    async def hear(request: web.Request) -> web.Response:
        try:
            # The signature first: nobody else's body is worth reading.
            digest = signed_digest(request.headers.get(hdrs.AUTHORIZATION, ""), keys())
            handle(read_webhook_event(await request.read(), digest))
        except WebhookError as error:
            hint = "webhook.api_key in LiveKit's config must name the host's LIVEKIT_API_KEY"
            log.warning("webhook.refused", why=str(error), hint=hint)
            return web.Response(status=401)
        return web.Response()

    return hear
