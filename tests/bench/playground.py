"""A person's waits at the playground: `uv run python -m tests.bench.playground`.

Measured in the page of a headless Chromium, whose fake microphone plays recorded speech: by the
page's own marks, whose clock has the page's voices in steps of 43 ms.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.acceptance.visitor import Playground, Visitor, playground, write_microphone
from tests.pictures.browser import chromium

from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import run_speech

LESSONS = 6
SAID = "Me llamo Alex y soy de Madrid."
BEFORE = 13.0
"""Seconds of silence before it, in which the tutor greets and asks."""

MARKS = "performance.getEntriesByType('mark').map((it) => [it.name, it.startTime / 1000])"
ANSWERED = (
    "[...document.querySelectorAll('.entry:not(.unfinished)')]"
    ".map((it) => it.classList.contains('tutor') ? 't' : 'l').join('').endsWith('lt')"
)
"""The learner has spoken, and the tutor has answered."""


class Waits(NamedTuple):
    """The waits of a person, in seconds.

    Attributes:
        word: From the button to the first word of the tutor's caption.
        sound: From the button to the tutor's first sound.
        reply: From the learner's last sound to the first one of the tutor's reply.
    """

    word: float
    sound: float
    reply: float


async def hold_lesson(served: Playground, microphone: Path) -> Waits:
    """Return the waits of a lesson that is spoken up to the first reply."""
    async with chromium(f"--use-file-for-fake-audio-capture={microphone}") as browser:
        visitor = Visitor(await browser.new_page())
        await visitor.open(served.url)
        await visitor.enter("new", typing=False)
        await visitor.until(ANSWERED)
        marks: Any = await visitor.page.evaluate(MARKS)
        await visitor.page.click("#end")
    waits = measure_waits([(name, at) for name, at in marks])
    _print_progress(", ".join(f"{name} {at:.2f} s" for name, at in waits._asdict().items()))
    return waits


def measure_waits(marks: Sequence[tuple[str, float]]) -> Waits:
    """Return the waits between the page's marks."""
    at = {name: [when for one, when in marks if one == name] for name, _ in marks}
    (start,), sounds = at["start"], at["tutor-sound"]
    last = max(end for end in at["own-silence"] if end < sounds[-1])
    reply = min(sound for sound in sounds if sound > last)
    return Waits(at["tutor-word"][0] - start, sounds[0] - start, reply - last)


async def measure(directory: Path) -> Sequence[Waits]:
    """Return the waits of some lessons, one after another."""
    async with run_speech(_print_progress) as speech, playground(directory, speech) as served:
        pcm = await synthesise_line(f"{speech}/v1", SAID, "es")
        microphone = directory / "voice.wav"
        write_microphone(microphone, pcm, before=BEFORE, after=30)
        return [await hold_lesson(served, microphone) for _ in range(LESSONS)]


async def main() -> None:
    """Measure, and print medians."""
    with tempfile.TemporaryDirectory(prefix="loqua-") as name, redirect_stdout(sys.stderr):
        waits = await measure(Path(name))  # the host's log is no result
    for what, seconds in zip(Waits._fields, zip(*waits, strict=True), strict=True):
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"{what}: median {median(seconds):.2f} s of {len(seconds)}, {spread}")  # noqa: T201


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main())
