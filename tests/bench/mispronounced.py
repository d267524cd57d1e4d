"""The pronunciation tutor's comments on deliberate mispronunciations.

Run `uv run python tests/bench/mispronounced.py`; it takes two minutes. A voice speaks twenty
sentences with one sound changed, in the phonemes of one word, and as they are, like the sentences
of all exercises. Each is recognised, scored and answered as in a lesson. The result is a Markdown
table with what was changed and what the tutor said, how often it named the sound, how often it
praised a second attempt that was spoken well, and how often it corrected the same voice speaking
well at first.
"""

# ruff: noqa: RUF001 IPA's letters look like others

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from py_nanotts import NanoTTS

from loqua_host import Assessment
from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.pronunciation.azure import render_assessment
from loqua_speech.pronunciation.results import Refusal
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recognition import Whisper
from loqua_speech.weights import packaged_weights
from loqua_tutor_pronunciation.exercises import Exercise, load_language
from loqua_tutor_pronunciation.practice import PracticeState, advance, line

ENGLISH = load_language("en")


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, and the mispronunciation of one of its words.

    Attributes:
        text: The sentence.
        word: The word.
        said: How it is said, in X-SAMPA.
        sound: The sound that is changed, in IPA.
        change: What becomes of it.
    """

    text: str
    word: str
    said: str
    sound: str
    change: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """The recognised words of an attempt, and its scores."""

    words: str
    assessment: Assessment | None


CASES = (
    Case("I think it is late.", "think", '"sINk', "θ", "th as s"),
    Case("I think it is late.", "think", '"tINk', "θ", "th as t"),
    Case("Thank you very much.", "Thank", '"s{Nk', "θ", "th as s"),
    Case("Thank you very much.", "Thank", '"f{Nk', "θ", "th as f"),
    Case("The weather is nice today.", "weather", '"wE.d@`', "ð", "th as d"),
    Case("The weather is nice today.", "weather", '"wE.z@`', "ð", "th as z"),
    Case("The weather is nice today.", "weather", '"vE.D@`', "w", "w as v"),
    Case("The ship is very big.", "ship", '"Si:p', "ɪ", "short i as long i"),
    Case("The ship is very big.", "ship", '"sIp', "ʃ", "sh as s"),
    Case("The sheep is very big.", "sheep", '"SIp', "i", "long i as short i"),
    Case("She likes good books.", "good", '"gu:d', "ʊ", "short u as long u"),
    Case("She likes good books.", "books", '"bu:ks', "ʊ", "short u as long u"),
    Case("The man has a bad dog.", "bad", '"bEd', "æ", "a as e"),
    Case("The man has a bad dog.", "man", '"mEn', "æ", "a as e"),
    Case("I like rice and tea.", "rice", '"laIs', "ɹ", "r as l"),
    Case("My new vest is blue.", "vest", '"wEst', "v", "v as w"),
    Case("The zoo is very nice.", "zoo", '"su:', "z", "z as s"),
    Case("Watch the chair, please.", "chair", '"SE@`', "t͡ʃ", "ch as sh"),
    Case("We play in the park.", "park", '"bA:k', "p", "p as b"),
    Case("The children sing a song.", "sing", '"sIn', "ŋ", "ng as n"),
)


def main() -> None:
    """Print the table and the counts."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    scorer = replace(Scorer.packaged(), reader=whisper.read)
    texts = dict.fromkeys([*(it.text for it in CASES), *(it.text for it in ENGLISH.exercises)])
    attempts = {it: heard(whisper, scorer, it, spoken(it)) for it in texts}
    well = {it: answer(start(it), attempts[it]) for it in texts}
    tries = [
        (it, answer(start(it.text, it.word), heard(whisper, scorer, it.text, spoken(marked(it)))))
        for it in CASES
    ]
    print(  # noqa: T201  # the result
        "| sentence | changed | score (well) | what the tutor said |\n|---|---|---|---|",
        *(row(case, state, well[case.text]) for case, state in tries),
        "",
        *summary(tries, well),
        second_attempts(tries, attempts),
        sep="\n",
    )


def row(case: Case, state: PracticeState, well: PracticeState) -> str:
    """Return a row of the table."""
    change = f"*{case.word}*: {case.change}"
    return f"| {case.text} | {change} | {total(state)} ({total(well)}) | {said(state)} |"


def summary(
    tries: Sequence[tuple[Case, PracticeState]], well: Mapping[str, PracticeState]
) -> Iterator[str]:
    """Yield what was noticed and named, and what was corrected that was spoken well."""
    noticed = [(case, state) for case, state in tries if state.last != "right"]
    named = [(case, state.finding) for case, state in noticed if state.finding]
    right = sum(it.word == case.word and it.expected == case.sound for case, it in named)
    yield (
        f"- {len(noticed)} of {len(tries)} are noticed. A sound is named in {len(named)}:"
        f" {right} times the one that was changed."
    )
    corrected = {text: state for text, state in well.items() if state.last != "right"}
    sounds = sum(state.finding is not None for state in corrected.values())
    yield (
        f"- Spoken well, {len(corrected)} of {len(well)} sentences are corrected; a sound is named"
        f" in {sounds}."
    )
    yield from (f"  - {text} {said(state)}" for text, state in corrected.items())


def second_attempts(
    tries: Sequence[tuple[Case, PracticeState]], attempts: Mapping[str, Attempt]
) -> str:
    """Return how often the tutor praises a second attempt that is spoken well."""
    noticed = [(case, state) for case, state in tries if state.last != "right"]
    praised = [
        state.last == "right" or state.risen is not None
        for state in (answer(state, attempts[case.text]) for case, state in noticed)
    ]
    return f"- {sum(praised)} of {len(praised)} second attempts, spoken well, are praised."


def marked(case: Case) -> str:
    """Return the sentence with the word's phonemes in Pico's markup."""
    phonemes = f"<phoneme alphabet='xsampa' ph='{case.said}'/>"
    return case.text.replace(case.word, phonemes, 1)


def spoken(text: str) -> Samples:
    """Return a text as speech, with half a second of near silence around it."""
    pcm = NanoTTS().speak(text, voice="en-US")
    sound = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
    around = np.random.default_rng(1).standard_normal(HEARING_RATE // 2).astype(np.float32) * 1e-3
    return np.concatenate([around, sound, around])


def heard(whisper: Whisper, scorer: Scorer, text: str, sound: Samples) -> Attempt:
    """Return what the speech server makes of an attempt at a text."""
    result = scorer.score(sound, scorer.reference(text, "en"))
    best = render_assessment(result, text, len(sound) / HEARING_RATE)["NBest"]
    assessment = None if isinstance(result, Refusal) else Assessment.model_validate(best[0])
    return Attempt(whisper.transcribe(sound, "en").text, assessment)


def start(text: str, word: str = "") -> PracticeState:
    """Return the state of a lesson of this sentence."""
    return PracticeState(exercises=(Exercise(text=text, word=word),))


def answer(state: PracticeState, attempt: Attempt) -> PracticeState:
    """Return the state after an attempt."""
    return advance(state, ENGLISH, attempt.words, attempt.assessment)


def total(state: PracticeState) -> str:
    """Return the score of a try."""
    return f"{state.scores[0]:.0f}" if state.scores else "none"


def said(state: PracticeState) -> str:
    """Return what the tutor says of a try, without the sentence to be said again."""
    return "nothing: right" if state.last == "right" else line(state, ENGLISH).partition("Once")[0]


if __name__ == "__main__":
    main()
