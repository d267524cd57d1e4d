"""Refused learners: one log line with cause and hint."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.host.conftest import (
    EMPTY_ROOM,
    Deployment,
    HostProcess,
    SilentLearner,
    explicit,
    new_room,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def honest(deployment: Deployment, host: HostProcess) -> AsyncIterator[SilentLearner]:
    """Yield a learner whose lesson goes on beside all refusals."""
    async with deployment.visit() as learner:
        await host.log.until("probe.ready", room=learner.name)
        yield learner
    await deployment.api.until("sessions", learner.user_id)


async def refused_once(host: HostProcess, room: str, cause: str, *hint: str) -> None:
    """Check that a room's lesson was refused in one line, with cause and hint.

    LiveKit's client, whose messages have no words in the log, may report an error of its own where
    the room is left while the tutor's track is being published.
    """
    line = await host.log.until("lesson.refused", room=room)
    assert line["cause"] == cause
    assert [words for words in hint if words not in line["why"]] == []
    errors = [
        it
        for it in host.log.lines
        if it.get("room") == room and it["level"] == "error" and "…" not in it["event"]
    ]
    assert errors == [line]
    assert not host.log.find("lesson.opened", room=room)


async def goes_on(host: HostProcess, honest: SilentLearner) -> None:
    """Check that the honest lesson is taught."""
    ticks = len(host.log.find("progress.made", user_id=honest.user_id))
    await host.log.until("progress.made", user_id=honest.user_id, count=ticks + 1)


@pytest.mark.parametrize(
    ("attributes", "cause", "hint"),
    [
        ({}, "no_user_id", "/rooms/join"),
        ({"user_id": ""}, "no_user_id", "/rooms/join"),
        ({"user_id": "user\n[2026-01-01] [INFO] forged"}, "bad_user_id", "is not of the form"),
        ({"user_id": "../../etc/passwd"}, "bad_user_id", "is not of the form"),
        ({"user_id": "u" * 129}, "bad_user_id", "at most 128"),
        ({"user_id": "user_nobody_knows"}, "user-token_refused", "/rooms/join"),
    ],
    ids=["none", "empty", "control-character", "path", "too-long", "unknown"],
)
async def test_a_learner_without_a_sound_user_id_is_turned_away(
    deployment: Deployment,
    host: HostProcess,
    honest: SilentLearner,
    attributes: dict[str, str],
    cause: str,
    hint: str,
) -> None:
    """The tutor leaves politely."""
    room = new_room()
    async with deployment.enter(deployment.token(room, attributes), "", "") as visitor:
        await refused_once(host, room, cause, hint)
        await visitor.alone()
    await goes_on(host, honest)


async def test_a_learner_who_could_have_written_its_own_attributes_is_turned_away(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """Even a user_id that the API knows is refused."""
    room = new_room()
    token = deployment.token(room, {"user_id": honest.user_id}, can_update_own_metadata=True)
    async with deployment.enter(token, "", "") as visitor:
        await refused_once(host, room, "self_written_attributes", "canUpdateOwnMetadata")
        await visitor.alone()
    await goes_on(host, honest)


async def test_a_token_that_cannot_be_read_ends_the_lesson_with_the_guides_debugging_steps(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """Whether ciphertext or key is wrong, nobody can tell; the line says what to compare."""
    async with (
        deployment.api.misbehaving({"kind": "wrong_ciphertext"}),
        deployment.visit() as visitor,
    ):
        hint = ("decryption failed", "SHARED_SECRET")
        await refused_once(host, visitor.name, "wrong_shared_secret", *hint)
        await visitor.alone()
    await goes_on(host, honest)


async def test_an_agent_that_the_api_does_not_take_is_a_named_error(
    deployment: Deployment, host: HostProcess, honest: SilentLearner
) -> None:
    """A 401 to the exchange: it is AGENT_JWT_TOKEN that has to be repaired."""
    fault = {"kind": "error", "status": 401, "code": "X", "endpoint": "user-token"}
    async with deployment.api.misbehaving(fault), deployment.visit() as visitor:
        await refused_once(
            host, visitor.name, "user-token_refused", "authentication failed", "AGENT_JWT_TOKEN"
        )
        await visitor.alone()
    await goes_on(host, honest)


async def test_a_wrong_shared_secret_refuses_lessons_and_no_more(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The host itself runs on, and no token is in its log."""
    wrong = {"DEV_AGENT_SECRET": "another secret than the API has"}
    async with deployment.host(tmp_path, explicit("wrong-secret"), environ=wrong) as host:
        for _ in range(2):
            async with deployment.visit(agent_name="wrong-secret") as visitor:
                hint = ("decryption failed", "SHARED_SECRET")
                await refused_once(host, visitor.name, "wrong_shared_secret", *hint)
                await visitor.alone()
    assert await host.ended() == 0
    assert "eyJ" not in "\n".join(host.log.raw)


async def test_a_job_that_nobody_enters_ends_by_itself(host: HostProcess) -> None:
    """After the time that the guide recommends, with what to look at."""
    host.log.since = 0  # it has waited since the host's start
    await refused_once(host, EMPTY_ROOM, "no_learner", "lessons.learner_timeout")
