"""Learners' turns, joined across pauses."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from .learner import Learner

if TYPE_CHECKING:
    from livekit.agents.llm import ChatMessage
    from livekit.agents.voice import SpeechHandle

__all__ = [
    "LEARNER_KEY",
    "RECOGNITION_KEY",
    "TYPED_KEY",
    "Recognition",
    "RecognizedWord",
    "Turn",
    "Turns",
    "learner_of",
]

TYPED_KEY = "loqua.typed"
"""The key in a message's `extra` that marks a chat message."""

LEARNER_KEY = "loqua.learner"
"""The key in a message's `extra` with the `Learner` who said or typed it."""

RECOGNITION_KEY = "loqua.recognition"
"""The key in a message's `extra` with the `Recognition` of what was spoken."""

_Notes = TypeVar("_Notes")


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A word of a transcript.

    Attributes:
        text: The word, with its punctuation.
        confidence: How sure the recogniser is of it, from 0 to 1; None if it does not say.
    """

    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Recognition:
    """Data of the recogniser about a turn besides its text, as far as it provides them.

    Attributes:
        confidence: How sure it is of the turn, from 0 to 1; of a turn with a pause in it, of the
            part that it is least sure of. None if it does not say, and for typed turns.
        words: The words of the transcript, empty if it does not say.
        language: The ISO 639-1 code of the language that was spoken; None if unknown.
    """

    confidence: float | None = None
    words: tuple[RecognizedWord, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Turn(Generic[_Notes]):
    """A learner's turn so far.

    Attributes:
        text: The whole text, a transcript: data, never instructions.
        notes: The tutor's notes from before the turn.
        typed: Whether it was typed, so that it has no pronunciation.
        learner: Who said it: the lesson's learner or, with `audio_input: all`, possibly one of
            `lesson.others`. Of several who speak at once, it is the loudest, or if unknown the
            lesson's learner. None outside a lesson, as in a tutor's own tests.
        recognition: What the recogniser says about it.
    """

    text: str
    notes: _Notes
    typed: bool
    learner: Learner | None = None
    recognition: Recognition = Recognition()


class Turns(Generic[_Notes]):
    """Join the parts of one turn, for an agent's `on_user_turn_completed`.

    A learner who continues before any of the tutor's reply was heard has only paused: the text
    grows, and the tutor evaluates it again with the notes from before the turn. Chat messages and
    utterances of other learners are separate turns.

    Args:
        longest: Maximum characters of a turn; longer ones are cut.
    """

    def __init__(self, *, longest: int = 300) -> None:
        self._longest = longest
        self._turn: Turn[_Notes] | None = None
        self._reply: SpeechHandle | None = None

    def add(self, message: "ChatMessage", notes: _Notes) -> Turn[_Notes]:
        """Add the last message, with the tutor's current notes, and return its turn."""
        turn = Turn(
            message.text_content or "",
            notes,
            TYPED_KEY in message.extra,
            learner_of(message),
            _recognition_of(message),
        )
        paused = self._reply is not None and _is_unheard(self._reply)
        if paused and self._turn is not None and _goes_on(self._turn, turn):
            turn = replace(
                self._turn,
                text=f"{self._turn.text} {turn.text}",
                recognition=_joined(self._turn.recognition, turn.recognition),
            )
        self._turn = replace(turn, text=turn.text[: self._longest])
        self._reply = None
        return self._turn

    def reply(self, speech: "SpeechHandle", *, then: Callable[[], None] | None = None) -> None:
        """Set the reply. `then` is called when it is over, unless the turn continues."""
        self._reply = speech
        if then is not None:
            speech.add_done_callback(lambda _: None if _is_unheard(speech) else then())


def learner_of(message: "ChatMessage") -> Learner | None:
    """Return who said or typed a message, or None if the host has not marked it."""
    mark = message.extra.get(LEARNER_KEY)
    return mark if isinstance(mark, Learner) else None


def _recognition_of(message: "ChatMessage") -> Recognition:
    """Return the recognition that the host attached, or only LiveKit's confidence."""
    mark = message.extra.get(RECOGNITION_KEY)
    if isinstance(mark, Recognition):
        return mark
    return Recognition(confidence=message.transcript_confidence or None)


def _joined(first: Recognition, second: Recognition) -> Recognition:
    known = [it for it in (first.confidence, second.confidence) if it is not None]
    return Recognition(
        confidence=min(known, default=None),
        words=first.words + second.words if first.words and second.words else (),
        language=second.language or first.language,
    )


def _goes_on(turn: Turn[_Notes], later: Turn[_Notes]) -> bool:
    """Return whether a later message may continue a turn: the same learner spoke both."""
    one, other = turn.learner, later.learner
    same = (one and one.user_id) == (other and other.user_id)
    return same and not (turn.typed or later.typed)


def _is_unheard(reply: "SpeechHandle") -> bool:
    """Return whether the learner spoke before any of a reply was heard."""
    return reply.interrupted and not reply.chat_items
