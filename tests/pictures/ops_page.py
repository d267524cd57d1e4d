"""The pictures of the status page, taken by `python -m tests.pictures.ops_page`."""

import asyncio
import hashlib
import sys
from pathlib import Path

from playwright.async_api import Browser, Page
from tests.pictures.browser import chromium
from tests.pictures.incident import TOKEN, incident, serve_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "host/docs/images"
DIGEST = DOCS / "ops-page.sha256"
SOURCES = (
    *sorted((ROOT / "host/src/loqua_host/ops/page").iterdir()),
    ROOT / "tests/pictures/incident.py",
)
"""What the pictures show."""

PICTURES = {"ops-page.png": (1280, 900, "light"), "ops-page-phone.png": (400, 800, "dark")}


def digest() -> str:
    """Return the digest of what the pictures show."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in SOURCES)).hexdigest()


async def open_page(browser: Browser, url: str, *, width: int, height: int, scheme: str) -> Page:
    """Open the status page as an operator with the token does."""
    page = await browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        http_credentials={"username": "ops", "password": TOKEN.get_secret_value()},
        reduced_motion="reduce",
    )
    await page.goto(url)
    await page.locator("#checks h3").first.wait_for()
    return page


async def take(folder: Path, pictures: dict[str, tuple[int, int, str]], *, whole: bool) -> None:
    """Take pictures of the page.

    Args:
        folder: Where to write them.
        pictures: Width, height and colour scheme, by the file's name.
        whole: Whether to take all of the page, beyond the height.
    """
    async with serve_page(incident) as url, chromium() as browser:
        for name, (width, height, scheme) in pictures.items():
            page = await open_page(browser, url, width=width, height=height, scheme=scheme)
            await page.screenshot(path=folder / name, full_page=whole)
            await page.close()


def main() -> None:
    """Take the documentation's pictures, or of all sizes and schemes in a folder that is named."""
    if folder := next(iter(sys.argv[1:]), None):
        sizes = {f"{w}-{s}.png": (w, 900, s) for w in (1280, 400) for s in ("light", "dark")}
        asyncio.run(take(Path(folder), sizes, whole=True))
        return
    asyncio.run(take(DOCS, PICTURES, whole=False))
    DIGEST.write_text(f"{digest()}\n")


if __name__ == "__main__":
    main()
