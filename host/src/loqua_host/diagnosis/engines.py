"""Checks of the engines' endpoints by their lists of models."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import httpx

from loqua_host.settings.engines import Engine
from loqua_host.settings.host import HostSettings
from loqua_host.settings.problems import spelled
from loqua_host.settings.tutors import engine_locations

from .finding import Check, Finding, Verdict, failed, in_order, ok, untried

__all__ = ["examine_engines", "judge_models"]

OPENAI: Final = "livekit.plugins.openai:"
OPENAI_URL: Final = "https://api.openai.com/v1"

OK: Final = 200
NOT_FOUND: Final = 404
UNAUTHORISED: Final = frozenset({401, 403})


async def examine_engines(
    settings: HostSettings, grant: Callable[[Iterable[str]], Mapping[str, str]]
) -> list[Finding]:
    """Test each engine of the enabled tutors and each fallback, with the key that config grants."""
    checks = {}
    for tutor in settings.enabled_tutors:
        for keys, engine in engine_locations(settings.engines_for(tutor)):
            place = spelled(keys)
            checks[place, engine.model_dump_json()] = _check(place, engine, grant)
    return await in_order(checks.values())


def _check(
    place: str, engine: Engine, grant: Callable[[Iterable[str]], Mapping[str, str]]
) -> Check:
    hint = f"start that service, or write another {place}.options.base_url in config/"

    async def ask() -> Verdict:
        url = engine.options.get("base_url") or (
            OPENAI_URL if engine.use.startswith(OPENAI) else None
        )
        if not isinstance(url, str):
            return untried(f"{engine.use} has no address that could be tried")
        key = engine.options.get("api_key", "")
        if name := engine.secrets.get("api_key"):
            key = grant([name])[name]
        try:
            async with httpx.AsyncClient() as http:
                answer = await http.get(
                    f"{url.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"}
                )
        except httpx.HTTPError as error:
            # Its text may quote the headers, and with them the key.
            return failed(f"{url} gave no answer: {type(error).__name__}", hint)
        return judge_models(url, answer.status_code)

    return Check(f"engine {place.removeprefix('engines.')}", ask, hangs=hint)


def judge_models(url: str, status: int) -> Verdict:
    """Judge an endpoint by its answer to `GET /models`."""
    if status == OK:
        return ok(f"{url} answers and accepts the key")
    if status in UNAUTHORISED:
        return failed(f"{url} refuses the key ({status})", "set the secret that `secrets:` names")
    if status == NOT_FOUND:
        return ok(f"{url} answers, but lists no models, so its key was not tried")
    return failed(f"{url} answered {status}", "see that service's status page or log")
