"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm
from livekit.agents.voice import SpeechHandle
from loqua_host import Lesson, LessonReport, Progress, Turns, Word

from .deck import Deck, is_said
from .settings import Settings

__all__ = ["VocabularyAgent"]


class VocabularyAgent(Agent):
    """Ask for words by their hints until the learner knows them all.

    Attributes:
        deck: The words, and what the learner knows of them.
    """

    def __init__(self, lesson: Lesson[Settings]) -> None:
        super().__init__(instructions="", llm=None)  # no language model: the hints are enough
        self.lesson = lesson
        self._hints = {one.word: one for one in lesson.settings.words}
        self.deck = self._restored() or Deck.of(self._hints)
        self._turns: Turns[Deck] = Turns()

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Judge an answer, and ask the next word."""
        turn = self._turns.add(new_message, self.deck)
        if not self.lesson.teaches(turn.learner) or not turn.notes.waiting:
            return
        word, settings = turn.notes.waiting[0].word, self.lesson.settings
        right = is_said(word, turn.text)
        self.deck = turn.notes.answered(right=right, repeats=settings.repeats)
        self.lesson.state["deck"] = self.deck.model_dump(mode="json")
        judged = settings.right if right else settings.wrong.replace("{word}", word)
        then = None if self.deck.waiting else self._end
        self._turns.reply(self.ask(judged), then=then)

    def ask(self, before: str = "") -> SpeechHandle:
        """Ask the next word, or say goodbye if there is none.

        Args:
            before: What to say before it.
        """
        settings = self.lesson.settings
        if self.deck.waiting:
            hint = self._hints[self.deck.waiting[0].word].hint
            text = settings.ask.replace("{hint}", hint)
        else:
            text = settings.goodbye
        return self.session.say(f"{before} {text}".strip())

    def progress(self) -> Progress:
        """Return the progress so far."""
        return Progress(words_learned=len(self.deck.known), phrases_practiced=self.deck.answers)

    def report(self) -> LessonReport:
        """Return the report: the known words, and those to practise."""
        known = (self._hints[card.word] for card in self.deck.known)
        language = self.lesson.language
        return LessonReport(
            progress=self.progress(),
            topics_covered=("vocabulary",),
            new_vocabulary=tuple(
                Word(word=one.word, translation=one.translation, language=language) for one in known
            ),
            recommendations=tuple(f"Practise: {word}" for word in self.deck.missed),
        )

    def _restored(self) -> Deck | None:
        """Return the deck of a resumed lesson, if its words are still those of the settings."""
        written = self.lesson.state.get("deck")
        deck = Deck.model_validate(written) if written else None
        if deck is None or {card.word for card in (*deck.waiting, *deck.known)} != set(self._hints):
            return None
        return deck

    def _end(self) -> None:
        self.lesson.end("all_words_known")
