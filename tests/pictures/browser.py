"""Debian's Chromium, driven from Python."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

__all__ = ["chromium", "find_barriers"]

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--force-prefers-reduced-motion",  # what moves is drawn by the processor
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@asynccontextmanager
async def chromium(*options: str) -> AsyncIterator[Browser]:
    """Run it for the length of a block, without a window, with a microphone that beeps.

    A test that needs it is skipped where there is none.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not on PATH; Debian has it in the package chromium")
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=program, args=[*OPTIONS, *options])
        try:
            yield browser
        finally:
            await browser.close()


async def find_barriers(page: Page) -> Sequence[str]:
    """List what axe-core finds in a page that keeps people out."""
    found = await Axe().run(page)
    return [
        f"{one['id']}: {node['html']}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ]
