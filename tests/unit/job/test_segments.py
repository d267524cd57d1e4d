"""The speaker of each segment, from the events of several kinds of recognisers."""

from typing import Any

import pytest
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from tests.unit.job.test_levels import SPEECH, speak

from loqua_host.job.voice.levels import Levels
from loqua_host.job.voice.segments import Segments

START, END = SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH
INTERIM, FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT


class ManualRecogniser:
    """A recogniser whose events a test emits."""

    def __init__(self) -> None:
        self.levels = Levels()
        self.now = 0.0
        self._segments = Segments(self.levels, lambda: self.now)

    def handle(self, at: float, kind: SpeechEventType, **fields: Any) -> str | None:
        """Handle an event; return who speaks."""
        self.now = at
        words = [SpeechData(language="es", text="hola")] if kind in (INTERIM, FINAL) else []  # type: ignore[arg-type]  # a str does
        return self._segments.speaker(SpeechEvent(type=kind, alternatives=words, **fields))


@pytest.fixture
def recogniser() -> ManualRecogniser:
    """Return a recogniser that has heard nothing yet."""
    return ManualRecogniser()


def test_a_segment_is_whose_voice_was_in_it(recogniser: ManualRecogniser) -> None:
    """A participant who spoke before it has no part in it."""
    speak(recogniser.levels, "maria", 1, 4, SPEECH)
    speak(recogniser.levels, "ana", 10, 11, SPEECH / 4)
    assert recogniser.handle(10.1, START) is None
    assert recogniser.handle(11.5, END, speech_end_time=11.0) is None
    assert recogniser.handle(12.0, FINAL) == "ana"


def test_who_speaks_while_words_are_still_recognised_does_not_take_them(
    recogniser: ManualRecogniser,
) -> None:
    """Nor loses their own, of which the recogniser tells late: LiveKit's StreamAdapter does so."""
    speak(recogniser.levels, "maria", 1, 2, SPEECH)
    recogniser.handle(1.1, START)
    recogniser.handle(2.5, END, speech_end_time=2.0)
    speak(recogniser.levels, "ana", 2.2, 3, SPEECH * 4)
    assert recogniser.handle(6, FINAL) == "maria"
    recogniser.handle(6, START)
    recogniser.handle(6, END, speech_end_time=5.5)
    assert recogniser.handle(8, FINAL) == "ana"


def test_a_recogniser_that_tells_words_as_they_come_gives_them_one_name(
    recogniser: ManualRecogniser,
) -> None:
    """Until its next segment."""
    speak(recogniser.levels, "maria", 1, 3, SPEECH)
    speak(recogniser.levels, "ana", 2, 3, SPEECH * 9)
    recogniser.handle(1.1, START)
    assert recogniser.handle(1.5, INTERIM) == "maria"
    assert recogniser.handle(3.0, INTERIM) == "maria"
    assert recogniser.handle(3.3, FINAL) == "maria"
    speak(recogniser.levels, "ana", 3.5, 4, SPEECH)
    assert recogniser.handle(4.2, INTERIM) == "ana"


def test_a_recogniser_that_tells_of_no_start_is_understood(recogniser: ManualRecogniser) -> None:
    """And one whose end comes after the words."""
    for second, identity in ((1, "maria"), (5, "ana"), (9, "maria")):
        speak(recogniser.levels, identity, second, second + 1, SPEECH)
        assert recogniser.handle(second + 1.2, FINAL) == identity
        recogniser.handle(second + 1.3, END)


def test_words_that_nobody_was_heard_to_say_are_nobodys(recogniser: ManualRecogniser) -> None:
    """A recogniser dreams in silence."""
    assert recogniser.handle(3, FINAL) is None
