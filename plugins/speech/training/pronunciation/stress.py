"""Scores of distorted audio and of wrong texts, for speakers of TRAIN."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loqua_speech.audio import HEARING_RATE, Samples, decode, wav
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.results import AssessmentResult, Refusal
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from training.pronunciation.corpus import CorpusUtterance
from training.pronunciation.reading import whisper

__all__ = ["render_stress"]

_OF_EACH_AGE = 30
_CHILD = 15
"""Years up to which a speaker counts as a child."""
_FEWEST_WORDS = 4
_AT_ONCE = 10

_OTHER_LANGUAGES = (
    ("es", "Mañana vamos a la playa con toda la familia."),
    ("de", "Morgen fahren wir mit der ganzen Familie ans Meer."),
    ("fr", "Demain nous allons à la plage avec toute la famille."),
    ("it", "Domani andiamo al mare con tutta la famiglia."),
)

Change = Callable[[Samples, np.random.Generator], Samples]
_Result = AssessmentResult | Refusal


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recording, its text, and the text of another one."""

    samples: Samples
    text: str
    other_text: str


def render_stress(corpus: Path, utterances: Sequence[CorpusUtterance]) -> str:
    """Return Markdown tables: of changed sound, apart for adults and children, and of the time."""
    scorer = replace(Scorer.packaged(), reader=whisper().read)
    ages = {"adults": lambda age: age > _CHILD, "children": lambda age: age <= _CHILD}
    parts = [
        f"{name}:\n\n{_table(scorer, _chosen(corpus, utterances, suits))}"
        for name, suits in ages.items()
    ]
    return "\n\n".join([*parts, asyncio.run(_timing(scorer, corpus, utterances))])


def _chosen(
    corpus: Path, utterances: Sequence[CorpusUtterance], suits: Callable[[int], bool]
) -> list[_Recording]:
    """Return recordings of that many speakers of an age."""
    long = [it for it in utterances if suits(it.age) and len(it.text) >= _FEWEST_WORDS]
    of_speakers = list({it.speaker: it for it in long}.values())
    chosen = np.random.default_rng(3).permutation(len(of_speakers))[:_OF_EACH_AGE]
    texts = [" ".join(word.text for word in of_speakers[at].text) for at in chosen]
    others = texts[1:] + texts[:1]
    return [
        _Recording(of_speakers[at].samples(corpus), text, other)
        for at, text, other in zip(chosen, texts, others, strict=True)
    ]


def _table(scorer: Scorer, recordings: Sequence[_Recording]) -> str:
    before = [_score(scorer, it.samples, it.text) for it in recordings]
    lines = [
        "| sound | no score, why | mean total | shift | spread | correlation |",
        "|---|---|---|---|---|---|",
        _row("unchanged", before, before),
    ]
    wrong = [_score(scorer, it.samples, it.other_text) for it in recordings]
    lines.append(_row("another text", wrong, before))
    for name, change in _changes().items():
        generator = np.random.default_rng(4)
        after = [_score(scorer, change(it.samples, generator), it.text) for it in recordings]
        lines.append(_row(name, after, before))
    return "\n".join(lines)


def _score(scorer: Scorer, samples: Samples, text: str) -> _Result:
    return scorer.score(samples, scorer.reference(text, "en"))


def _row(name: str, after: Sequence[_Result], before: Sequence[_Result]) -> str:
    both = [
        (new.total, old.total)
        for new, old in zip(after, before, strict=True)
        if isinstance(new, AssessmentResult) and isinstance(old, AssessmentResult)
    ]
    scored = [it.total for it in after if isinstance(it, AssessmentResult)]
    mean = f"{np.mean(scored):.0f}" if scored else "-"
    return f"| {name} | {_reasons(after)} | {mean} | {' | '.join(_compared(both))} |"


def _reasons(results: Sequence[_Result]) -> str:
    refused = [it.value for it in results if isinstance(it, Refusal)]
    each = ", ".join(f"{refused.count(why)} {why}" for why in sorted(set(refused)))
    return f"{len(refused)} of {len(results)}" + (f": {each}" if each else "")


def _compared(both: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    if len(both) <= _OF_EACH_AGE // 3:  # too few to say anything
        return "-", "-", "-"
    new, old = np.array(both).T
    correlation = np.corrcoef(new, old)[0, 1]
    return f"{(new - old).mean():+.1f}", f"{(new - old).std():.1f}", f"{correlation:.3f}"


async def _timing(scorer: Scorer, corpus: Path, utterances: Sequence[CorpusUtterance]) -> str:
    """Return how long one utterance takes, and each of ten that come at once."""
    recordings = _chosen(corpus, utterances, lambda age: age > _CHILD)[:_AT_ONCE]
    with ScoringQueue(scorer) as queue:

        async def waited(recording: _Recording) -> float:
            began = time.monotonic()
            await queue.score(recording.samples, recording.text, "en")
            return time.monotonic() - began

        worked = time.process_time()
        alone = [await waited(it) for it in recordings]
        worked = time.process_time() - worked
        together = await asyncio.gather(*map(waited, recordings))
    audio = sum(len(it.samples) for it in recordings) / HEARING_RATE
    return (
        f"{len(recordings)} utterances of {audio / len(recordings):.1f} s: alone "
        f"{np.median(alone):.2f} s (median), {worked / audio:.3f} s of CPU for a second of "
        f"sound; at once, the first after {min(together):.2f} s and the last after "
        f"{max(together):.2f} s."
    )


def _noise(decibels: float) -> Change:
    def add(samples: Samples, generator: np.random.Generator) -> Samples:
        power = np.percentile(_powers(samples), 95) / 10 ** (decibels / 10)
        noise = generator.standard_normal(len(samples)) * power**0.5
        return (samples + noise).astype(np.float32)

    return add


def _powers(samples: Samples) -> np.ndarray:
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return np.asarray((frames**2).mean(axis=1))


def _telephone(samples: Samples, _: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / HEARING_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0  # noqa: PLR2004 the band of telephones
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def _clipped(samples: Samples, _: np.random.Generator) -> Samples:
    peak = float(np.abs(samples).max()) / 4
    return samples.clip(-peak, peak)


def _gain(factor: float) -> Change:
    return lambda samples, _: (samples * np.float32(factor)).clip(-1, 1)


def _silence(samples: Samples, generator: np.random.Generator) -> Samples:
    return (generator.standard_normal(len(samples)) * 1e-4).astype(np.float32)


def _music(samples: Samples, generator: np.random.Generator) -> Samples:
    """Return chords with a melody and a drum, four beats a second."""
    beat = HEARING_RATE // 4
    beats = [_beat(generator, beat) for _ in range(len(samples) // beat + 1)]
    return np.concatenate(beats)[: len(samples)].astype(np.float32)


def _beat(generator: np.random.Generator, length: int) -> np.ndarray:
    seconds = np.arange(length) / HEARING_RATE
    root = 110 * 2 ** (generator.choice([0, 5, 7, 9]) / 12)
    notes = [root, root * 2 ** (4 / 12), root * 1.5, root * 2 ** generator.integers(2, 4)]
    tones = sum(
        np.sin(2 * np.pi * note * harmonic * seconds) / harmonic
        for note in notes
        for harmonic in range(1, 7)
    )
    drum = generator.standard_normal(length) * np.exp(-seconds * 60)
    return np.asarray(0.05 * tones * np.exp(-seconds * 3) + 0.1 * drum)


def _speech_of(language: str, text: str) -> Samples:
    pcm = b"".join(synthesize(text, voice=voice_for(language)))
    return decode(wav(pcm, rate=SPEAKING_RATE))


def _other_languages() -> Iterator[tuple[str, Change]]:
    for language, text in _OTHER_LANGUAGES:
        spoken = _speech_of(language, text)
        yield f"another language ({language})", lambda _, __, spoken=spoken: spoken


def _changes() -> dict[str, Change]:
    return {
        "silence": _silence,
        "music": _music,
        **dict(_other_languages()),
        "white noise, 20 dB": _noise(20),
        "white noise, 10 dB": _noise(10),
        "300 to 3400 Hz only": _telephone,
        "clipped at a quarter of the peak": _clipped,
        "gain 0.3": _gain(0.3),
        "gain 0.05": _gain(0.05),
        "gain 10, clipped": _gain(10),
    }
