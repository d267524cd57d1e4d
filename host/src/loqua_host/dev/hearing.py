"""A lesson's audio and transcripts as a learner receives them; without audio or network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

__all__ = ["LEARNER", "EndedBy", "Hearing", "LessonHeard", "Spoke", "TranscriptSegment"]

LEARNER = "learner"
"""The learner's name as a speaker; every other speaker is a tutor."""

EndedBy = Literal["learner", "tutor", "timeout"]
"""The end of the lesson: the learner after the last reply, the tutor's departure, or the limit."""

# Speech is one stretch of sound across the stops inside words, which are shorter than this.
WORD_STOP = 0.2


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """One finished segment of the transcript, at seconds since the learner began to join."""

    at: float
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Spoke:
    """One stretch of audible speech; times are seconds since the learner began to join."""

    speaker: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class LessonHeard:
    """A lesson from the learner's side: the transcript, and who was audible when.

    Attributes:
        transcript: Segments in the order of their arrival, as the tutor published them.
        spoke: Audible stretches of all speakers, by start.
        ended_by: Who ended the lesson.
    """

    transcript: tuple[TranscriptSegment, ...]
    spoke: tuple[Spoke, ...]
    ended_by: EndedBy

    @property
    def join_to_greeting(self) -> float | None:
        """Seconds from beginning to join to the tutor's first sound; None without one."""
        return min((spoke.start for spoke in self._by_tutors), default=None)

    @property
    def reply_latencies(self) -> tuple[float | None, ...]:
        """Per line: seconds from its last sound to the tutor's first after it.

        0.0 when the tutor began before the line was over, None when no reply came before
        the learner spoke again.
        """
        lines = [spoke for spoke in self.spoke if spoke.speaker == LEARNER]
        nexts = [*(line.start for line in lines[1:]), float("inf")]
        return tuple(
            self._latency(line.end, before) for line, before in zip(lines, nexts, strict=False)
        )

    @property
    def longest_gap(self) -> float:
        """Seconds of the longest silence between two sounds of tutors without the learner."""
        return max(
            (
                max(0.0, later.start - earlier.end)
                for earlier, later in pairwise(self.spoke)
                if LEARNER not in (earlier.speaker, later.speaker)
            ),
            default=0.0,
        )

    @property
    def _by_tutors(self) -> list[Spoke]:
        return [spoke for spoke in self.spoke if spoke.speaker != LEARNER]

    def _latency(self, after: float, before: float) -> float | None:
        starts = (s.start for s in self._by_tutors if s.end > after and s.start < before)
        first = min(starts, default=None)
        return None if first is None else max(0.0, first - after)


@dataclass(slots=True)
class Hearing:
    """The received audio and text; determines when it is the learner's turn to speak.

    Args:
        on_heard: Takes each segment of the transcript as it is finished.
        settle: Seconds of silence after which a tutor who spoke is taken to have finished.
        patience: Seconds without any sign of life after which the learner waits no longer.
        answers: The one speaker whom the learner answers; every tutor when None.
    """

    on_heard: Callable[[TranscriptSegment], None]
    settle: float
    patience: float
    answers: str | None = None
    transcript: list[TranscriptSegment] = field(default_factory=list)
    spoke: list[Spoke] = field(default_factory=list)

    def sound(self, speaker: str, start: float, end: float) -> None:
        """Take in that `speaker` was audible from `start` to `end`."""
        index = self._latest(speaker)
        if index is None or start - self.spoke[index].end > WORD_STOP:
            self.spoke.append(Spoke(speaker, start, end))
        else:
            self.spoke[index] = Spoke(speaker, self.spoke[index].start, end)

    def text(self, heard: TranscriptSegment) -> None:
        """Take in a finished segment of the transcript."""
        self.transcript.append(heard)
        self.on_heard(heard)

    def still_to_wait(self, since: float, now: float, *, busy: bool, active: float) -> float:
        """Return the seconds that the learner still waits if nothing else happens.

        A tutor's states and its sound arrive in no common order: a reply has both, and either may
        be late. The late end of what a tutor said before is no reply.

        Args:
            since: When the learner began to wait for a tutor to speak.
            now: The present.
            busy: Whether a tutor says of itself that it is not done.
            active: When a tutor last changed its state, came or went.
        """
        sounds = [spoke.end for spoke in self.spoke if self._counts(spoke.speaker)]
        latest = max(sounds, default=0.0)
        if min(latest, active) > since and not busy:
            return max(latest, active) + self.settle - now
        return max(latest, active, since) + self.patience - now

    def summary(self, ended_by: EndedBy) -> LessonHeard:
        """Return the lesson as it was heard until now."""
        spoke = sorted(self.spoke, key=lambda each: each.start)
        return LessonHeard(tuple(self.transcript), tuple(spoke), ended_by)

    def _counts(self, speaker: str) -> bool:
        return speaker != LEARNER and self.answers in (None, speaker)

    def _latest(self, speaker: str) -> int | None:
        indexes = reversed(range(len(self.spoke)))
        return next((i for i in indexes if self.spoke[i].speaker == speaker), None)
