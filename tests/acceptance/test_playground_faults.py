"""Connection faults of a learner's browser, simulated by livekit-client or on the track."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.pictures.browser import chromium

from .visitor import PATIENCE, PHONE, Playground, Visitor, playground

FAULTS = (
    "signal-reconnect",
    "resume-reconnect",
    "full-reconnect",
    "node-failure",
    "migration",
    "disconnect-signal-on-resume",
)
"""Faults after which livekit-client is connected again within seconds."""

LEAVE = "leave-full-reconnect"
"""LiveKit 1.13.5 ignores it (pkg/rtc/room.go, SimulateScenario). With `force-tcp`, livekit-client
handles the request that it stands for: to leave, and to connect anew."""

FAULT = """
(fault) => new Promise((done) => {
  const { room } = lesson.room;
  room.once("reconnected", done);
  room.simulateScenario(fault);
})
"""

REPUBLISH = """
() => new Promise((done) => {
  const { room } = lesson.room;
  room.once("localTrackPublished", done);
  room.localParticipant.republishAllTracks();
})
"""


async def enter(served: Playground, browser: Browser, *, typing: bool) -> Visitor:
    """Return somebody new who has been greeted."""
    context = await browser.new_context(viewport=PHONE, locale="en-GB")
    visitor = Visitor(await context.new_page())
    await visitor.open(served.url)
    await visitor.enter("new", typing=typing)
    return visitor


async def count_records(served: Playground, visitor: Visitor) -> int:
    """End the lesson, and count its records."""
    await visitor.end(served)
    records = await served.sessions(await visitor.visit())
    await visitor.page.context.close()
    return len(records)


async def survive(visitor: Visitor, fault: str) -> None:
    """Cause a fault, and check that the transcript is still there and the tutor answers."""
    said = await visitor.said()
    async with asyncio.timeout(PATIENCE):
        await visitor.page.evaluate(FAULT, fault)
    await visitor.type(f"Hola, {fault}.")
    assert (await visitor.said())[: len(said)] == said


async def survive_all(served: Playground, browser: Browser) -> int:
    """Cause all of these faults in one typed lesson."""
    visitor = await enter(served, browser, typing=True)
    for fault in FAULTS:
        await survive(visitor, fault)
    await visitor.page.evaluate("(it) => lesson.room.room.simulateScenario(it)", LEAVE)
    await visitor.type("Hola, todavía.")
    return await count_records(served, visitor)


async def survive_with_microphone(served: Playground, browser: Browser) -> int:
    """Block UDP, then mute, unmute and republish the microphone."""
    visitor = await enter(served, browser, typing=False)
    await survive(visitor, "force-tcp")
    for state in ("off", "on"):
        await visitor.page.click("#microphone")
        await visitor.page.wait_for_selector(f"#microphone[data-state={state}]")
        await visitor.type("Hola.")
    await visitor.page.evaluate(REPUBLISH)
    await visitor.type("Hola.")
    return await count_records(served, visitor)


@pytest.mark.timeout(500)
async def test_a_lesson_survives_faults_of_its_connection_and_has_one_record(
    tmp_path: Path, speech_url: str
) -> None:
    """Two lessons side by side: what was said stays, and the same tutor goes on."""
    async with (
        playground(tmp_path, speech_url) as served,
        chromium() as browser,
    ):
        records = await asyncio.gather(
            survive_all(served, browser), survive_with_microphone(served, browser)
        )
    assert records == [1, 1]
