"""Connection faults of a learner's browser, simulated by livekit-client or on the track."""

import asyncio

from playwright.async_api import Browser

from .visitor import PATIENCE, PHONE, Playground, Visitor

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
    """Cause all of these faults in one typed lesson; return how many records it has."""
    visitor = await enter(served, browser, typing=True)
    for fault in FAULTS:
        await survive(visitor, fault)
    await visitor.page.evaluate("(it) => lesson.room.room.simulateScenario(it)", LEAVE)
    await visitor.type("Hola, todavía.")
    return await count_records(served, visitor)


async def survive_with_microphone(served: Playground, browser: Browser) -> int:
    """Block UDP, then mute, unmute and republish the microphone; return how many records it has."""
    visitor = await enter(served, browser, typing=False)
    await survive(visitor, "force-tcp")
    for state in ("off", "on"):
        await visitor.page.click("#microphone")
        await visitor.page.wait_for_selector(f"#microphone[data-state={state}]")
        await visitor.type("Hola.")
    await visitor.page.evaluate(REPUBLISH)
    await visitor.type("Hola.")
    return await count_records(served, visitor)
