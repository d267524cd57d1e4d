"""A playground with its host, and a person at its page."""

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from livekit import api
from playwright.async_api import Page
from tests.pictures.browser import find_barriers

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.learner import SAMPLE_RATE, synthesise_line
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_host.dev.playground.server import OfferedTutor, PlaygroundSettings, serve_playground
from loqua_tutor_pronunciation.exercises import load_language

ROOT = Path(__file__).parents[2]

TUTORS = (
    OfferedTutor("conversation", ""),
    OfferedTutor("grammar", "grammar-specialist"),
    OfferedTutor("pronunciation", "pronunciation-specialist"),
)

PATIENCE = 90.0
"""Seconds for anything to happen on a machine that is busy with something else."""

RECONNECT_TIMEOUT = 30.0
"""As in config/host.yaml. Where UDP is cut off, livekit-client is away for up to 17 s; a page on a
busy machine for more than three."""

PHONE: Any = {"width": 390, "height": 844}
DESKTOP: Any = {"width": 1100, "height": 800}
TOO_WIDE = (
    "[document.documentElement, ...document.querySelectorAll('.said')]"
    ".some((it) => it.scrollWidth > it.clientWidth)"
)
LOOKS: tuple[Any, ...] = ((PHONE, "light"), (DESKTOP, "dark"))


@dataclass(slots=True)
class Playground:
    """A running playground, with the parts and the log of its host."""

    url: str
    parts: Parts
    log: HostLog

    async def sessions(self, visit: str) -> list[dict[str, Any]]:
        """Return the records of a visit that the API has."""
        async with httpx.AsyncClient(base_url=self.parts.api_url, timeout=PATIENCE) as api:
            arrived = (await api.get("/dev/records")).raise_for_status().json()["sessions"]
        payloads = [one["payload"] for one in arrived]
        return [one for one in payloads if one["sessionId"].startswith(visit)]

    async def put_out(self, room: str, identity: str) -> None:
        """Remove somebody from a room, as LiveKit does when their network is gone for long."""
        livekit = self.parts.livekit
        who = api.RoomParticipantIdentity(room=room, identity=identity)
        async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
            await rooms.room.remove_participant(who)

    async def call(self, agent_name: str, room: str) -> None:
        """Call a tutor into a room."""
        livekit = self.parts.livekit
        dispatch = api.CreateAgentDispatchRequest(agent_name=agent_name, room=room)
        async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
            await rooms.agent_dispatch.create_dispatch(dispatch)

    async def close(self, room: str) -> None:
        """Close a room, if there is one, which ends its lessons at once."""
        livekit = self.parts.livekit
        async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as rooms:
            with contextlib.suppress(api.TwirpError):
                await rooms.room.delete_room(api.DeleteRoomRequest(room=room))


@asynccontextmanager
async def playground(directory: Path, speech_url: str) -> AsyncIterator[Playground]:
    """Serve a playground for a host with the three tutors, whose specialists have one exercise.

    Args:
        directory: Where configuration and ledger go.
        speech_url: The address of the speech server.
    """
    async with local_parts(print, speech_url) as parts:
        config = directory / "config"
        write_config(
            ROOT / "config",
            config,
            parts.speech_url,
            tick_every=1,
            reconnect_timeout=RECONNECT_TIMEOUT,
        )
        for name, exercises in {"grammar": "questions", "pronunciation": "exercises"}.items():
            file = config / f"tutors/{name}.yaml"
            tutor = yaml.safe_load(file.read_text("utf-8"))
            tutor["settings"][exercises] = 1
            file.write_text(yaml.safe_dump(tutor), "utf-8")
        settings = PlaygroundSettings(parts.api_url, parts.livekit.url, TUTORS)
        async with (
            run_host_process(config, parts, print) as log,
            serve_playground(settings) as url,
        ):
            await log.until("host.ready")
            yield Playground(url, parts, log)


def write_microphone(file: Path, pcm: bytes, before: float, after: float) -> None:
    """Write what a fake microphone plays, again and again: silence, speech, silence.

    Args:
        file: The WAV file.
        pcm: The speech: 16-bit mono at `SAMPLE_RATE`.
        before: Seconds of silence before it.
        after: Seconds of silence after it.
    """
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(_silence(before) + pcm + _silence(after))


async def write_sentence(file: Path, speech_url: str) -> str:
    """Write a microphone that says the first sentence that is to be pronounced; return it.

    The tutor says it before, by the same voice: within a second of that, it would be an echo.
    """
    sentence = load_language("en").exercises[0].text
    write_microphone(file, await synthesise_line(f"{speech_url}/v1", sentence, "en"), 14, 14)
    return sentence


def _silence(seconds: float) -> bytes:
    return bytes(2 * int(seconds * SAMPLE_RATE))


@dataclass
class Visitor:
    """A person at the page, and the browser's errors."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def open(self, url: str) -> None:
        """Open the page and wait for its choices."""
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._on_console)
        await self.page.goto(url)
        await self.page.wait_for_selector("#start")

    def _on_console(self, message: Any) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.complaints.append(message.text)

    async def enter(self, *choices: str, typing: bool = True) -> None:
        """Select learner and tutor by their values, start, and wait for the greeting."""
        for value in choices:
            await self.page.click(f"label:has(input[value='{value}'])")
        await self.page.click("#start-typing" if typing else "#start")
        await self.page.wait_for_selector(".entry.tutor:not(.unfinished)")

    async def pronounce(self) -> None:
        """Enter as a new learner of English at the specialist, and wait for the first score.

        The microphone has to play a sentence of `write_sentence`.
        """
        await self.page.click("label:has(input[value=new])")
        await self.page.select_option("[name=learning]", "english")
        await self.page.select_option("[name=native]", "spanish")
        await self.enter("pronunciation-specialist", typing=False)
        await self.page.wait_for_selector(".score-card")
        await self.until(
            "document.querySelector('.waveform div')?.shadowRoot?.querySelector('canvas')"
        )

    async def type(self, text: str) -> None:
        """Write to the tutor, and wait until it has answered."""
        answers = await self.page.locator(".entry.tutor:not(.unfinished)").count()
        await self.page.fill("#typed", text)
        await self.page.press("#typed", "Enter")
        await self.until(
            f"document.querySelectorAll('.entry.tutor:not(.unfinished)').length > {answers}"
        )

    async def until_said(self, words: str) -> None:
        """Wait until a tutor has said something to its end."""
        said = "[...document.querySelectorAll('.entry.tutor:not(.unfinished) .words')]"
        await self.until(f"{said}.some((it) => it.textContent.includes({words!r}))")

    async def until(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        # Playwright's own way evaluates a string in the page, which the page's policy forbids.
        again_and_again = (
            "new Promise((done) => { const look = () => "
            f"(({condition}) ? done() : setTimeout(look, 50)); look(); }})"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                await self.page.evaluate(again_and_again)
        except TimeoutError:
            said = await self.page.inner_text("body")
            raise AssertionError(f"not true in {PATIENCE} s: {condition}\n{said}") from None

    async def said(self) -> list[str]:
        """List what was said, by all."""
        return await self.page.locator(".entry > .words").all_inner_texts()

    async def notices(self) -> list[str]:
        """List the notices in the transcript."""
        return await self.page.locator(".notice").all_inner_texts()

    async def visit(self) -> str:
        """Return the id of the visit."""
        visit: str = await self.page.evaluate("lesson.visit.visit")
        return visit

    async def room(self) -> str:
        """Return the name of the room; "" before there is one."""
        room: str = await self.page.evaluate("globalThis.lesson?.visit?.room ?? ''")
        return room

    async def identity(self) -> str:
        """Return the learner's identity in it."""
        identity: str = await self.page.evaluate("lesson.room.room.localParticipant.identity")
        return identity

    async def end(self, served: Playground) -> None:
        """End the lesson, close its room, for which the host does not wait, and get the report."""
        room = await self.room()
        if await self.page.locator("#end").count():
            await self.page.click("#end")
        await served.close(room)
        await self.page.wait_for_selector(".report[data-state=arrived]")

    async def barriers(self) -> Sequence[str]:
        """List what keeps people out, on a light phone and a dark desktop.

        Colours and width do not depend on each other, so two looks see what four would.
        """
        noted, shown = len(self.complaints), self.page.viewport_size
        found: list[str] = []
        for size, scheme in LOOKS:
            await self.page.set_viewport_size(size)
            await self.page.emulate_media(color_scheme=scheme)
            found += [f"{scheme}, {size['width']}: {it}" for it in await find_barriers(self.page)]
            if await self.page.evaluate(TOO_WIDE):
                found.append(f"{size['width']}: wider than the screen")
        await self.page.set_viewport_size(shown or DESKTOP)
        # axe-core copies the styles of shadow roots, which the page's policy does not allow.
        del self.complaints[noted:]
        return found
