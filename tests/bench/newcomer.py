"""The time from a fresh clone to a first spoken sentence: `uv run python -m tests.bench.newcomer`.

It clones the last commit, types the command of README.md, opens the address that the demo prints
in Chromium, presses one button, and plays recorded speech as the microphone. With `--cold`, it has
to download packages and build LiveKit's server; else this user's caches are used.
"""

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.acceptance.visitor import Visitor, write_microphone
from tests.pictures.browser import chromium

from loqua_host.dev.child import dying_with_parent
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import run_speech
from loqua_host.system.tasks import background

ROOT: Final = Path(__file__).parents[2]
SAID: Final = "Me llamo Ana y soy de Madrid."
BEFORE: Final = 12.0
"""Seconds of silence before it, in which the tutor greets and asks."""

PATIENCE: Final = 1800.0
CACHES: Final = ("XDG_CACHE_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR", "GOCACHE", "GOMODCACHE")

Note = Callable[[str], None]


def read_command() -> str:
    """Return the first command of README.md."""
    found = re.search(r"```sh\n(.+)\n```", (ROOT / "README.md").read_text("utf-8"))
    assert found is not None
    return found[1]


@asynccontextmanager
async def run_demo(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[str]:
    """Clone and start the demo for the length of a block; yield the playground's address."""
    typed = f"git clone --quiet {ROOT} clone && cd clone && {read_command()}"
    demo = await asyncio.create_subprocess_exec(
        *dying_with_parent("sh", "-c", f"exec 2>&1; {typed}"),
        cwd=directory,
        env=environ,
        stdout=PIPE,
        start_new_session=True,
    )
    assert demo.stdout is not None
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with background() as tasks:
        tasks.create_task(_read_address(demo.stdout, address))
        try:
            yield await address
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            await demo.wait()


async def _read_address(printed: asyncio.StreamReader, address: asyncio.Future[str]) -> None:
    """Pass the demo's lines on until it ends; `address` gets that of the playground."""
    async for line in printed:
        sys.stderr.write(line.decode())
        if found := re.search(rb"yourself at (http\S+)", line):
            address.set_result(found[1].decode())
    if not address.done():
        address.set_exception(RuntimeError("the demo has ended"))


async def speak(url: str, microphone: Path, note: Note) -> None:
    """Start a lesson, and wait until the page has the sentence."""
    async with chromium(f"--use-file-for-fake-audio-capture={microphone}") as browser:
        visitor = Visitor(await browser.new_page())
        await visitor.open(url)
        note("the page is open")
        await visitor.page.click("#start")
        await visitor.page.wait_for_selector(".entry.tutor", timeout=120_000)
        note("the tutor's first word")
        await visitor.page.wait_for_selector(".entry.learner:not(.unfinished)", timeout=120_000)
        note("the person's first sentence, as the tutor has heard it")


async def main(*, cold: bool) -> None:
    """Measure, and print seconds since the clone began."""
    with tempfile.TemporaryDirectory(prefix="loqua-") as name:
        directory, environ = Path(name), dict(os.environ)
        microphone = directory / "voice.wav"
        async with run_speech(_print_progress) as speech:
            pcm = await synthesise_line(f"{speech}/v1", SAID, "es")
        write_microphone(microphone, pcm, before=BEFORE, after=10)
        if cold:
            environ |= {one: str(directory / one.lower()) for one in CACHES}
        environ.pop("VIRTUAL_ENV", None)
        began = time.monotonic()

        def note(what: str) -> None:
            print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)  # noqa: T201

        async with asyncio.timeout(PATIENCE), run_demo(directory, environ) as url:
            note("the demo has printed the address")
            await speak(url, microphone, note)


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(cold="--cold" in sys.argv))
