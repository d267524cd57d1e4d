"""Pictures of the playground: `uv run python -m tests.pictures.playground` makes them.

A real lesson is typed in each; the digest of the page's files is kept beside them.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser
from tests.acceptance.visitor import DESKTOP, PHONE, Playground, Visitor, playground
from tests.pictures.browser import chromium
from tests.unit.dev.playground.digest import PICTURES, page_digest

from loqua_host.dev.parts import run_speech


async def photograph(browser: Browser, served: Playground, device: str, scheme: Any) -> None:
    """Take pictures before, during and after a lesson on one device."""
    size = PHONE if device == "phone" else DESKTOP
    context = await browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB")
    visitor = Visitor(await context.new_page())
    page = visitor.page
    await visitor.open(served.url)
    if device == "phone":
        await page.screenshot(path=PICTURES / f"before-{device}-{scheme}.png")
    await visitor.enter("user_ana")
    await visitor.type("¡Hola! Yo es Ana.")
    await page.fill("#typed", "¿Puedes explicarme la gramática?")
    await page.press("#typed", "Enter")
    await visitor.until_said("estudiante o profesor")
    await visitor.type("Yo es estudiante.")
    await page.screenshot(path=PICTURES / f"during-{device}-{scheme}.png")
    if device == "desktop":
        await visitor.end()
        await page.screenshot(path=PICTURES / f"after-{device}-{scheme}.png")
    await context.close()


async def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loqua-") as directory:
        async with (
            run_speech(print) as speech,
            playground(Path(directory), speech) as served,
            chromium() as browser,
            asyncio.TaskGroup() as lessons,
        ):
            lessons.create_task(photograph(browser, served, "phone", "light"))
            lessons.create_task(photograph(browser, served, "desktop", "dark"))
    (PICTURES / "page.sha256").write_text(f"{page_digest()}\n")


if __name__ == "__main__":
    asyncio.run(main())
