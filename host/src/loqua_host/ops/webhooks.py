"""The endpoint for LiveKit's webhooks, authenticated by LiveKit's signature."""

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
    """Return a handler that passes on signed webhooks, and answers 401 to other requests.

    Args:
        keys: Returns the keys that LiveKit may sign with.
        handle: Called with each event; must be quick.
    """

    async def receive(request: web.Request) -> web.Response:
        try:
            # Verify the signature before reading the body.
            digest = signed_digest(request.headers.get(hdrs.AUTHORIZATION, ""), keys())
            handle(read_webhook_event(await request.read(), digest))
        except WebhookError as error:
            hint = "webhook.api_key in LiveKit's config must name the host's LIVEKIT_API_KEY"
            log.warning("webhook.refused", why=str(error), hint=hint)
            return web.Response(status=401)
        return web.Response()

    return receive
