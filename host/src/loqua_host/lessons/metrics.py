"""Metrics of lessons: starts and ends, hooks, voice latency, engines, dispatches."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, get_args

from loqua_host.contract.handoff import Handback
from loqua_host.core.metrics import API_BUCKETS, ENDPOINTS
from loqua_host.core.tokens import TokenCause
from loqua_host.link.messages import ENGINE_KINDS, Hook, HookTimed, Stage, VoiceTimed
from loqua_host.observability.metrics import Instruments
from loqua_host.records.ledger import LessonRow
from loqua_host.records.session_record import Composed

__all__ = ["CALLBACK", "LessonMetrics", "StageTotal"]

READY_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60)
LESSON_BUCKETS: Final = (30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400)

HOOKS: Final = get_args(Hook)
STAGES: Final = get_args(Stage)
CALLBACK: Final = "callback"
"""The value of the label `hook` for the tutor's code outside its hooks, such as callbacks."""

HANDOFFS: Final = get_args(Handback.model_fields["outcome"].annotation)
GIVEN_UP: Final = ("crash_loop", "learner_left", "tutor_disabled")
CAUSES: Final = (
    *("already_taught", "bad_user_id", "crash_loop", "ledger_unusable", "livekit_unreachable"),
    *("no_learner", "no_user_id", "self_written_attributes"),
    *TokenCause,
    *(f"{endpoint}_refused" for endpoint in ENDPOINTS),
)
"""Known causes of refusals, whose series start at 0; others appear when they first occur."""


@dataclass(frozen=True, slots=True)
class StageTotal:
    """The total seconds of a stage of replies, and the number of replies."""

    seconds: float = 0.0
    replies: int = 0


class LessonMetrics:
    """The counters and histograms of lessons."""

    def __init__(self, instruments: Instruments) -> None:
        counter, histogram = instruments.counter, instruments.histogram
        self.opened = counter("lessons_opened", "Lessons begun", "tutor")
        self.resumed = counter("lessons_resumed", "Tutors brought back", "tutor")
        self.interrupted = counter("lessons_interrupted", "Tutors lost in a lesson", "tutor")
        self.refused = counter("lessons_refused", "Lessons not given, by cause", cause=CAUSES)
        self.without_api = counter("lessons_without_api", "Lessons begun unaided")
        self.given_up = counter("lessons_given_up", "Lessons not restored", "tutor", why=GIVEN_UP)
        self.ended = counter(
            "lessons_ended", "Lessons with a record", "tutor", outcome=("completed", "failed")
        )
        self.objectives = counter("lesson_objectives", "Ended lessons with an achievement", "tutor")
        self.ready_seconds = histogram(
            "lesson_ready_seconds", "From an accepted job to its tutor", READY_BUCKETS, "tutor"
        )
        self.restore_seconds = histogram(
            "lesson_restore_seconds", "From a lost tutor to the next", READY_BUCKETS, "tutor"
        )
        self.engagement_seconds = histogram(
            "lesson_engagement_seconds", "Time taught of ended lessons", LESSON_BUCKETS, "tutor"
        )
        self.voice_seconds = histogram(
            "voice_seconds", "What a reply's stages took", API_BUCKETS, "tutor", stage=STAGES
        )
        self.hook_seconds = histogram(
            "hook_seconds", "Time of one call of a tutor's hook", API_BUCKETS, "tutor", hook=HOOKS
        )
        self.hook_failures = counter(
            "hook_failures", "Calls of a hook that failed", "tutor", hook=(*HOOKS, CALLBACK)
        )
        self.engine_switches = counter(
            "engine_switches",
            "Lessons that another engine serves",
            "tutor",
            kind=ENGINE_KINDS,
            to=("first", "fallback"),
        )
        self.handoffs = counter("handoffs", "Calls for specialists", "tutor", outcome=HANDOFFS)
        self.tutors_called = counter("tutors_called", "Tutors called by us", "tutor")
        self.rooms_failures = counter("rooms_failures", "Rooms API failures")
        self.webhooks = counter("webhooks", "Webhooks that LiveKit signed")

    def observe_record(self, row: LessonRow, composed: Composed) -> None:
        """Count a lesson that has ended, its time taught and its achievements."""
        self.ended.labels(row.tutor, composed.outcome.value).inc()
        self.engagement_seconds.labels(row.tutor).observe(row.seconds)
        if composed.record.achievements:
            self.objectives.labels(row.tutor).inc()

    def observe_voice(self, tutor: str, timed: VoiceTimed) -> None:
        """Observe the measured stages of a reply."""
        for stage, seconds in timed.stages.items():
            self.voice_seconds.labels(tutor, stage).observe(seconds)

    def voice_totals(self) -> dict[str, dict[str, StageTotal]]:
        """Return the totals of each stage since the host's start, by tutor and stage."""
        read: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        for family in self.voice_seconds.collect():
            for sample in family.samples:
                name = sample.name.removeprefix(f"{family.name}_")
                read[sample.labels["tutor"], sample.labels["stage"], name] = sample.value
        return {
            tutor: {
                stage: StageTotal(read[tutor, stage, "sum"], int(read[tutor, stage, "count"]))
                for stage in STAGES
            }
            for tutor in {tutor for tutor, _, _ in read}
        }

    def observe_hook(self, tutor: str, timed: HookTimed) -> None:
        """Observe the duration of a hook call, and count its failure."""
        self.hook_seconds.labels(tutor, timed.hook).observe(timed.seconds)
        if timed.failed:
            self.hook_failures.labels(tutor, timed.hook).inc()
