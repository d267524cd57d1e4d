"""The time to wait for a learner to continue, chosen by the words so far.

LiveKit's turn detector uses sound only. Words add information: "I live in a" is unfinished, and the
answer that the tutor expects is complete.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from livekit.agents import AgentSession, UserInputTranscribedEvent, UserStateChangedEvent

__all__ = ["MORE_FOLLOWS", "UNEXPECTED", "following_words", "is_unfinished", "likely_end_factor"]

UNFINISHED: Final = {
    "de": "der die das den dem des ein eine einen einem einer kein keine keinen und oder aber weil "
    "dass wenn mit von zu zum zur in im am an auf für mein meine meinen dein deine deinen sein "
    "seine ihr ihre sehr äh ähm",
    "en": "a an the every such some other another and or but because if to of in on at by for from "
    "with into about than my your his her its our their is are am was were has had i'm you're he's "
    "she's it's we're they're i've will would could should might may must he she we they i who how "
    "very just only always really actually get like want wants need needs make makes not don't "
    "doesn't uh um",
    "es": "el la los las un una unos unas algún ningún cada cualquier gran buen mal primer tercer "
    "de del a al en con por para sin sobre y e o u pero porque que si cuando mi mis tu tus su sus "
    "nuestro nuestra muy tan me se nos es son soy somos estoy era he has ha hemos han quisiera "
    "prefiero eh em",
    "fr": "le la les un une des ce cet cette ces chaque quelques plusieurs du de à au aux en dans "
    "avec pour sans sur et ou mais que qui parce si quand mon ma mes ton ta tes son sa ses notre "
    "votre très est sont suis je j'ai c'est il elle on ne me te se "
    "voudrais vais euh",
    "it": "il lo la i gli le un una uno ogni qualche gran buon bel di del della a al alla da dal "
    "in nel nella con per su e o ma perché che se quando mio mia tuo tua suo sua molto mi ti è "
    "sono ho hanno vorrei ehm",
    "pt": "o a os as um uma cada de do da em no na com por para sem e ou mas porque que se quando "
    "meu minha teu tua seu sua muito é são sou eu ele ela gostaria hum",
}
"""Words by language that a sentence hardly ever ends with."""

ADJECTIVES: Final = (
    "bad beautiful big black blue cold different difficult easy famous favourite favorite free "
    "friendly full funny good great green happy hard high hot important interesting large little "
    "long low nice new old perfect poor pretty quick quiet real red rich sad sharp short slow "
    "small special strange true warm white young"
)
"""English words that a noun follows if an indefinite article is before them."""

OPENINGS: Final = {
    "de": "ich glaube, ich denke, meiner meinung nach",
    "en": "i think, i mean, in my opinion, well, it, you",
    "es": "creo, pienso, en mi opinión, pues",
    "fr": "je pense, je crois, à mon avis, alors",
    "it": "penso, credo, secondo me, allora",
    "pt": "acho, na minha opinião",
}
"""Words by language with which a sentence begins, and that are none alone."""

_WHOLE: Final = re.compile(
    r".*\?|(yes|no|yeah)\W+(i|you|he|she|it|we|they|there) [\w']+( not)?\W*|(eso|así) es\W*",
    re.IGNORECASE,
)
"""What may end with any word: questions ("Where are you from?"), answers such as "Yes, it is."."""

DEPENDENT: Final = {
    "de": "wenn als während obwohl falls bevor nachdem",
    "en": "when if while although unless whenever",
    "es": "cuando si aunque mientras",
    "fr": "quand si s'il s'ils lorsque",
    "it": "quando se mentre appena",
    "pt": "quando se enquanto embora",
}
"""Words by language that begin a clause which a main clause follows. Not those that give a reason:
"because I like it" is an answer."""

LONGEST_CLAUSE: Final = 6
"""Maximum words of a clause; a longer text contains the main clause."""

MORE_FOLLOWS: Final = 1.5
"""Factor of the longer delay after words that more must follow. Nobody who is done waits for it."""

UNEXPECTED: Final = 1.45
"""Factor of the shorter delay after words that the tutor does not expect. Learners pause in the
middle of sentences of their own, and half of these pauses sound like ends."""

REPLIES: Final = {
    "de": "ja nein doch danke bitte hallo okay tschüss vielleicht genau gut",
    "en": "yes no yeah okay ok sure thanks you please hello hi bye goodbye maybe right sorry "
    "exactly fine great",
    "es": "sí no gracias favor hola vale bueno claro adiós luego quizás perdón exacto bien",
    "fr": "oui non si merci plaît bonjour salut accord revoir bien pardon peut-être voilà",
    "it": "sì no grazie favore ciao bene certo forse esatto scusi arrivederci prego",
    "pt": "sim não obrigado obrigada favor olá bom certo talvez tchau exato",
}
"""Last words by language of one or two words that are a reply to almost anything."""

BEGINNING: Final = 2
"""Maximum words that may well be only the beginning of a sentence, such as "He looked"."""

BEGUN: Final = 2.0
"""Factor of the shorter delay after so few words that the tutor does not expect: nothing tells
whether more follows. Two thirds of the pauses that ended turns followed such words."""

_WORDS: Final = {language: frozenset(words.split()) for language, words in UNFINISHED.items()}
_DEPENDENT: Final = {language: frozenset(words.split()) for language, words in DEPENDENT.items()}
_ADJECTIVES: Final = frozenset(ADJECTIVES.split())
_REPLIES: Final = {language: frozenset(words.split()) for language, words in REPLIES.items()}
_OPENINGS: Final = {language: frozenset(it.split(", ")) for language, it in OPENINGS.items()}
_BROKEN_OFF: Final = ("...", "…", ",", "-")
_MARKS: Final = ".,;:!?…\"'- "


def is_unfinished(language: str, text: str) -> bool:
    """Return whether more must follow these words.

    Args:
        language: ISO 639-1 code.
        text: What was recognised.
    """
    if text.rstrip().endswith(_BROKEN_OFF):
        return True
    words = [word.strip(_MARKS) for word in text.casefold().split()]
    if not words or _WHOLE.fullmatch(text.strip()):
        return False
    return (
        words[-1] in _WORDS.get(language, ())
        or " ".join(words) in _OPENINGS.get(language, ())
        or (language == "en" and _lacks_noun(words))
        or _is_dependent(language, text, words)
    )


def likely_end_factor(language: str, text: str) -> float:
    """Return the factor of the shorter delay after words that the tutor does not expect.

    Args:
        language: ISO 639-1 code.
        text: What was recognised, with which a sentence may end.
    """
    words = [word.strip(_MARKS) for word in text.casefold().split()]
    replies = _REPLIES.get(language)
    if replies is None or len(words) > BEGINNING or text.rstrip().endswith("?"):
        return UNEXPECTED
    return BEGUN if replies.isdisjoint(words[-1:]) else UNEXPECTED


def _lacks_noun(words: list[str]) -> bool:
    """Return whether English words end with an adjective of a noun to come: "a beautiful"."""
    return len(words) > 1 and words[-1] in _ADJECTIVES and words[-2] in {"a", "an"}


def _is_dependent(language: str, text: str, words: list[str]) -> bool:
    """Return whether the words are a clause that another must follow: "when I came home"."""
    is_one_clause = len(words) <= LONGEST_CLAUSE and "," not in text
    return is_one_clause and words[0] in _DEPENDENT.get(language, ())


@contextmanager
def following_words(
    session: "AgentSession[Any]", language: str, is_expected: Callable[[str], bool]
) -> Iterator[None]:
    """Adapt a session's delays to the words of each utterance, for the duration of a block.

    Args:
        session: The voice session.
        language: The language taught.
        is_expected: Whether words are an answer after which nothing has to follow.
    """
    waiting = _Waiting(session, language, is_expected)
    session.on("user_input_transcribed", waiting.on_words)
    session.on("user_state_changed", waiting.on_user)
    try:
        yield
    finally:
        session.off("user_input_transcribed", waiting.on_words)
        session.off("user_state_changed", waiting.on_user)


@dataclass(slots=True)
class _Waiting:
    session: "AgentSession[Any]"
    language: str
    is_expected: Callable[[str], bool]
    usual: tuple[float, float] | None = field(default=None, init=False)

    def on_words(self, event: UserInputTranscribedEvent) -> None:
        """Choose how long to wait after an utterance.

        LiveKit decides when to end the turn right after it has emitted this event.
        """
        if not event.is_final:
            return
        self._restore()
        shortest, longest = self._delays
        if is_unfinished(self.language, event.transcript):
            self._wait(longest * MORE_FOLLOWS, longest * MORE_FOLLOWS)
        elif self.is_expected(event.transcript):
            self._wait(shortest, shortest)
        else:
            factor = likely_end_factor(self.language, event.transcript)
            self._wait(min(shortest * factor, longest), longest)

    def on_user(self, event: UserStateChangedEvent) -> None:
        """Wait as usual for the next utterance."""
        if event.new_state == "speaking":
            self._restore()

    @property
    def _delays(self) -> tuple[float, float]:
        options = self.session.options.endpointing
        return options["min_delay"], options["max_delay"]

    def _wait(self, shortest: float, longest: float) -> None:
        self.usual = self._delays
        self._set(shortest, longest)

    def _restore(self) -> None:
        if self.usual is not None:
            self._set(*self.usual)
            self.usual = None

    def _set(self, shortest: float, longest: float) -> None:
        self.session.update_options(endpointing_opts={"min_delay": shortest, "max_delay": longest})
