"""The API of a script: real tokens, encrypted by the API and decrypted by the host."""

import asyncio

import pytest

from loqua_host.contract.learner import LearnerContext, Preferences
from loqua_host.core import Caller, CoreSettings
from loqua_host.core.user_tokens import UserTokens
from loqua_host.errors import TokenError
from loqua_host.testing import LessonScript, Says, play_lesson
from loqua_host.testing.scripted_api import ScriptedApi
from loqua_host.testing.virtual_time import VirtualClock, VirtualLoop

CALLER = Caller("maria", "room", "loqua-tutor")
SETTINGS = CoreSettings(api_base_url="http://api")  # type: ignore[arg-type]  # pydantic's


LOOP = VirtualLoop


async def test_a_context_is_read_with_a_token_that_the_host_decrypts() -> None:
    """Unknown values stay unknown."""
    api = ScriptedApi(VirtualClock())
    known = LearnerContext(preferences=Preferences(native_language="french"))
    api.register("maria", known)
    async with api.client(SETTINGS, "loqua-tutor") as client:
        await client.lease(CALLER)
        assert (await client.context(CALLER)).context == known
    assert api.calls == ("user-token", "context")


async def test_a_token_under_another_secret_is_refused() -> None:
    """This shows that the host decrypts it."""
    api = ScriptedApi(VirtualClock())
    api.register("maria", LearnerContext())
    async with api.client(SETTINGS, "loqua-tutor") as client:
        api.encrypt_with_another_secret()
        with pytest.raises(TokenError, match="decrypt"):
            await client.lease(CALLER)


async def test_an_outage_ends_by_itself_and_a_later_one_goes_on() -> None:
    """Each has its own time."""
    api = ScriptedApi(VirtualClock())
    api.register("maria", LearnerContext())
    async with api.client(SETTINGS, "loqua-tutor") as client:
        api.fail(503, 10)
        await asyncio.sleep(5)
        api.fail(500, 10)
        await asyncio.sleep(8)
        assert (await client.context(CALLER)).mode != "full"
        await client.lease_patiently(CALLER)
        assert (await client.context(CALLER)).mode == "full"


def test_a_lesson_uses_one_token_that_was_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host exchanges it as it does in production."""
    leased = list[Caller]()
    lease = UserTokens.lease

    async def note(self: UserTokens, caller: Caller) -> None:
        leased.append(caller)
        await lease(self, caller)

    monkeypatch.setattr(UserTokens, "lease", note)
    script = LessonScript(
        agent="tests.unit.testing.lesson_tutors:Echo", steps=(Says("Uno."),), user_id="ana"
    )
    assert play_lesson(script).calls.count("user-token") == 1
    assert {caller.user_id for caller in leased} == {"ana"}
