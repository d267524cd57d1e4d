"""Turns of a learner, joined across pauses."""

from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents.llm import ChatMessage

from loqua_host import Learner, Recognition, RecognizedWord, Turn, Turns
from loqua_host.contract.turns import LEARNER_KEY, RECOGNITION_KEY, TYPED_KEY


class TutorSpeech:
    """A tutor's speech: in progress, played, or interrupted before or after a word was played."""

    def __init__(self) -> None:
        self.interrupted = False
        self.chat_items: list[str] = []
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call it at the end."""
        self._callbacks.append(callback)

    def end(self, *, interrupted: bool, heard: bool) -> None:
        """End the speech."""
        self.interrupted, self.chat_items = interrupted, ["Muy bien."] if heard else []
        for callback in self._callbacks:
            callback(self)


def message(text: str, *, typed: bool = False, learner: Learner | None = None) -> ChatMessage:
    """Return what LiveKit hands to an agent, as the host marks it."""
    marks = {TYPED_KEY: True if typed else None, LEARNER_KEY: learner}
    extra = {mark: value for mark, value in marks.items() if value}
    return ChatMessage(role="user", content=[text], extra=extra)


def replied(turns: Turns[int], *, interrupted: bool, heard: bool) -> list[str]:
    """Play a reply, and return the effect of its end."""
    ended: list[str] = []
    speech: Any = TutorSpeech()
    turns.reply(speech, then=lambda: ended.append("ended"))
    speech.end(interrupted=interrupted, heard=heard)
    return ended


def test_who_goes_on_before_the_reply_is_heard_had_only_paused() -> None:
    """The whole is judged from the notes before it, however often they pause."""
    turns = Turns[int]()
    assert turns.add(message("Yo"), 0) == Turn("Yo", 0, typed=False)
    for notes, text, whole in ((1, "soy", "Yo soy"), (2, "Ana.", "Yo soy Ana.")):
        assert replied(turns, interrupted=True, heard=False) == []
        assert turns.add(message(text), notes) == Turn(whole, 0, typed=False)


@pytest.mark.parametrize("interrupted", [True, False])
def test_who_speaks_after_the_reply_was_heard_begins_another_turn(*, interrupted: bool) -> None:
    """Also who cuts it short."""
    turns = Turns[int]()
    turns.add(message("Hola."), 0)
    assert replied(turns, interrupted=interrupted, heard=True) == ["ended"]
    assert turns.add(message("Adiós."), 1) == Turn("Adiós.", 1, typed=False)


def test_what_got_no_reply_is_a_turn_of_its_own() -> None:
    """A reply of long ago says nothing about it."""
    turns = Turns[int]()
    turns.add(message("Hola."), 0)
    replied(turns, interrupted=True, heard=False)
    turns.add(message("Ayuda, por favor."), 1)
    assert turns.add(message("Gracias."), 2) == Turn("Gracias.", 2, typed=False)


@pytest.mark.parametrize("typed_first", [True, False])
def test_what_is_typed_is_no_part_of_what_is_said(*, typed_first: bool) -> None:
    """It is whole as it is."""
    turns = Turns[int]()
    turns.add(message("Hola", typed=typed_first), 0)
    replied(turns, interrupted=True, heard=False)
    assert turns.add(message("Ana", typed=not typed_first), 1) == Turn(
        "Ana", 1, typed=not typed_first
    )


def test_what_another_learner_says_is_a_turn_of_its_own() -> None:
    """Though they speak before the first has had their reply; who goes on has paused as ever."""
    turns = Turns[int]()
    maria, ana = (Learner(user_id=f"user_{name}", identity=name) for name in ("maria", "ana"))
    turns.add(message("Yo", learner=maria), 0)
    replied(turns, interrupted=True, heard=False)
    assert turns.add(message("Hola", learner=ana), 1) == Turn("Hola", 1, False, ana)  # a field
    replied(turns, interrupted=True, heard=False)
    returned = ana.model_copy(update={"identity": "ana-2"})
    assert turns.add(message("Maria", learner=returned), 2).text == "Hola Maria"


def test_outside_a_lesson_nobody_is_known() -> None:
    """A tutor's tests need not say who speaks."""
    assert Turns[int]().add(message("Hola."), 0).learner is None


def test_a_turn_is_cut_where_it_is_too_long() -> None:
    """However many pauses it has."""
    turns = Turns[int](longest=10)
    assert turns.add(message("x" * 100), 0).text == "x" * 10
    replied(turns, interrupted=True, heard=False)
    assert turns.add(message("y"), 0).text == "x" * 10
    assert Turns[int]().add(ChatMessage(role="user", content=[]), 0).text == ""


def test_a_turn_says_what_the_recogniser_says_about_it() -> None:
    """The host's mark; without one, the confidence that LiveKit keeps; of neither, nothing."""
    sure = Recognition(0.9, (RecognizedWord("Hola", 0.9),), "es")
    marked = message("Hola")
    marked.extra[RECOGNITION_KEY] = sure
    bare = message("Hola")
    bare.transcript_confidence = 0.7

    assert Turns[int]().add(marked, 0).recognition == sure
    assert Turns[int]().add(bare, 0).recognition == Recognition(0.7)
    assert Turns[int]().add(message("Hola"), 0).recognition == Recognition()


def test_a_turn_with_a_pause_is_as_sure_as_its_least_certain_part() -> None:
    """Its words are those of both parts, its language that of the last."""
    first, second = message("Me llamo"), message("Ana.")
    first.extra[RECOGNITION_KEY] = Recognition(0.9, (RecognizedWord("Me llamo"),), "es")
    second.extra[RECOGNITION_KEY] = Recognition(0.3, (RecognizedWord("Ana."),), "es")
    turns = Turns[int]()
    turns.add(first, 0)
    replied(turns, interrupted=True, heard=False)

    recognition = turns.add(second, 1).recognition

    assert recognition.confidence == 0.3
    assert [it.text for it in recognition.words] == ["Me llamo", "Ana."]
