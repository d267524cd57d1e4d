"""Whisper's transcripts of a part of a split, cached on disk because they take minutes."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from loqua_speech.audio import Samples
from loqua_speech.pronunciation.free_speech import SpokenWord, spoken_words
from loqua_speech.recogniser import pieces
from loqua_speech.recognition import TimedWord, Whisper
from loqua_speech.weights import packaged_weights
from training.pronunciation.corpus import CorpusUtterance, read_labels

__all__ = ["recognise_split"]

_EVERY = 5
"""Every fifth utterance, 500 of a split and 4 of each speaker: all would take an hour."""

_THREADS = 2


def recognise_split(
    corpus: Path, labels: Path, split: str, cache_folder: Path
) -> dict[str, tuple[SpokenWord, ...]]:
    """Return the words that the speech server hears in every fifth utterance, by its name.

    The cache has a line for each utterance, so that a recognition that was stopped goes on.
    """
    chosen = list(islice(read_labels(labels, split), 0, None, _EVERY))
    cached = cache_folder / f"{split}.recognised.jsonl"
    cache_folder.mkdir(parents=True, exist_ok=True)
    cached.touch()
    known = dict(map(json.loads, cached.read_text("utf-8").splitlines()))
    missing = [one for one in chosen if one.name not in known]
    if missing:
        with packaged_weights() as weights, cached.open("a", encoding="utf-8") as file:
            for name, words in _recognised(Whisper(weights, threads=_THREADS), corpus, missing):
                known[name] = words
                file.write(f"{json.dumps((name, words))}\n")
                file.flush()
    return {name: tuple(SpokenWord(*word) for word in words) for name, words in known.items()}


def _recognised(
    whisper: Whisper, corpus: Path, utterances: list[CorpusUtterance]
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for utterance in utterances:
        words = spoken_words(_words(whisper, utterance.samples(corpus)))
        yield utterance.name, [(word.text, word.probability) for word in words]


def _words(whisper: Whisper, audio: Samples) -> Iterator[TimedWord]:
    for start, end in pieces(audio):
        yield from whisper.transcribe(audio[start:end], "en").words
