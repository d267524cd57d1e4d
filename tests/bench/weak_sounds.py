"""The conversation tutor's findings of weak sounds in free speech, compared with experts'.

Run from the project's root with `python -m tests.bench.weak_sounds CORPUS LABELS [SPEAKERS]`: the
folder of speechocean762 and its labels as JSON lines, packed with gzip. Twelve sentences of each
speaker of TEST are recognised and scored one after another, as the utterances of a lesson. Prints
JSON: of how many speakers a sound is offered and a score reported, how experts score the offered
sounds (0 to 2) beside all sounds of these speakers, and how the score agrees with theirs.
"""

import gzip
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import correlation, mean
from typing import Any

import numpy as np

from loqua_host import Assessment, RecognizedWord
from loqua_speech.audio import decode
from loqua_speech.errors import RequestError
from loqua_speech.pronunciation.azure import render_assessment
from loqua_speech.pronunciation.phones import IPA
from loqua_speech.pronunciation.results import Refusal
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recognition import Whisper
from loqua_speech.rescoring import Rescorer
from loqua_speech.weights import packaged_weights
from loqua_tutor_conversation.spoken_sounds import (
    NO_SOUNDS,
    SpokenSounds,
    has_sure_words,
    mean_score,
    note_sounds,
    recurring_sound,
)

SPEAKERS = 20
UTTERANCES = 12
"""Of each speaker, as in a lesson."""

Row = dict[str, Any]


class InProcessServer:
    """The speech server's functions in this process."""

    def __init__(self) -> None:
        scorer = Scorer.packaged()
        with packaged_weights() as weights:
            rescorer = Rescorer(scorer.network, scorer.lexicon)
            self._whisper = Whisper(weights, threads=2, rescorer=rescorer)
        self._scorer = replace(scorer, reader=self._whisper.read)

    def hear(self, sounds: SpokenSounds, number: int, file: Path) -> SpokenSounds:
        """Return what is certain with one more utterance."""
        samples = decode(file.read_bytes())
        passage = self._whisper.transcribe(samples, "en")
        words = [RecognizedWord(it.text, it.probability) for it in passage.words]
        if not has_sure_words(words):
            return sounds
        try:
            text = self._scorer.reference(passage.text, "en")
        except RequestError:
            return sounds
        result = self._scorer.score(samples, text)
        if isinstance(result, Refusal):
            return sounds
        (best,) = render_assessment(result, passage.text, 0.0)["NBest"]
        confidence = float(np.exp(passage.log_probability))
        return note_sounds(sounds, number, words, confidence, Assessment.model_validate(best))


def expert_scores(rows: list[Row]) -> dict[str, float]:
    """Return the experts' mean score of each sound of a speaker, by IPA."""
    scores = defaultdict(list)
    for row in rows:
        for word in row["words"]:
            for phone, score in zip(word["phones"], word["pacc"], strict=True):
                scores[IPA.get(phone, phone)].append(score)
    return {sound: mean(of_sound) for sound, of_sound in scores.items()}


def main(corpus: str, labels: str, speakers: str = str(SPEAKERS)) -> None:
    """Measure and print."""
    files = {file.stem: file for file in Path(corpus).rglob("*.WAV")}
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for line in gzip.decompress(Path(labels).read_bytes()).splitlines():
        row = json.loads(line)
        if row["split"] == "test":
            by_speaker[row["spk"]].append(row)
    chosen = sorted(by_speaker)[:: max(1, len(by_speaker) // int(speakers))][: int(speakers)]
    server = InProcessServer()
    offered: list[tuple[str, float]] = []
    everything: list[float] = []
    scored: list[tuple[float, float]] = []
    counted = 0
    for speaker in chosen:
        rows, sounds = by_speaker[speaker][:UTTERANCES], NO_SOUNDS
        for number, row in enumerate(rows, 1):
            sounds = server.hear(sounds, number, files[row["id"]])
        counted += len(sounds.scores)
        experts = expert_scores(rows)
        everything += experts.values()
        if sound := recurring_sound(sounds):
            offered.append((sound, experts.get(sound, float("nan"))))
        if (score := mean_score(sounds)) is not None:
            scored.append((score, mean(10 * row["total"] for row in rows)))
    report: dict[str, Any] = {
        "speakers": len(chosen),
        "utterances": len(chosen) * UTTERANCES,
        "utterances_counted": counted,
        "offered": [[sound, round(score, 2)] for sound, score in offered],
        "experts_of_all_sounds": {
            "mean": round(mean(everything), 2),
            "tenth": round(float(np.quantile(everything, 0.1)), 2),
        },
        "speakers_with_score": len(scored),
    }
    if len(scored) > 2:
        report["score_correlation"] = round(correlation(*zip(*scored, strict=True)), 3)
        report["score_shift"] = round(mean(ours - theirs for ours, theirs in scored), 1)
    print(json.dumps(report, indent=1, ensure_ascii=False))  # noqa: T201  # the result


if __name__ == "__main__":
    main(*sys.argv[1:])
