"""The waits of ten lessons that request scores at the same time.

Run `uv run python -m tests.bench.scoring`. A speech server scores the tries of ten lessons, by nine
learners: one by one, all at once, and all at once after their recognition, as in lessons. Prints
JSON: the median and the longest wait, in seconds, and the server's memory.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from tests.bench.processes import pss

from loqua_host.dev.parts import run_speech

RECORDINGS = Path(__file__).parents[2] / "plugins/speech/tests/pronunciation/recordings"
LESSONS = 10
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Try:
    """A learner's recording and its text."""

    text: str
    sound: bytes


class ScoringLoad:
    """The requests of lessons to a speech server."""

    def __init__(self, server: httpx.AsyncClient) -> None:
        self._server = server

    async def score(self, one: Try) -> None:
        """Score an attempt."""
        answer = await self._server.post(
            "/v1/audio/pronunciation",
            files={"file": ("try.flac", one.sound)},
            data={"text": one.text},
        )
        answer.raise_for_status()

    async def recognise_and_score(self, one: Try) -> None:
        """Recognise an attempt, then score it."""
        answer = await self._server.post(
            "/v1/audio/transcriptions",
            files={"file": ("try.flac", one.sound)},
            data={"model": "whisper", "language": "en"},
        )
        answer.raise_for_status()
        await self.score(one)


async def main() -> None:
    """Measure and print."""
    tries = _tries()
    async with (
        run_speech(lambda _: None) as url,
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS) as client,
    ):
        lesson = ScoringLoad(client)
        await lesson.score(tries[0])  # the first one warms up
        alone = [await _waited(lesson.score, one) for one in tries]
        together = await asyncio.gather(*(_waited(lesson.score, one) for one in tries))
        both = await asyncio.gather(*(_waited(lesson.recognise_and_score, one) for one in tries))
        report = {
            "one by one": _summary(alone),
            "at once": _summary(together),
            "at once, recognised before": _summary(both),
            "memory, MB": round(pss(psutil.Process().children()[0]) / 1e6),
        }
    print(json.dumps(report, indent=1))  # noqa: T201  # the result


def _tries() -> list[Try]:
    known = json.loads((RECORDINGS / "scores.json").read_text("utf-8"))
    found = [Try(one["text"], (RECORDINGS / one["file"]).read_bytes()) for one in known]
    return (found * 2)[:LESSONS]


async def _waited(ask: Callable[[Try], Awaitable[None]], one: Try) -> float:
    began = time.monotonic()
    await ask(one)
    return time.monotonic() - began


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds), 2),
        "longest": round(max(seconds), 2),
    }


if __name__ == "__main__":
    asyncio.run(main())
