"""Protection of a server on loopback from other sites in the same browser."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from loqua_host.settings.loopback import is_loopback

__all__ = ["require_same_origin"]


@web.middleware
async def require_same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests under another name or from another page.

    A site whose name resolves to 127.0.0.1 (DNS rebinding) is found out by `Host`, any other one by
    `Origin` or `Sec-Fetch-Site`.
    """
    host = request.headers.get(hdrs.HOST, "")
    if not _is_loopback(host):
        raise web.HTTPMisdirectedRequest(text="open the address that the command printed\n")
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and origin != f"http://{host}":
        raise web.HTTPForbidden(text="this is not for other pages\n")
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise web.HTTPForbidden(text="this is not for other pages\n")
    return await handler(request)


def _is_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
