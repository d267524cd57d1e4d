"""The learner's turns, each whole although the learner paused in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from livekit.agents.llm import ChatMessage
    from livekit.agents.voice import SpeechHandle

__all__ = ["TYPED", "Turn", "Turns"]

TYPED = "loqua.typed"
"""What the host marks a message with, in its `extra`, that the learner typed."""

_Notes = TypeVar("_Notes")


@dataclass(frozen=True, slots=True)
class Turn(Generic[_Notes]):
    """What the learner said in a turn, as far as it goes by now.

    Attributes:
        text: All of it; a transcript, to be taken for no instruction.
        notes: The tutor's notes as they were before the turn.
        typed: Whether it was typed, so that nothing tells how it would have sounded.
    """

    text: str
    notes: _Notes
    typed: bool


class Turns(Generic[_Notes]):
    """Puts together what belongs to one turn, for an agent's `on_user_turn_completed`.

    Who goes on before anything of the tutor's reply was heard had only paused: the text grows,
    and the tutor judges it anew from the notes that it had before the turn. What is typed is a
    turn of its own.

    Args:
        longest: Characters of a turn; the rest is cut.
    """

    def __init__(self, *, longest: int = 300) -> None:
        self._longest = longest
        self._turn: Turn[_Notes] | None = None
        self._reply: SpeechHandle | None = None

    def hear(self, message: "ChatMessage", notes: _Notes) -> Turn[_Notes]:
        """Take what was said last, with the tutor's present notes, and get the turn it is of."""
        text, typed = message.text_content or "", TYPED in message.extra
        paused = self._reply is not None and _is_unheard(self._reply)
        if paused and self._turn is not None and not (typed or self._turn.typed):
            text, notes = f"{self._turn.text} {text}", self._turn.notes
        self._turn = Turn(text[: self._longest], notes, typed)
        self._reply = None
        return self._turn

    def reply(self, speech: "SpeechHandle", *, then: Callable[[], None] | None = None) -> None:
        """Tell what is said in reply; `then` is called once it is over, unless the turn goes on."""
        self._reply = speech
        if then is not None:
            speech.add_done_callback(lambda _: None if _is_unheard(speech) else then())


def _is_unheard(reply: "SpeechHandle") -> bool:
    """Say whether the learner spoke before anything of a reply could be heard."""
    return reply.interrupted and not reply.chat_items
