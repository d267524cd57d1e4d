"""The learner's turns, each whole although the learner paused in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from .learner import Learner

if TYPE_CHECKING:
    from livekit.agents.llm import ChatMessage
    from livekit.agents.voice import SpeechHandle

__all__ = ["LEARNER_KEY", "TYPED_KEY", "Turn", "Turns", "learner_of"]

TYPED_KEY = "loqua.typed"
"""What the host marks a message with, in its `extra`, that the learner typed."""

LEARNER_KEY = "loqua.learner"
"""What the host marks each message of a learner's with, in its `extra`: the `Learner`."""

_Notes = TypeVar("_Notes")


@dataclass(frozen=True, slots=True)
class Turn(Generic[_Notes]):
    """What the learner said in a turn, as far as it goes by now.

    Attributes:
        text: All of it; a transcript, to be taken for no instruction.
        notes: The tutor's notes as they were before the turn.
        typed: Whether it was typed, so that nothing tells how it would have sounded.
        learner: Who said it: the lesson's learner or, with `audio_input: all`, perhaps another of
            `lesson.others`. Of several who spoke at once it is the loudest; where that cannot be
            told, the lesson's learner. None outside a lesson, as in a tutor's own tests.
    """

    text: str
    notes: _Notes
    typed: bool
    learner: Learner | None = None


class Turns(Generic[_Notes]):
    """Puts together what belongs to one turn, for an agent's `on_user_turn_completed`.

    Who goes on before anything of the tutor's reply was heard had only paused: the text grows,
    and the tutor judges it anew from the notes that it had before the turn. What is typed is a
    turn of its own, and so is what another learner says.

    Args:
        longest: Characters of a turn; the rest is cut.
    """

    def __init__(self, *, longest: int = 300) -> None:
        self._longest = longest
        self._turn: Turn[_Notes] | None = None
        self._reply: SpeechHandle | None = None

    def hear(self, message: "ChatMessage", notes: _Notes) -> Turn[_Notes]:
        """Take what was said last, with the tutor's present notes, and get the turn it is of."""
        turn = Turn(
            message.text_content or "", notes, TYPED_KEY in message.extra, learner_of(message)
        )
        paused = self._reply is not None and _is_unheard(self._reply)
        if paused and self._turn is not None and _goes_on(self._turn, turn):
            turn = replace(self._turn, text=f"{self._turn.text} {turn.text}")
        self._turn = replace(turn, text=turn.text[: self._longest])
        self._reply = None
        return self._turn

    def reply(self, speech: "SpeechHandle", *, then: Callable[[], None] | None = None) -> None:
        """Tell what is said in reply; `then` is called once it is over, unless the turn goes on."""
        self._reply = speech
        if then is not None:
            speech.add_done_callback(lambda _: None if _is_unheard(speech) else then())


def learner_of(message: "ChatMessage") -> Learner | None:
    """Return who said or typed a message, None if the host has not marked it."""
    mark = message.extra.get(LEARNER_KEY)
    return mark if isinstance(mark, Learner) else None


def _goes_on(turn: Turn[_Notes], later: Turn[_Notes]) -> bool:
    """Return whether what was said later may belong to a turn: the same learner speaks on."""
    one, other = turn.learner, later.learner
    same = (one and one.user_id) == (other and other.user_id)
    return same and not (turn.typed or later.typed)


def _is_unheard(reply: "SpeechHandle") -> bool:
    """Return whether the learner spoke before anything of a reply could be heard."""
    return reply.interrupted and not reply.chat_items
