"""Pronunciation scores in a LiveKit room: their delay, and the loss of accuracy by WebRTC.

Run `uv run python -m tests.bench.live_scoring CORPUS LABELS [UTTERANCES]` from the project's root:
the folder of speechocean762 and its labels as JSON lines, packed with gzip. In lessons of the
pronunciation tutor over LiveKit, a learner types a sentence of TRAIN to practise and plays its
recording. The head was trained on these and knows the files, so that it agrees less with experts in
rooms; what a room itself costs, `training.pronunciation test-opus` says. Prints JSON: the seconds
from the end of the last word to the scores on the learner's page, beside those that the server
takes for the file; and how the scores of rooms and files agree with experts and with each other.
"""

import asyncio
import gzip
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import correlation, mean, median, quantiles
from time import monotonic
from typing import Any

import httpx
import numpy as np
from livekit import rtc
from livekit.agents.types import ATTRIBUTE_AGENT_STATE
from tests.acceptance.voices import ROOT, join

from loqua_host.contract.display import LessonTopic, PronunciationScore, parse_message
from loqua_host.dev.demo import run_host_process
from loqua_host.dev.hearing import Hearing
from loqua_host.dev.learner import SAMPLE_RATE, LearnerInRoom, joined, open_microphone
from loqua_host.dev.parts import Parts, local_parts, write_config
from loqua_speech.audio import HEARING_RATE, decode, resample, wav

AGENT = "pronunciation-specialist"
UTTERANCES = 36
IN_A_LESSON = 12
LONGEST_WAIT = 15.0

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UtteranceScores:
    """The scores of an utterance, from 0 to 100; words and sounds in order."""

    total: float
    words: tuple[float, ...]
    sounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ComparedScores:
    """An utterance with experts' scores, and the scores of its file and in a room.

    Attributes:
        experts: The experts' scores.
        file: Of the file; None without.
        room: In the room; None without.
        asked: Seconds that the server took for the file.
        waited: Seconds from the end of the last word to the scores in the room.
    """

    experts: UtteranceScores
    file: UtteranceScores | None
    room: UtteranceScores | None
    asked: float
    waited: float


class ScorePage:
    """The learner's page, which receives scores."""

    def __init__(self, room: rtc.Room) -> None:
        self._reading: set[asyncio.Task[None]] = set()
        self.came: asyncio.Queue[tuple[float, PronunciationScore]] = asyncio.Queue()
        room.register_text_stream_handler(LessonTopic.PRONUNCIATION, self._on_text)

    def _on_text(self, reader: rtc.TextStreamReader, _: str) -> None:
        task = asyncio.create_task(self._read(reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        score = parse_message(LessonTopic.PRONUNCIATION, await reader.read_all())
        assert isinstance(score, PronunciationScore)
        self.came.put_nowait((monotonic(), score))

    async def scores_of(self, text: str) -> tuple[float, PronunciationScore]:
        """Return when the first scores of a text came, and the last of them."""
        while True:
            at, score = await self.came.get()
            if score.text == text:
                return at, score


@dataclass(frozen=True, slots=True)
class ScoredVisit:
    """A learner in a lesson, with a microphone and a page."""

    room: rtc.Room
    lesson: LearnerInRoom
    microphone: rtc.AudioSource
    page: ScorePage

    async def practise(self, text: str, pcm: bytes) -> tuple[float, float, UtteranceScores | None]:
        """Return when the recording began, when its scores came, and these."""
        await self.lesson.write(text)
        await self.lesson.tutor_finished(last=False)
        await self.lesson.say(self.microphone, pcm)
        began = monotonic() - len(pcm) / 2 / SAMPLE_RATE
        scores = None
        at = monotonic()
        with suppress(TimeoutError):
            at, came = await asyncio.wait_for(self.page.scores_of(text), LONGEST_WAIT)
            scores = room_scores(came)
        await self._reply_begins()
        return began, at, scores

    async def _reply_begins(self) -> None:
        """Wait until the turn has ended, so that what is typed next is about the next one."""
        deadline = monotonic() + LONGEST_WAIT
        while monotonic() < deadline and not any(  # noqa: ASYNC110  # an attribute
            it.attributes.get(ATTRIBUTE_AGENT_STATE) == "speaking"
            for it in self.room.remote_participants.values()
        ):
            await asyncio.sleep(0.1)


def room_scores(shown: PronunciationScore) -> UtteranceScores:
    """Return the scores that a page gets."""
    words = [it for it in shown.words if it.score is not None]
    sounds = [sound.score for it in words for sound in it.sounds]
    return UtteranceScores(shown.score, tuple(it.score or 0.0 for it in words), tuple(sounds))


def expert_scores(row: Row) -> UtteranceScores:
    """Return the experts' scores."""
    sounds = [50 * score for word in row["words"] for score in word["pacc"]]
    return UtteranceScores(
        10 * row["total"], tuple(10 * it["accuracy"] for it in row["words"]), (*sounds,)
    )


@asynccontextmanager
async def visiting(parts: Parts, number: int) -> AsyncIterator[ScoredVisit]:
    """Enter a lesson of the pronunciation tutor, and wait until it has greeted."""
    entered = await join(parts, "user_ben", f"live-{number}", agent_name=AGENT)
    hearing = Hearing(lambda _: None, settle=0.7, patience=30.0)
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks, joined(entered["url"], entered["token"]) as room:
        page = ScorePage(room)
        with closing(LearnerInRoom(room, hearing, tasks, began)) as lesson:
            async with open_microphone(room) as microphone:
                await lesson.tutor_finished(last=False)
                yield ScoredVisit(room, lesson, microphone, page)


async def score_file(http: httpx.AsyncClient, text: str, sound: bytes) -> tuple[Row | None, float]:
    """Return the server's best result for a file, and the seconds that it took."""
    began = monotonic()
    answer = await http.post(
        "/v1/audio/pronunciation", files={"file": ("try.wav", sound)}, data={"text": text}
    )
    best = answer.raise_for_status().json()["NBest"]
    return (best[0] if best else None), monotonic() - began


def file_scores(best: Row) -> UtteranceScores:
    """Return the scores of a file."""
    words = [it for it in best["Words"] if "AccuracyScore" in it]
    sounds = [it["AccuracyScore"] for word in words for it in word["Phonemes"]]
    return UtteranceScores(
        best["PronScore"], tuple(it["AccuracyScore"] for it in words), (*sounds,)
    )


def last_word_ends(best: Row) -> float:
    """Return the seconds from the beginning of a file to the end of its last word."""
    return max((it["Offset"] + it["Duration"]) / 1e7 for it in best["Words"])


async def measure(parts: Parts, corpus: Path, rows: Sequence[Row]) -> AsyncIterator[ComparedScores]:
    """Yield what comes of each utterance."""
    async with httpx.AsyncClient(base_url=parts.speech_url, timeout=60) as http:
        for first in range(0, len(rows), IN_A_LESSON):
            async with visiting(parts, first) as visit:
                for row in rows[first : first + IN_A_LESSON]:
                    samples = decode((corpus / row["wav"]).read_bytes())
                    pcm = (samples * 32_767).astype(np.int16).tobytes()
                    text = " ".join(word["text"] for word in row["words"]).capitalize()
                    best, asked = await score_file(http, text, wav(pcm, rate=HEARING_RATE))
                    at_rate = resample(pcm, rate=HEARING_RATE, to=SAMPLE_RATE)
                    began, at, room = await visit.practise(text, at_rate)
                    ended = began + (last_word_ends(best) if best else 0.0)
                    file = file_scores(best) if best else None
                    yield ComparedScores(expert_scores(row), file, room, asked, at - ended)


def summarise(outcomes: Sequence[ComparedScores]) -> Iterator[tuple[str, Any]]:
    """Yield how long scores take, and how they agree."""
    both = [(it, it.file, it.room) for it in outcomes if it.file and it.room]
    yield "utterances", len(outcomes)
    yield "scored as files and in rooms", len(both)
    yield "scored as files alone", sum(1 for it in outcomes if it.file and not it.room)
    yield "scored in rooms alone", sum(1 for it in outcomes if it.room and not it.file)
    yield "seconds to scores in rooms", _spread([it.waited for it, _, _ in both])
    yield "seconds to scores of files", _spread([it.asked for it in outcomes])
    for name in ("total", "words", "sounds"):
        of_experts, of_files, of_rooms = _aligned(both, name)
        yield (
            name,
            {
                "compared": len(of_experts),
                "files and experts": round(correlation(of_files, of_experts), 3),
                "rooms and experts": round(correlation(of_rooms, of_experts), 3),
                "rooms and files": round(correlation(of_rooms, of_files), 3),
                "shift": round(mean(of_rooms) - mean(of_files), 2),
            },
        )


def _aligned(
    both: Sequence[tuple[ComparedScores, UtteranceScores, UtteranceScores]], name: str
) -> tuple[list[float], list[float], list[float]]:
    """Return the scores of the utterances in which all three have as many."""
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    for outcome, file, room in both:
        parts = [np.atleast_1d(getattr(it, name)) for it in (outcome.experts, file, room)]
        if len({len(part) for part in parts}) == 1:
            for kept, part in zip(found, parts, strict=True):
                kept.extend(part.tolist())
    return found


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    p95 = quantiles(seconds, n=20, method="inclusive")[-1]
    return {"median": round(median(seconds), 2), "p95": round(p95, 2)}


def choose(labels: Path, count: int) -> list[Row]:
    """Return so many utterances of TRAIN, evenly over its speakers."""
    rows = [json.loads(line) for line in gzip.decompress(labels.read_bytes()).splitlines()]
    train = [row for row in rows if row["split"] == "train"]
    return train[3 :: len(train) // count][:count]


async def main(corpus: str, labels: str, count: str = str(UTTERANCES)) -> None:
    """Measure and print."""
    outcomes: list[ComparedScores] = []
    with tempfile.TemporaryDirectory(prefix="loqua-") as name:
        directory = Path(name)
        async with local_parts(_print_progress) as parts:
            write_config(ROOT / "config", directory / "config", parts.speech_url, tick_every=5)
            async with run_host_process(directory / "config", parts, _tell_warning) as log:
                await log.until("host.ready")
                async for outcome in measure(parts, Path(corpus), choose(Path(labels), int(count))):
                    outcomes.append(outcome)
                    totals = [it.total if it else None for it in (outcome.file, outcome.room)]
                    _print_progress(
                        f"{outcome.waited:.2f} s, file and room {totals}, {outcome.asked:.2f} s"
                    )
    print(json.dumps(dict(summarise(outcomes)), indent=1))  # noqa: T201  # the result


def _tell_warning(line: str) -> None:
    if "pronunciation." in line:  # an attempt without scores, and why
        _print_progress(line)


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
