"""Scores of recorded learners, and refusals to score."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loqua_speech.audio import Samples, decode
from loqua_speech.errors import UnknownLanguageError, UnscorableTextError
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.pronunciation.results import AssessmentResult, Miscue, Refusal
from loqua_speech.pronunciation.scorer import LONGEST_TEXT, Scorer

GOOD = "020360136.flac"
TEXT = "This will be so good"


def assess(scorer: Scorer, samples: Samples, text: str) -> AssessmentResult:
    """Return the assessment; fail if there is none."""
    result = scorer.score(samples, scorer.reference(text, "en"))
    assert isinstance(result, AssessmentResult)
    return result


def test_who_speaks_well_scores_higher(
    scorer: Scorer, scored: list[dict[str, Any]], recordings: dict[str, Samples]
) -> None:
    """Experts' best are above experts' worst; one of those is taken for another text."""
    results = [
        (one["total"], scorer.score(recordings[one["file"]], scorer.reference(one["text"], "en")))
        for one in scored
    ]
    totals = [(said, it.total) for said, it in results if isinstance(it, AssessmentResult)]

    assert len(totals) >= len(scored) - 1
    good = [total for said, total in totals if said >= 9]
    assert len(good) == 5
    assert min(good) > max(total for said, total in totals if said <= 4)


def test_words_and_phones_lie_in_order_within_the_sound(
    scorer: Scorer, recordings: dict[str, Samples]
) -> None:
    """In seconds from the beginning of the file."""
    result = assess(scorer, recordings[GOOD], TEXT)
    phones = [phone for word in result.words for phone in word.phones]
    times = [time for phone in phones for time in (phone.start, phone.end)]

    assert [word.text for word in result.words] == TEXT.split()
    assert times == sorted(times)
    assert times[-1] <= len(recordings[GOOD]) / 16_000
    assert result.completeness == 100


@pytest.mark.parametrize(
    ("text", "word"),
    [("This will be show good", "show"), ("This vill be so good", "vill")],
    ids=["sh for s", "v for w"],
)
def test_one_replaced_sound_is_found_in_fluent_speech(
    scorer: Scorer, recordings: dict[str, Samples], text: str, word: str
) -> None:
    """Its score hardly falls."""
    right = assess(scorer, recordings[GOOD], TEXT)
    wrong = assess(scorer, recordings[GOOD], text)
    [first] = [it.phones[0] for it in wrong.words if it.text == word]

    assert first.score > 80
    assert first.substitution > 0.9
    assert max(phone.substitution for it in right.words for phone in it.phones) < 0.9


@pytest.mark.parametrize("gain", [0.05, 3.0], ids=["quiet", "loud"])
def test_the_level_does_not_matter(
    scorer: Scorer, recordings: dict[str, Samples], gain: float
) -> None:
    """A microphone's gain says nothing of the learner."""
    plain = assess(scorer, recordings[GOOD], TEXT)
    changed = assess(scorer, recordings[GOOD] * np.float32(gain), TEXT)

    assert changed.total == pytest.approx(plain.total, abs=2)


def test_silence_around_the_words_does_not_matter(
    scorer: Scorer, recordings: dict[str, Samples]
) -> None:
    """Only the times move."""
    second = np.zeros(16_000, np.float32)
    plain = assess(scorer, recordings[GOOD], TEXT)
    later = assess(scorer, np.concatenate([second, recordings[GOOD], second]), TEXT)

    assert later.total == pytest.approx(plain.total, abs=2)
    assert later.words[0].start == pytest.approx(plain.words[0].start + 1, abs=0.1)


def test_scores_need_no_silence_after_the_last_word(
    scorer: Scorer, scored: list[dict[str, Any]], recordings: dict[str, Samples]
) -> None:
    """A tutor asks for them in the first pause, and tells them at the end of the turn."""
    for one in [it for it in scored if it["total"] >= 9][:2]:
        whole = np.concatenate([recordings[one["file"]], np.zeros(16_000, np.float32)])
        later = assess(scorer, whole, one["text"])
        early = assess(scorer, whole[: round(16_000 * (later.words[-1].end + 0.2))], one["text"])

        assert early.total == pytest.approx(later.total, abs=2.5)
        assert early.completeness == later.completeness


@pytest.mark.parametrize(
    ("samples", "refusal"),
    [
        (np.zeros(0, np.float32), Refusal.NO_SPEECH),
        (np.zeros(48_000, np.float32), Refusal.NO_SPEECH),
        (np.full(48_000, 1e-4, np.float32), Refusal.TOO_QUIET),
    ],
    ids=["nothing", "digital silence", "a faint hum"],
)
def test_what_cannot_be_heard_has_no_score(
    scorer: Scorer, samples: Samples, refusal: Refusal
) -> None:
    """The reason instead of a number."""
    assert scorer.score(samples, scorer.reference(TEXT, "en")) == refusal


def test_noise_has_no_score(scorer: Scorer) -> None:
    """Loud as it may be."""
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32) * 0.05

    assert isinstance(scorer.score(noise, scorer.reference(TEXT, "en")), Refusal)


def test_another_text_has_no_score(
    scorer: Scorer, scored: list[dict[str, Any]], recordings: dict[str, Samples]
) -> None:
    """However well it is said."""
    for one in scored[:2]:
        result = scorer.score(
            recordings[one["file"]], scorer.reference("Where are my brown shoes", "en")
        )
        assert result == Refusal.OTHER_TEXT


def test_another_language_has_no_score(scorer: Scorer, say: Any) -> None:
    """It is another text, too."""
    spanish = decode(say("El perro corre por el parque.", "es"))

    assert scorer.score(spanish, scorer.reference(TEXT, "en")) == Refusal.OTHER_TEXT


def test_a_word_that_was_left_out_is_named(scorer: Scorer, recordings: dict[str, Samples]) -> None:
    """It has no accuracy, and the text is not complete."""
    result = assess(scorer, recordings[GOOD], "This will certainly be so good")
    (omitted,) = [word for word in result.words if word.miscue is Miscue.OMISSION]

    assert (omitted.text, omitted.accuracy) == ("certainly", None)
    assert result.completeness == pytest.approx(83.3)


def test_a_word_that_was_put_in_is_named_by_its_sounds(
    scorer: Scorer, recordings: dict[str, Samples]
) -> None:
    """Where it was said."""
    result = assess(scorer, recordings["096190010.flac"], "But it will better")
    inserted = [word for word in result.words if word.miscue is Miscue.INSERTION]

    assert all(word.accuracy is None and word.text for word in inserted)


def test_only_english_is_scored(scorer: Scorer) -> None:
    """Experts' scores are of no other language."""
    with pytest.raises(UnknownLanguageError, match="must be en"):
        scorer.reference("La casa es grande", "es")


@pytest.mark.parametrize(
    "text", ["", "?!", "word " * (LONGEST_TEXT + 1)], ids=["", "marks", "long"]
)
def test_a_text_without_words_or_with_too_many_is_refused(scorer: Scorer, text: str) -> None:
    """With what is allowed."""
    with pytest.raises(UnscorableTextError, match=str(LONGEST_TEXT)):
        scorer.reference(text, "en")


def test_a_text_that_a_reader_finds_unlikely_is_scored_lower(
    scorer: Scorer, recordings: dict[str, Samples]
) -> None:
    """The reader is asked for the words that were said."""
    asked: list[Sequence[str]] = []

    def reads(likely: float) -> Scorer:
        def read(_: Samples, words: Sequence[str]) -> RecogniserReading:
            asked.append(words)
            usual = scorer.head.reading.utterance.mean[-1024:]
            return RecogniserReading(np.full((len(words), 4), likely), _states(usual))

        return replace(scorer, reader=read)

    well, badly = (assess(reads(it), recordings[GOOD], TEXT) for it in (-0.1, -4.0))

    assert asked == [TEXT.split()] * 2
    assert badly.total < well.total - 3
    assert np.mean(_phone_scores(badly)) < np.mean(_phone_scores(well))


@pytest.mark.parametrize("likely", [-0.1, -4.0], ids=["likely", "unlikely"])
def test_in_free_speech_the_reader_is_asked_for_the_sound_alone(
    scorer: Scorer, recordings: dict[str, Samples], likely: float
) -> None:
    """How likely it finds words that it has chosen itself says nothing of how they were said."""
    sound = scorer.head.reading.sound
    usual = sound.predict(sound.mean[None])[0, -1]
    reader = replace(
        scorer,
        reader=lambda _, words: RecogniserReading(
            np.full((len(words), 4), likely), _states(sound.mean)
        ),
    )
    text = scorer.reference(TEXT, "en")
    result = reader.score(recordings[GOOD], text, free_speech=True)
    alone = scorer.score(recordings[GOOD], text, free_speech=True)

    assert isinstance(result, AssessmentResult)
    assert isinstance(alone, AssessmentResult)
    assert [word.accuracy for word in result.words] == [word.accuracy for word in alone.words]
    assert result.total == pytest.approx((alone.total + 10 * usual) / 2, abs=0.1)


def _states(sound: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return states, as many as a recording has, of which that is the sound."""
    mean, deviation = np.split(sound, 2)
    return np.tile(np.stack([mean - deviation, mean + deviation]), (100, 1)).astype(np.float16)


def _phone_scores(result: AssessmentResult) -> list[float]:
    return [phone.score for word in result.words for phone in word.phones]
