"""Detection of the tutor's own voice in the learner's microphone."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from livekit import rtc
from livekit.agents import Agent, AgentStateChangedEvent, UserStateChangedEvent
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.voice.io import AudioInput
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.job.voice.own_voice import OwnVoice, share_of
from loqua_host.livekit_internals import PlayedSource, TrackOutput

MENU = "Hoy tenemos sopa de verduras y pescado. ¿Qué desea tomar, señora?"
NO_SETTINGS: Any = None


class SpeakingSession(EventEmitter[Any]):
    """A session that reports who speaks, like LiveKit's."""

    def __init__(self) -> None:
        super().__init__()
        self.options = SimpleNamespace(interruption={"min_words": 0})
        self.input = SimpleNamespace(audio=None)
        self.output = SimpleNamespace(audio=None)

    def tutor(self, start: float, end: float | None) -> None:
        """Add speech of the tutor, from one second to another; without an end, it continues."""
        self.emit("agent_state_changed", _state(AgentStateChangedEvent, "speaking", start))
        if end is not None:
            self.emit("agent_state_changed", _state(AgentStateChangedEvent, "listening", end))

    def learner(self, start: float, end: float | None) -> None:
        """Add recognised speech from one time to another."""
        self.emit("user_state_changed", _state(UserStateChangedEvent, "speaking", start))
        if end is not None:
            self.emit("user_state_changed", _state(UserStateChangedEvent, "listening", end))


def _state(kind: Any, new: str, at: float) -> Any:
    old = "listening" if new == "speaking" else "speaking"
    return kind(old_state=old, new_state=new, created_at=at)


class ScriptedVoiceAgent(Agent):
    """An agent with given transcripts, and a voice for any text."""

    def __init__(self, heard: list[SpeechEvent | str]) -> None:
        super().__init__(instructions="")
        self.heard = heard

    async def stt_node(self, audio: Any, model_settings: Any) -> Any:  # noqa: ARG002  # by position
        """Return the test's transcripts after the end of the sound."""
        async for _ in audio:
            pass
        for event in self.heard:
            yield event

    async def tts_node(self, text: Any, model_settings: Any) -> Any:  # noqa: ARG002  # by position
        """Synthesise the text: a second of noise for each piece, and no two alike."""
        async for piece in text:
            yield _noise(piece)


def final(text: str, until: float | None = None) -> SpeechEvent:
    """Return what a recogniser has heard, of speech that was over at a time."""
    words = [SpeechData(language="es", text=text)]  # type: ignore[arg-type]  # a str does
    kind = SpeechEventType.FINAL_TRANSCRIPT
    return SpeechEvent(type=kind, alternatives=words, speech_end_time=until)


class MenuLesson:
    """A tutor that has said the menu, and the audio after it."""

    def __init__(self, *heard: SpeechEvent | str) -> None:
        self.session = SpeakingSession()
        self.now = 108.0
        self.voice = OwnVoice(self.session, lambda: self.now)  # type: ignore[arg-type]  # a fake
        self.voice.watch()
        self.agent = ScriptedVoiceAgent(list(heard))
        self.voice.attach(self.agent)

    async def say(self, *texts: str) -> list[str]:
        """Speak as the tutor, piece by piece."""

        async def pieces() -> AsyncIterator[str]:
            for text in texts:
                yield text

        return [it async for it in await _made(self.agent.tts_node(pieces(), NO_SETTINGS))]

    async def hears(self, *sounds: rtc.AudioFrame) -> list[str | SpeechEvent]:
        """Return what the session gets of what is heard, from sound that ends now."""
        return [it async for it in await _made(self.agent.stt_node(_each(*sounds), NO_SETTINGS))]


async def _made(node: Any) -> Any:
    return await node if hasattr(node, "__await__") else node


async def _each(*frames: rtc.AudioFrame) -> AsyncIterator[rtc.AudioFrame]:
    for frame in frames:
        yield frame


def _noise(text: str, loudness: float = 1.0) -> rtc.AudioFrame:
    """Return a second of ten tones that the text chooses."""
    random, time = np.random.default_rng(list(text.encode())), np.arange(1_600) / 16_000
    tones = random.uniform(200, 4_000, size=(10, 3, 1))
    samples = np.sin(2 * np.pi * tones * time).sum(axis=1).ravel() * 8_000 * loudness
    return rtc.AudioFrame(samples.astype(np.int16).tobytes(), 16_000, 1, len(samples))


TIMES = {
    "all of it": ((100, 105), (100.3, 105.6), True),
    "while it goes on": ((100, None), (103, None), True),
    "its last sentence": ((100, 105), (103.9, 105.9), True),
    "until a recogniser saw its end": ((100, 105), (104, 106.1), True),
    "who says it after the tutor": ((100, 105), (105.6, 107), False),
    "who begins at once": ((100, 105), (105.4, 107), False),
    "who says it before the tutor": ((100, 105), (98, 101), False),
    "who goes on after the tutor": ((100, 105), (104.9, 107), False),
}


@pytest.mark.parametrize(("tutor", "heard", "echo"), TIMES.values(), ids=TIMES)
async def test_the_tutors_words_are_its_own_while_it_says_them(
    tutor: tuple[float, float | None], heard: tuple[float, float | None], echo: bool
) -> None:
    """And the learner's once it has ended: they say it after the tutor."""
    lesson = MenuLesson(final(MENU))
    await lesson.say(MENU)
    lesson.session.tutor(*tutor)
    lesson.session.learner(*heard)
    assert len(await lesson.hears()) == (not echo)


async def test_an_echo_that_is_recognised_late_is_none_of_what_is_said_by_then() -> None:
    """The learner repeats it before a slow recogniser has its text, and the tutor answers."""
    echo, own = final(MENU, until=105.2), final(MENU, until=107.9)
    lesson = MenuLesson(echo, own)
    await lesson.say(MENU)
    lesson.session.tutor(100, 105)
    lesson.session.learner(100.3, 105.6)
    lesson.session.learner(106.4, 108)
    lesson.session.tutor(108, None)
    assert await lesson.hears() == [own]


async def test_nothing_is_an_echo_before_the_tutor_has_spoken() -> None:
    """The tutor's next sentence does not matter."""
    lesson = MenuLesson(final(MENU))
    await lesson.say(MENU)
    lesson.session.learner(99, 100)
    assert len(await lesson.hears()) == 1


async def test_other_words_are_the_learners_also_while_the_tutor_speaks() -> None:
    """They interrupt."""
    lesson = MenuLesson(final("Perdone, no le entiendo."), "una mesa para dos, por favor")
    assert len(await lesson.say("Hoy tenemos sopa ", "de verduras y pescado.")) == 2
    lesson.session.tutor(100, None)
    lesson.session.learner(101, None)
    assert len(await lesson.hears()) == 2
    assert lesson.session.options.interruption == {"min_words": 0}


async def test_the_session_hears_silence_in_place_of_the_tutors_sound() -> None:
    """From the first one's first tenth of a second on; the learner's sound passes as it is."""
    room = LessonInRoom()
    first, second = await room.hear("sopa de verduras"), await room.hear("y pescado del día")
    assert len(first + second) == 7 * 20
    assert not any(first[2:] + second)
    assert all((await room.hear("", microphone=["una sopa", "por favor"]))[1:])
    assert room.lesson.session.options.interruption == {"min_words": 0}


async def test_a_learner_who_speaks_over_the_tutor_is_heard_half_a_second_later() -> None:
    """From their first sound on; nobody knows before that it is no echo."""
    room = LessonInRoom()
    room.play("sopa de verduras y pescado")
    sound = [*_pieces_of(_noise("perdone")), *_pieces_of(_noise("señora"))]
    room.microphone.frames += sound[:9]
    assert not [frame async for frame in room.lesson.session.input.audio]
    room.microphone.frames += sound[9:12]
    assert [frame async for frame in room.lesson.session.input.audio] == sound[:12]
    room.microphone.frames += sound[12:]
    assert [frame async for frame in room.lesson.session.input.audio] == sound[12:]


async def test_what_is_held_back_when_the_session_stops_listening_is_forgotten() -> None:
    """It would be heard when the floor comes back."""
    room = LessonInRoom()
    room.play("sopa de verduras")
    room.microphone.frames += [*_pieces_of(_noise("perdone"))][:4]
    assert not [frame async for frame in room.lesson.session.input.audio]
    room.lesson.session.input.audio.on_detached()
    room.lesson.session.input.audio.on_attached()
    assert len(await room.hear("", microphone=["no le entiendo"])) == 20


async def test_the_log_says_once_that_the_tutors_sound_is_heard() -> None:
    """And what is to be done."""
    room = LessonInRoom()
    with structlog.testing.capture_logs() as logs:
        for words in ("sopa de verduras", "y pescado del día", "y pan"):
            await room.hear(words)
    assert [line["event"] for line in logs] == ["lesson.echo"]


async def test_a_sound_is_no_echo_of_what_is_dropped_before_it_is_played() -> None:
    """The tutor was interrupted."""
    room = LessonInRoom()
    await room.hear("sopa de verduras")
    await room.hear("y pescado del día")
    room.play("y pan")
    room.source.clear_queue()
    assert all((await room.hear("", microphone=["y pan"]))[1:])


async def test_words_that_are_found_in_the_tutors_sound_are_its_own() -> None:
    """Recognisers mishear a soft voice; until it was known, the session has heard it."""
    room = LessonInRoom(final("¡Suscríbete al canal!"))
    start = room.lesson.now
    room.lesson.session.tutor(start, None)
    room.lesson.session.learner(start + 0.1, None)
    await room.hear("sopa de verduras")
    await room.hear("y pescado del día")
    assert not await room.lesson.hears()


async def test_who_is_followed_no_longer_leaves_the_track_alone() -> None:
    """It is the job's, and may play on."""
    room = LessonInRoom()
    room.lesson.voice.unwatch()
    assert room.source.on_frame is None
    assert room.source.on_clear is None


class LessonInRoom:
    """A lesson whose tutor plays on a track, and what the microphone hears."""

    def __init__(self, *heard: SpeechEvent | str) -> None:
        self.lesson = MenuLesson(*heard)
        self.source = PlayedSource(16_000, 1)
        track = object.__new__(TrackOutput)  # without a room
        track.source = self.source
        self.microphone = Microphone(self.lesson)
        self.lesson.session.output.audio = track
        self.lesson.session.input.audio = self.microphone
        self.lesson.voice.attach(self.lesson.agent)

    def play(self, words: str) -> None:
        """Play the sound of each word, a second long."""
        assert self.source.on_frame is not None
        for word in words.split():
            self.source.on_frame(_noise(word))

    async def hear(self, words: str, microphone: Iterable[str] = ()) -> list[bool]:
        """Play words, and return of each piece that the session gets whether anything is in it.

        Args:
            words: What the tutor says, and the microphone hears softly.
            microphone: What it hears instead.
        """
        self.play(words)
        for word in microphone or words.split():
            sound = _noise(word, loudness=1.0 if microphone else 0.1)
            self.microphone.frames += _pieces_of(sound)
        return [any(frame.data) async for frame in self.lesson.session.input.audio]


class Microphone(AudioInput):
    """Hears what a test puts in, in as much time as it lasts."""

    def __init__(self, lesson: MenuLesson) -> None:
        super().__init__(label="test")
        self.lesson = lesson
        self.frames: deque[rtc.AudioFrame] = deque()

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next frame."""
        if not self.frames:
            raise StopAsyncIteration
        frame = self.frames.popleft()
        self.lesson.now += frame.duration
        return frame


def _pieces_of(frame: rtc.AudioFrame) -> Iterator[rtc.AudioFrame]:
    """Yield a frame in pieces of 50 ms."""
    size, samples = frame.sample_rate // 20, np.frombuffer(frame.data, np.int16)
    for start in range(0, len(samples), size):
        piece = samples[start : start + size]
        yield rtc.AudioFrame(piece.tobytes(), frame.sample_rate, 1, len(piece))


async def test_where_an_echo_was_heard_it_takes_words_to_interrupt() -> None:
    """Any sound would be the tutor's own; the log says once what is to be done."""
    other = SpeechEvent(type=SpeechEventType.END_OF_SPEECH)
    lesson = MenuLesson("sopa de verduras", other, "¿que desea tomar", "sí")
    await lesson.say(MENU)
    lesson.session.tutor(100, None)
    lesson.session.learner(101, None)
    with structlog.testing.capture_logs() as logs:
        assert await lesson.hears() == [other, "sí"]
    assert lesson.session.options.interruption == {"min_words": 1}
    assert [line["event"] for line in logs] == ["lesson.echo"]
    assert "sopa" not in str(logs)


async def test_who_is_followed_no_longer_changes_nothing() -> None:
    """A lesson that ends closes its session."""
    lesson = MenuLesson(final(MENU))
    await lesson.say(MENU)
    lesson.voice.unwatch()
    lesson.session.tutor(100, None)
    lesson.session.learner(101, None)
    assert len(await lesson.hears()) == 1


SAME = {
    "letter by letter": ("sopa de verduras", MENU),
    "accents and case": ("QUE DESEA TOMAR SENORA", MENU),
    "cut off in a word": ("tenemos sopa de verd", MENU),
    "a word misheard": ("Hoy tenemos sopa de verdura y pescados", MENU),
    "Japanese": ("いらっしゃいませ", "いらっしゃいませ、何になさいますか。"),  # its own comma
    "Arabic": ("صباح الخير", "صباح الخير يا سيدتي"),
}
OTHER = {
    "an answer": ("Una sopa, por favor, y agua.", MENU),
    "small words": ("no sé qué es", MENU),
    "nothing said": ("hola", ""),
    "no words": ("…?", MENU),
}


@pytest.mark.parametrize(("heard", "said"), SAME.values(), ids=SAME)
def test_a_text_is_found_again_although_misheard(heard: str, said: str) -> None:
    """Well above what is taken for an echo."""
    assert share_of(heard, said) >= 0.7


@pytest.mark.parametrize(("heard", "said"), OTHER.values(), ids=OTHER)
def test_another_text_is_another(heard: str, said: str) -> None:
    """Well below it."""
    assert share_of(heard, said) <= 0.5


@given(st.text(), st.text())
def test_any_two_texts_have_a_share(heard: str, said: str) -> None:
    """Between nothing and all; of what has words, all is in itself."""
    assert 0 <= share_of(heard, said) <= 1
    assert share_of(heard, heard) in {0, 1}
