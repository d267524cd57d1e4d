"""The share of a learner's weak sounds in the exercises, over many sessions.

Run `uv run python -m tests.bench.practice_plans [LEARNERS]`. Synthetic learners with three weak
sounds each take lessons of the pronunciation tutor every other day, without voice: what is said is
drawn, and scored with the errors that the scorer's model card reports. Each correction makes a
sound a little better. Prints JSON, by number of sessions: the share of the weak sounds that were
drilled, and the share of all drills that were for a weak sound.
"""

import asyncio
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from loqua_host import Assessment, Learner, LearnerContext, Lesson, PastSession
from loqua_speech.pronunciation.lexicon import PronunciationLexicon
from loqua_speech.pronunciation.phones import IPA
from loqua_tutor_pronunciation import PronunciationSettings, begin
from loqua_tutor_pronunciation.exercises import load_language
from loqua_tutor_pronunciation.practice import advance, current_text, is_done, report

LEARNERS, SESSIONS = 200, 12
APART = timedelta(days=2)
WEAK = 3
WRONG = 0.7
"""How often a weak sound is said wrong at first."""
BETTER = 0.85
"""What a correction leaves of that."""
FOUND = 0.45
"""Share of wrong sounds that the scorer is sure of."""
FALSE_ALARM = 0.014
"""Share of well spoken sentences in which a sound is corrected."""
UNRECOGNISED = 0.3
"""Share of the words with a wrong sound that the recogniser does not recognise."""

LANGUAGE = load_language("en")
LEXICON = PronunciationLexicon.packaged()


@dataclass(slots=True)
class SimulatedLearner:
    """A synthetic learner.

    Attributes:
        chance: Draws what happens.
        wrong: How often each weak sound is said wrong.
        drilled: Sounds drilled so far, with repetitions.
        history: The sessions so far: their topics.
    """

    chance: random.Random
    wrong: dict[str, float]
    drilled: list[str] = field(default_factory=list)
    history: list[tuple[str, ...]] = field(default_factory=list)

    def practise(self) -> None:
        """Take a lesson."""
        state = begin(self._lesson(), LANGUAGE)
        self.drilled += [it for exercise in state.exercises for it in exercise.sounds]
        while not is_done(state):
            heard, assessment = self._say(current_text(state))
            state = advance(state, LANGUAGE, heard, assessment)
            if state.finding and state.finding.expected in self.wrong:
                self.wrong[state.finding.expected] *= BETTER
        self.history.append(report(state, LANGUAGE, None).topics_covered)

    def _lesson(self) -> Lesson[PronunciationSettings]:
        now, sessions = datetime.now(UTC), len(self.history)
        past = tuple(
            PastSession(
                session_id=str(it), date=now - (sessions - it) * APART, topics_covered=topics
            )
            for it, topics in enumerate(self.history)
        )
        learner, context = Learner(user_id="1", identity="1"), LearnerContext(session_history=past)
        fields: dict[str, Any] = {"settings": PronunciationSettings(), "session": None}
        return Lesson(
            id="1", visit="1", room="1", learner=learner, context=context, language="en", **fields
        )

    def _say(self, text: str) -> tuple[str, Assessment]:
        """Return what is recognised of a sentence, and how it is scored."""
        heard, words = [], []
        number_of_sounds = sum(len(word.phones) for word in LEXICON.pronounce(text))
        for word in LEXICON.pronounce(text):
            sounds = [IPA[phone] for phone in word.phones]
            wrong = [self.chance.random() < self.wrong.get(sound, 0.0) for sound in sounds]
            if not any(wrong) or self.chance.random() >= UNRECOGNISED:
                heard.append(word.text)
            phonemes = [
                {
                    "Phoneme": sound,
                    "AccuracyScore": 80.0,
                    "Substitution": self._substitution(is_wrong, FALSE_ALARM / number_of_sounds),
                }
                for sound, is_wrong in zip(sounds, wrong, strict=True)
            ]
            words.append({"Word": word.text, "AccuracyScore": 80.0, "Phonemes": phonemes})
        return " ".join(heard), Assessment.model_validate({"PronScore": 80.0, "Words": words})

    def _substitution(self, is_wrong: bool, false_alarm: float) -> float:
        """Return how likely the scorer takes a sound for another one."""
        if not is_wrong:
            return 0.95 if self.chance.random() < false_alarm else 0.02
        return 0.95 if self.chance.random() < FOUND else 0.4


def speakers(number: int) -> Iterator[SimulatedLearner]:
    """Yield learners whose weak sounds are drawn from all that the language names."""
    for seed in range(number):
        chance = random.Random(seed)  # noqa: S311  # no secret
        weak = chance.sample(sorted(LANGUAGE.sounds), WEAK)
        yield SimulatedLearner(chance, dict.fromkeys(weak, WRONG))


async def main(learners: str = str(LEARNERS)) -> None:
    """Simulate and print."""
    everybody = list(speakers(int(learners)))
    report: dict[str, dict[str, float]] = {}
    for session in count(1):
        for speaker in everybody:
            speaker.practise()
        if session in {3, 6, SESSIONS}:
            report[f"after {session} sessions"] = {
                "weak sounds drilled": _share(
                    [it in speaker.drilled for speaker in everybody for it in speaker.wrong]
                ),
                "drills for a weak sound": _share(
                    [it in speaker.wrong for speaker in everybody for it in speaker.drilled]
                ),
                "drills a lesson": round(
                    sum(len(it.drilled) for it in everybody) / len(everybody) / session, 2
                ),
                "weak sounds said wrong": round(
                    sum(sum(it.wrong.values()) for it in everybody) / len(everybody) / WEAK, 3
                ),
            }
        if session == SESSIONS:
            break
    print(json.dumps(report, indent=1))  # noqa: T201  # the result


def _share(found: list[bool]) -> float:
    return round(sum(found) / max(len(found), 1), 3)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))  # lessons belong to a loop
