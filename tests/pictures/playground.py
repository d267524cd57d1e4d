"""The pictures of the playground, taken by `uv run python -m tests.pictures.playground`.

A real lesson is typed on each device; the digest of the page's files is kept beside them.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from tests.acceptance.visitor import (
    DESKTOP,
    PHONE,
    Playground,
    Visitor,
    playground,
    write_sentence,
)
from tests.pictures.browser import chromium
from tests.unit.dev.playground.digest import PICTURES, page_digest

from loqua_host.dev.parts import run_speech

REDRAWN = """(() => {
  const wave = document.querySelector(".waveform");
  const drawn = wave.querySelector("div").shadowRoot.querySelector("canvas").clientWidth;
  return Math.abs(drawn - wave.clientWidth) < 8; // it consists of whole bars
})()"""
"""The waveform has the width of its card."""

SCHEMES: tuple[Any, ...] = ("light", "dark")
DEVICES = {"phone": PHONE, "desktop": DESKTOP}


async def photograph(page: Page, moment: str, device: str) -> None:
    """Take pictures of one moment of a lesson, in both schemes."""
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.screenshot(path=PICTURES / f"{moment}-{device}-{scheme}.png")


async def hold_lesson(browser: Browser, served: Playground, device: str, size: Any) -> None:
    """Play a lesson on one device, and take pictures before, during and after it."""
    context = await browser.new_context(viewport=size, locale="en-GB")
    visitor = Visitor(await context.new_page())
    page = visitor.page
    await visitor.open(served.url)
    await photograph(page, "before", device)
    await visitor.enter("user_ana")
    await visitor.type("¡Hola! Yo es Ana.")
    await page.fill("#typed", "¿Puedes explicarme la gramática?")
    await page.press("#typed", "Enter")
    await visitor.until_said("estudiante o profesor")
    await visitor.type("Yo es estudiante.")
    await photograph(page, "during", device)
    await visitor.end(served)
    await photograph(page, "after", device)
    await context.close()


async def pronounce(served: Playground, microphone: Path) -> None:
    """Speak a sentence, and take pictures of its scores."""
    async with chromium(f"--use-file-for-fake-audio-capture={microphone}") as browser:
        visitor = Visitor(await browser.new_page(locale="en-GB"))
        await visitor.open(served.url)
        await visitor.pronounce()
        for device, size in DEVICES.items():
            await visitor.page.set_viewport_size(size)
            await visitor.until(REDRAWN)
            await photograph(visitor.page, "pronunciation", device)


async def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loqua-") as directory:
        async with (
            run_speech(print) as speech,
            playground(Path(directory), speech) as served,
            chromium() as browser,
        ):
            for device, size in DEVICES.items():
                await hold_lesson(browser, served, device, size)
            microphone = Path(directory) / "voice.wav"
            await write_sentence(microphone, speech)
            await pronounce(served, microphone)
    (PICTURES / "page.sha256").write_text(f"{page_digest()}\n")


if __name__ == "__main__":
    asyncio.run(main())
