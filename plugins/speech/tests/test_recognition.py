"""Speech-to-text by the packaged model."""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loqua_speech import recognition
from loqua_speech.audio import decode
from loqua_speech.errors import UnknownLanguageError, WeightsError
from loqua_speech.recognition import Passage, Whisper
from loqua_speech.voice_activity import VoiceActivity
from loqua_speech.weights import Weights

Say = Callable[[str, str], bytes]

RECORDINGS = Path(__file__).parent / "recordings"
LEARNERS = sorted((Path(__file__).parent / "pronunciation/recordings").glob("*.flac"))


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFD", text.lower())
    return re.findall(r"[a-z']+", "".join(c for c in folded if not unicodedata.combining(c)))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ayer fui al mercado con mi madre.", "es"),
        ("La problema es grande.", "es"),
        ("Yo tiene dos hermanos.", "es"),
        ("I would like a cup of tea, please.", "en"),
        ("She have two brothers.", "en"),
    ],
)
def test_what_is_said_is_what_is_heard(
    whisper: Whisper, say: Say, text: str, language: str
) -> None:
    """Word for word, a learner's mistakes included."""
    passage = whisper.transcribe(decode(say(text, language)), language)

    assert _words(passage.text) == _words(text)


def test_the_language_is_detected_where_none_is_given(whisper: Whisper, say: Say) -> None:
    """The detected language is the speech's, and so is the text."""
    passage = whisper.transcribe(decode(say("Me gusta la comida española.", "es")), None)

    assert passage.language == "es"
    assert _words(passage.text) == ["me", "gusta", "la", "comida", "espanola"]


@pytest.mark.parametrize(
    ("text", "language"),
    [("Sí.", "es"), ("No.", "es"), ("Dos.", "es"), ("Yes.", "en"), ("Oui.", "fr")],
    ids=["si", "no", "dos", "yes", "oui"],
)
def test_a_single_word_is_heard(whisper: Whisper, say: Say, text: str, language: str) -> None:
    """The gate against noise lets the shortest answers through."""
    passage = whisper.transcribe(decode(say(text, language)), language)

    assert _words(passage.text) == _words(text)


@pytest.mark.parametrize(
    ("text", "language", "noise"),
    [
        *(("Sí.", "es", 0.0), ("Ten.", "en", 0.0), ("Deux.", "fr", 0.0)),
        *(("Sí.", "es", 0.1), ("No.", "en", 0.1)),
    ],
    ids=["si", "ten", "deux", "si-noise", "no-noise"],
)
def test_a_soft_word_between_silences_is_heard(
    whisper: Whisper, say: Say, text: str, language: str, noise: float
) -> None:
    """At a tenth of its level, as the voice detection cuts it out, with or without a fan."""
    sound = decode(say(text, language))
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    word = sound[loud[0] : loud[-1] + 1]
    cut = np.concatenate([np.zeros(8000, np.float32), word, np.zeros(4800, np.float32)])
    hiss = np.cumsum(np.random.default_rng(1).normal(size=len(cut)))
    hiss = np.convolve(hiss, [1, -0.98], "same")
    level = noise * np.sqrt(np.square(word).mean() / np.square(hiss).mean())

    passage = whisper.transcribe(((cut + level * hiss) / 10).astype(np.float32), language)

    assert passage.text


@pytest.mark.parametrize(
    ("voice", "no_speech", "log_probability", "is_silence"),
    [
        (VoiceActivity(0.3, 0.2), 0.5, -1.5, False),
        (VoiceActivity(0.3, 0.0), 0.5, -1.5, True),
        (VoiceActivity(3.0, 2.5), 0.5, -1.3, True),
        (VoiceActivity(0.3, 0.2), 0.7, -1.5, True),
        (VoiceActivity(0.3, 0.2), 0.5, -2.5, True),
        (VoiceActivity(0.05, 0.0), 0.3, -0.5, True),
    ],
    ids=["word", "unclear", "background", "no speech", "unlikely", "no voice"],
)
def test_a_short_clear_voice_is_believed(
    voice: VoiceActivity, no_speech: float, log_probability: float, is_silence: bool
) -> None:
    """Within bounds: what goes on may be people in the background."""
    heard = Passage("Sí.", "es", no_speech=no_speech, log_probability=log_probability, voice=voice)

    assert heard.is_silence is is_silence


@pytest.mark.parametrize("path", LEARNERS, ids=lambda it: it.stem)
def test_learners_are_heard(whisper: Whisper, path: Path) -> None:
    """Real learners, quiet and with a strong accent, are no noise."""
    assert whisper.transcribe(decode(path.read_bytes()), "en").text


def test_a_text_that_is_wrong_is_doubtful_and_a_right_one_is_not(
    whisper: Whisper, say: Say
) -> None:
    """A synthetic accent says "Me llamo Ana.", which is misheard; a clear voice says it, too."""
    misheard = whisper.transcribe(decode((RECORDINGS / "me_llamo_ana.flac").read_bytes()), "es")
    understood = whisper.transcribe(decode(say("Me llamo Ana.", "es")), "es")

    assert "ana" not in _words(misheard.text)
    assert misheard.log_probability < np.log(0.5) < understood.log_probability
    assert " ".join(word.text for word in understood.words) == understood.text
    assert min(word.probability for word in understood.words) > 0.5
    assert all(word.start <= word.end <= 2 for word in understood.words)


def test_another_language_is_written_as_such(whisper: Whisper, say: Say) -> None:
    """An English answer in a Spanish lesson is quoted in English, not translated."""
    passage = whisper.transcribe(decode(say("Can you say that again?", "en")), "es")

    assert passage.language == "en"
    assert _words(passage.text) == ["can", "you", "say", "that", "again"]


def test_repetition_and_haste_are_a_runaway() -> None:
    """Both signs count, each alone; plain prose is neither."""
    prose = Passage("Me gusta mucho la música.", "es", tokens=(1,) * 8)

    assert not prose.runs_away(20)
    assert prose.runs_away(8)
    assert Passage("la casa " * 30, "es", tokens=(1,) * 8).runs_away(20)


def test_a_runaway_is_decoded_again_with_the_whole_window(
    whisper: Whisper, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 15 s window's text is dropped, the 30 s window's taken."""
    frames = []

    def runs_away_once(self: Passage, limit: int) -> bool:
        del self, limit
        frames.append(len(frames))
        return len(frames) == 1

    monkeypatch.setattr(Passage, "runs_away", runs_away_once)

    passage = whisper.transcribe(decode(say("Me gusta mucho la música.", "es")), "es")

    assert len(frames) == 2
    assert _words(passage.text) == ["me", "gusta", "mucho", "la", "musica"]


def test_what_never_stops_running_away_is_not_a_text(
    whisper: Whisper, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last attempt there is nothing that could be trusted."""
    monkeypatch.setattr(Passage, "runs_away", lambda *_: True)
    monkeypatch.setattr(recognition, "_ATTEMPTS", recognition._ATTEMPTS[:1])

    assert whisper.transcribe(decode(say("Hola, me llamo Ana.", "es")), "es").text == ""


@pytest.mark.parametrize(("tag", "code"), [("es", "es"), ("es-MX", "es"), (" EN_us ", "en")])
def test_a_language_tag_is_cut_to_what_the_model_knows(
    whisper: Whisper, tag: str, code: str
) -> None:
    """Region and case do not matter."""
    assert whisper.language(tag) == code


@pytest.mark.parametrize("tag", ["spanish", "xx", "-", "\ud800"])
def test_an_unknown_language_is_refused(whisper: Whisper, tag: str) -> None:
    """The message says what to send."""
    with pytest.raises(UnknownLanguageError, match="ISO 639-1"):
        whisper.language(tag)


def test_a_directory_that_holds_no_loadable_model_is_named(tmp_path: Path) -> None:
    """CTranslate2's message comes with the directory to which it refers."""
    (tmp_path / "model.bin").write_bytes(b"no model")

    with pytest.raises(WeightsError, match=tmp_path.name):
        Whisper(Weights("own", tmp_path), threads=1)


def test_a_text_is_read_where_it_was_said(whisper: Whisper, say: Say) -> None:
    """The right words are likely, another one in their place is not; states are of the sound."""
    sound = decode(say("She has two brothers.", "en"))
    said, other = (whisper.read(sound, it.split()) for it in ("SHE HAS TWO", "SHE HAS TEA"))
    assert said
    assert other
    assert said.words.shape == (3, 4)
    assert said.words[2, 0] > other.words[2, 0] + 2
    assert np.array_equal(said.sound, other.sound)
    assert len(said.sound) == 1024


def test_a_text_with_more_tokens_than_whisper_takes_is_not_read(whisper: Whisper) -> None:
    """The scorer goes on without."""
    assert whisper.read(np.zeros(16_000, np.float32), ["unpronounceable"] * 200) is None
