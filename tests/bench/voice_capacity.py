"""The number of lessons with local speech engines that this machine runs in real time.

The host, its speech (Whisper, SVOX Pico) and the learners of burst.py share the machine.
"""

import asyncio
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.acceptance.voices import WrittenTutor, host_of
from tests.bench.burst import CODE, LINES, talk
from tests.bench.visits import NEVER

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import Parts

__all__ = ["measure_capacity"]

MORE: Final = range(3, 8)
TURNS: Final = 4
LONGEST: Final = 600.0
"""Seconds for all of them."""


def measure_capacity(limit: float) -> tuple[int, Mapping[int, float]]:
    """Return how many lessons are carried, and the p95 of a reply with each number of lessons.

    Args:
        limit: Seconds from last word to first sound that 95 % of all turns keep.

    Raises:
        TimeoutError: If they do not come to an end.
    """
    return asyncio.run(asyncio.wait_for(_measure_lessons(limit), LONGEST))


async def _measure_lessons(limit: float) -> tuple[int, Mapping[int, float]]:
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="loqua-bench-") as name:
        tutor = WrittenTutor(CODE, {"max_concurrent_jobs": 100})
        host = host_of(Path(name), None, {"patient": tutor}, max_lessons=max(MORE))
        async with host as (parts, log):
            url = f"{parts.speech_url}/v1"
            sounds = [await synthesise_line(url, text, "es") for text in LINES]
            for count in MORE:
                found[count] = await _p95(parts, log, sounds, count)
                if found[count] > limit:
                    break
    return max((count for count, p95 in found.items() if p95 <= limit), default=0), found


async def _p95(parts: Parts, log: HostLog, sounds: Sequence[bytes], count: int) -> float:
    names = [f"user_{count}_{number}" for number in range(count)]
    visits = await asyncio.gather(*(talk(parts, name, sounds, TURNS) for name in names))
    for name in names:
        await log.until("record.delivered", name)
    taken = sorted(NEVER if it is None else it for visit in visits for it in visit.replies)
    return taken[math.ceil(0.95 * len(taken)) - 1]
