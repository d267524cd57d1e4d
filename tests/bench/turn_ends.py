"""The delay of the detected end of a turn, and the rate of pauses taken for one.

Run from the project's root with `python -m tests.bench.turn_ends CORPUS LABELS [COUNT [SKIP]]`: the
folder `WAVE` of speechocean762 and its labels as JSON lines (id, text), packed with gzip. The
thresholds were chosen without the sentences of `1000 600` and `934 3900`. Prints JSON.

* `pauses`: silences of at least 0.6 s inside the recorded sentences of learners, as their speakers
  made them; a pause is cut off if it is longer than what is waited for.
* `learners`: the ends of these sentences, of which no tutor expects anything.
* `voices`: the scenarios' model answers, spoken by SVOX Pico, behind which there is digital
  silence: as behind a microphone with noise suppression. The tutor expects them.

`before` waits 0.7 s or 3.0 s by the sound alone, with thresholds 1.35 times LiveKit's; `after` is
what the host does. The detector runs here, alone; the rest is arithmetic on what it answers.
`tests.bench.replies` measures whole replies.
"""

import gzip
import json
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np
from livekit.agents import inference
from livekit.local_inference import EOT

from loqua_host.job.voice.session import HESITATION
from loqua_host.job.voice.turn_ends import MORE_FOLLOWS, is_unfinished, likely_end_factor
from loqua_host.settings.engines import TurnDelays
from loqua_speech.audio import HEARING_RATE, Samples, decode, wav
from loqua_speech.pronunciation.acoustics import normalise
from loqua_speech.pronunciation.alignment import align
from loqua_speech.pronunciation.evidence import phone_numbers
from loqua_speech.pronunciation.lexicon import PronunciationLexicon
from loqua_speech.pronunciation.network import FRAME_SECONDS, PhoneNetwork
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_tutor_conversation.scenario import load_scenarios

DETECTED_SECONDS = 0.2
"""Silence after which LiveKit asks the turn detector."""

WINDOW_SECONDS = 1.2
"""What the detector is given."""

SHORTEST_PAUSE = 0.6


@dataclass(frozen=True, slots=True)
class PauseInSpeech:
    """A silence and what precedes it.

    Attributes:
        language: Of the words.
        words: What was said.
        finished: The detector's probability that the turn is over.
        seconds: How long it lasts; of an end nothing is known.
        expected: Whether the tutor expects these words.
    """

    language: str
    words: str
    finished: float
    seconds: float = float("inf")
    expected: bool = False


def main(corpus: str, labels: str, count: str = "200", skip: str = "0") -> None:
    """Measure and print."""
    detector, thresholds = (
        EOT(),
        inference.TurnDetector(version="v1-mini")._opts.thresholds,
    )  # the calibrated ones
    usual: dict[str, float] = thresholds.thresholds
    sentences = _sentences(Path(labels), int(count), int(skip))
    pauses, ends = _learners(detector, sentences, Path(corpus))
    voices = list(_voices(detector))
    report: dict[str, Any] = {"pauses": len(pauses)}
    for name, wait in (("before", _wait_before), ("after", _wait_after)):
        cut = sum(it.seconds > wait(it, usual) for it in pauses)
        report[name] = {
            "pauses_cut_percent": round(100 * cut / len(pauses), 1),
            "sentences_cut_percent": round(100 * cut / len(sentences), 1),
        }
        for kind, silences in (("learners", ends), ("voices", voices)):
            waits = [wait(it, usual) for it in silences]
            report[name][kind] = {"ends": len(waits), "waiting": _spread(waits)}
    print(json.dumps(report, indent=1))  # noqa: T201  # the result


def _wait_before(silence: PauseInSpeech, usual: dict[str, float]) -> float:
    return 0.7 if silence.finished >= 1.35 * usual[silence.language] else 3.0


def _wait_after(silence: PauseInSpeech, usual: dict[str, float]) -> float:
    delays = TurnDelays()
    if is_unfinished(silence.language, silence.words):
        return delays.max_delay * MORE_FOLLOWS
    if silence.expected:
        return delays.min_delay
    finished = silence.finished >= HESITATION * usual[silence.language]
    factor = likely_end_factor(silence.language, silence.words)
    return delays.min_delay * factor if finished else delays.max_delay


def _sentences(labels: Path, count: int, skip: int) -> list[dict[str, Any]]:
    """Return the labels of so many sentences of four words or more, in an order of chance."""
    rows = [json.loads(line) for line in gzip.decompress(labels.read_bytes()).splitlines()]
    random.Random(11).shuffle(rows)  # noqa: S311  # a sample
    return [it for it in rows if len(it["text"].split()) >= 4][skip : skip + count]


def _learners(
    detector: EOT, rows: list[dict[str, Any]], corpus: Path
) -> tuple[list[PauseInSpeech], list[PauseInSpeech]]:
    """Return the pauses in sentences, and their ends."""
    files = {file.stem: file for file in corpus.rglob("*.WAV")}
    network, lexicon = PhoneNetwork.packaged(), PronunciationLexicon.packaged()
    pauses: list[PauseInSpeech] = []
    ends: list[PauseInSpeech] = []
    for row in rows:
        sound = decode(files[row["id"]].read_bytes())
        text = lexicon.pronounce(row["text"])
        spoken, start = normalise(sound)
        path = align(network.listen(spoken).log_posteriors, phone_numbers(text)).path
        bounds = list(_bounds(path, [len(word.phones) for word in text], start / HEARING_RATE))
        said = [word.text for word in text]
        for at in range(1, len(said)):
            seconds = bounds[at][0] - bounds[at - 1][1]
            if seconds >= SHORTEST_PAUSE:
                finished = _finished(detector, sound, bounds[at - 1][1])
                pauses.append(PauseInSpeech("en", " ".join(said[:at]), finished, seconds))
        if len(sound) / HEARING_RATE - bounds[-1][1] > DETECTED_SECONDS:
            ends.append(PauseInSpeech("en", row["text"], _finished(detector, sound, bounds[-1][1])))
    return pauses, ends


def _bounds(path: Iterable[int], phones: list[int], start: float) -> Iterator[tuple[float, float]]:
    """Yield where each word begins and ends, in seconds; `path` as in `Alignment`."""
    owners = np.repeat(np.arange(len(phones)), phones)
    states = np.asarray(path)
    for word in range(len(phones)):
        frames = [at for at in np.flatnonzero(states % 2) if owners[states[at] // 2] == word]
        yield start + frames[0] * FRAME_SECONDS, start + (frames[-1] + 2) * FRAME_SECONDS


def _finished(detector: EOT, sound: Samples, end: float) -> float:
    until = round((end + DETECTED_SECONDS) * HEARING_RATE)
    heard = sound[max(0, until - round(WINDOW_SECONDS * HEARING_RATE)) : until]
    return float(detector.predict((np.clip(heard, -1, 1) * 32767).astype(np.int16)))


def _voices(detector: EOT) -> Iterator[PauseInSpeech]:
    for scenario in load_scenarios():
        for turn in scenario.turns[:2]:
            voice = voice_for(scenario.language)
            pcm = b"".join(synthesize(turn.model, voice=voice))
            sound = decode(wav(pcm, rate=SPEAKING_RATE))
            loud = np.flatnonzero(np.abs(sound) > 0.006)
            end = (int(loud[-1]) + 1) / HEARING_RATE
            sound = np.append(sound[: int(loud[-1]) + 1], np.zeros(HEARING_RATE, np.float32))
            finished = _finished(detector, sound, end)
            yield PauseInSpeech(scenario.language, turn.model, finished, expected=True)


def _spread(seconds: list[float]) -> dict[str, float]:
    return {
        "mean": round(fmean(seconds), 2),
        "median": round(median(seconds), 2),
        "p95": round(quantiles(seconds, n=20)[-1], 2),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
