"""What the pronunciation tutor says to a learner who mispronounces on purpose.

Run `uv run python tests/bench/mispronounced.py`; it takes a minute. A voice speaks twenty sentences
with one sound changed, in the phonemes of one word, and as they are. Each is recognised, scored and
answered as in a lesson. The result is a Markdown table with what was changed and what the tutor
said, and how often it corrected the same voice speaking well.
"""

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
    """A sentence, a word of it, and how that is pronounced wrongly, in X-SAMPA."""

    text: str
    word: str
    said: str
    change: str


CASES = (
    Case("I think it is late.", "think", '"sINk', "th as s"),
    Case("I think it is late.", "think", '"tINk', "th as t"),
    Case("Thank you very much.", "Thank", '"s{Nk', "th as s"),
    Case("Thank you very much.", "Thank", '"f{Nk', "th as f"),
    Case("The weather is nice today.", "weather", '"wE.d@`', "th as d"),
    Case("The weather is nice today.", "weather", '"wE.z@`', "th as z"),
    Case("The weather is nice today.", "weather", '"vE.D@`', "w as v"),
    Case("The ship is very big.", "ship", '"Si:p', "short i as long i"),
    Case("The ship is very big.", "ship", '"sIp', "sh as s"),
    Case("The sheep is very big.", "sheep", '"SIp', "long i as short i"),
    Case("She likes good books.", "good", '"gu:d', "short u as long u"),
    Case("She likes good books.", "books", '"bu:ks', "short u as long u"),
    Case("The man has a bad dog.", "bad", '"bEd', "a as e"),
    Case("The man has a bad dog.", "man", '"mEn', "a as e"),
    Case("I like rice and tea.", "rice", '"laIs', "r as l"),
    Case("My new vest is blue.", "vest", '"wEst', "v as w"),
    Case("The zoo is very nice.", "zoo", '"su:', "z as s"),
    Case("Watch the chair, please.", "chair", '"SE@`', "ch as sh"),
    Case("We play in the park.", "park", '"bA:k', "p as b"),
    Case("The children sing a song.", "sing", '"sIn', "ng as n"),
)


def main() -> None:
    """Print the table and the count."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    scorer = replace(Scorer.packaged(), reader=whisper.read)
    well = {it.text: answer(whisper, scorer, it, spoken(it.text)) for it in CASES}
    lines = ["| sentence | changed | score (well) | what the tutor said |", "|---|---|---|---|"]
    for case in CASES:
        state = answer(whisper, scorer, case, spoken(marked(case)))
        change = f"*{case.word}*: {case.change}"
        scores = f"{total(state)} ({total(well[case.text])})"
        lines.append(f"| {case.text} | {change} | {scores} | {said(state)} |")
    wrong = [f"{text} {said(state)}" for text, state in well.items() if state.last != "right"]
    lines.append(f"\nSpoken well, {len(wrong)} of {len(well)} sentences were corrected.")
    print("\n".join([*lines, *wrong]))  # noqa: T201  # the result


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


def answer(whisper: Whisper, scorer: Scorer, case: Case, sound: Samples) -> PracticeState:
    """Return the state of a lesson of this sentence after one try."""
    heard = whisper.hear(sound, "en").text
    result = scorer.score(sound, scorer.reference(case.text, "en"))
    best = render_assessment(result, case.text, len(sound) / HEARING_RATE)["NBest"]
    assessment = None if isinstance(result, Refusal) else Assessment.model_validate(best[0])
    start = PracticeState(exercises=(Exercise(text=case.text, word=case.word),))
    return advance(start, ENGLISH, heard, assessment)


def total(state: PracticeState) -> str:
    """Return the score of a try."""
    return f"{state.scores[0]:.0f}" if state.scores else "none"


def said(state: PracticeState) -> str:
    """Return what the tutor says of a try, without the sentence to be said again."""
    return "nothing: right" if state.last == "right" else line(state, ENGLISH).partition("Once")[0]


if __name__ == "__main__":
    main()
