"""One trace a lesson, whichever jobs teach it and whatever they tell."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from loqua_host.lessons import traces
from loqua_host.lessons.traces import LESSON, UNENDED, Traces, adopt, take
from loqua_host.link.server import JobRef
from loqua_host.link.spans import SpanTold
from loqua_host.records.ledger import LessonRow
from loqua_host.records.traces import root_of, under_lesson

JOB = JobRef("job", "room", "grammar")
ROW = LessonRow(
    id="lesson",
    session_id="sess_1",
    visit="sess_1",
    user_id="maria",
    room="room",
    tutor="grammar",
    agent_id="loqua",
    opened_at=0.0,
    entry="",
)
ROOT = root_of("lesson")


class Link:
    """A link of a job."""

    def __init__(self, job: JobRef) -> None:
        self.job = job


class Exported(SpanProcessor):
    """Keeps what would be exported."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span."""
        self.spans.append(span)

    @property
    def names(self) -> list[str]:
        """Give the spans' names."""
        return [span.name for span in self.spans]

    def one(self, name: str) -> Any:
        """Give the one span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def exported() -> Exported:
    """Give what takes spans."""
    return Exported()


@pytest.fixture
def under_test(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Traces:
    """Give traces that are exported, and have lessons be traced there."""
    made = Traces(exported)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(made)
    monkeypatch.setattr(traces, "tracer", provider.get_tracer("test"))
    return made


def do(name: str) -> None:
    """Do something that is traced where it is done."""
    traces.tracer.start_span(name).end()


async def teach(
    under_test: Traces, attend: Callable[[Any], Awaitable[None]], job: JobRef = JOB
) -> None:
    """Accept a job, prepare for it, attend its link."""
    under_test.accepting(lambda _: do("token exchange"))(job)
    await asyncio.create_task(under_test.attending(attend)(Link(job)))  # type: ignore[arg-type]  # a fake


def told(name: str, span_id: int, parent: int | None = None) -> SpanTold:
    """Give a span as a job tells it."""
    return SpanTold(name=name, scope="livekit", id=span_id, parent=parent, begun=5, ended=7)


async def test_what_comes_before_the_lesson_is_known_is_the_lesson_s(
    under_test: Traces, exported: Exported
) -> None:
    """It waits until then."""

    async def attend(_link: Any) -> None:
        assert exported.names == []
        adopt(ROW)
        assert exported.names == ["token exchange"]
        do("ledger close_lesson")

    await teach(under_test, attend)
    assert exported.names == ["token exchange", "ledger close_lesson", LESSON]
    assert {span.context.trace_id for span in exported.spans if span.context} == {ROOT.trace_id}
    lesson = exported.one(LESSON)
    assert (lesson.context.span_id, lesson.parent) == (ROOT.span_id, None)
    assert exported.one("token exchange").parent.span_id == ROOT.span_id
    for span in exported.spans:
        assert span.attributes
        assert dict(span.attributes).items() >= {
            ("agent_id", "loqua"),
            ("session_id", "sess_1"),
            ("user_id", "maria"),
        }


async def test_a_resumed_lesson_goes_on_in_its_trace(
    under_test: Traces, exported: Exported
) -> None:
    """The second job's part is below the first one's, and has ids of its own."""

    async def attend(_link: Any) -> None:
        adopt(replace(ROW, restarts=1))

    await teach(under_test, attend)
    lesson = exported.one(LESSON)
    assert lesson.parent == ROOT
    assert lesson.context.trace_id == ROOT.trace_id
    assert lesson.context.span_id != ROOT.span_id
    assert exported.one("token exchange").parent.span_id == lesson.context.span_id


async def test_the_job_s_spans_join_whatever_they_claim(
    under_test: Traces, exported: Exported
) -> None:
    """Without a parent they are below the host's; tutor and lesson are the host's to say."""

    async def attend(_link: Any) -> None:
        adopt(ROW)
        lie = told("turn", 2, 1).model_copy(update={"attributes": {"user_id": "ana", "n": 1}})
        take([lie, told("agent_session", 1)])

    await teach(under_test, attend)
    session, turn = exported.one("agent_session"), exported.one("turn")
    assert session.parent.span_id == ROOT.span_id
    assert turn.parent.span_id == session.context.span_id
    assert session.context.trace_id == turn.context.trace_id == ROOT.trace_id
    assert turn.attributes["user_id"] == "maria"
    assert (turn.attributes["n"], turn.attributes["tutor"]) == (1, "grammar")
    assert turn.resource.attributes["service.name"].endswith("-job")
    assert (turn.start_time, turn.end_time) == (5, 7)


async def test_a_span_that_a_dead_job_never_ended_leaves_nobody_without_a_parent(
    under_test: Traces, exported: Exported
) -> None:
    """Something stands in its place."""

    async def attend(_link: Any) -> None:
        adopt(ROW)
        take([told("turn", 3, 2), told("turn", 4, 2)])

    await teach(under_test, attend)
    made_up = exported.one(UNENDED)
    assert made_up.context.span_id == 2
    assert made_up.parent.span_id == ROOT.span_id
    assert made_up.start_time == 5


async def test_a_job_that_tells_too_much_is_heard_no_more(
    under_test: Traces, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesson needs no more than that."""
    monkeypatch.setattr(traces, "TAKEN_SPANS", 3)

    async def attend(_link: Any) -> None:
        adopt(ROW)
        take(told("turn", number) for number in range(1, 6))
        take([told("turn", 9)])

    await teach(under_test, attend)
    assert exported.names.count("turn") == 3


async def test_a_job_without_a_lesson_has_a_trace_of_its_own(
    under_test: Traces, exported: Exported
) -> None:
    """One that was refused."""

    async def attend(_link: Any) -> None:
        do("learner verification")

    await teach(under_test, attend)
    assert set(exported.names) == {"token exchange", "learner verification", LESSON}
    [own] = {span.context.trace_id for span in exported.spans if span.context}
    assert own == exported.one(LESSON).context.trace_id != ROOT.trace_id


async def test_a_job_without_a_lesson_is_sampled_by_its_own_trace(
    under_test: Traces, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no other id to go by."""
    asked: list[int] = []

    def samples(trace_id: int) -> bool:
        asked.append(trace_id)
        return False

    monkeypatch.setattr(under_test, "_samples", samples)

    async def attend(_link: Any) -> None:
        do("learner verification")

    await teach(under_test, attend)
    assert exported.names == []
    assert len(set(asked)) == 1


async def test_a_job_that_never_comes_is_given_up(
    under_test: Traces, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done for it is told all the same."""
    monkeypatch.setattr(traces, "UNJOINED_SECONDS", 0.0)
    under_test.accepting(lambda _: do("token exchange"))(JOB)
    await asyncio.sleep(0.01)
    assert set(exported.names) == {"token exchange", LESSON}


async def test_a_lesson_that_is_foreseen_begins_its_trace_then(
    under_test: Traces, exported: Exported
) -> None:
    """The job that comes goes on with it, and another job for the room has its own."""

    async def attend(_link: Any) -> None:
        adopt(ROW)

    foresee = under_test.foreseeing(lambda *_: do("learner verification"))
    foresee("room", "grammar", "maria")
    foresee("room", "grammar", "maria")
    await teach(under_test, attend)
    await teach(under_test, attend, replace(JOB, job_id="another"))
    first, second = [span for span in exported.spans if span.name == LESSON]
    assert first.attributes
    assert first.attributes["job_id"] == "job"
    assert exported.names.count("learner verification") == 2
    assert exported.names.index("learner verification") < exported.names.index(LESSON)
    assert (second.attributes or {})["job_id"] == "another"


async def test_a_lesson_foreseen_in_vain_leaves_no_trace(
    under_test: Traces, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was taught."""
    monkeypatch.setattr(traces, "UNJOINED_SECONDS", 0.0)
    under_test.foreseeing(lambda *_: do("learner verification"))("room", "grammar", "maria")
    await asyncio.sleep(0.01)
    assert exported.names == []


async def test_what_is_done_after_the_lesson_finds_it(
    under_test: Traces, exported: Exported
) -> None:
    """A late refresh in the job's context; and delivery, at any time, by the lesson's id."""
    contexts: list[Any] = []

    async def attend(_link: Any) -> None:
        adopt(ROW)
        contexts.append(trace.get_current_span())

    await teach(under_test, attend)
    with trace.use_span(contexts[0]):
        do("token exchange again")
    with structlog.contextvars.bound_contextvars(session_id="sess_1"):
        traces.tracer.start_span("delivery record", under_lesson("lesson")).end()
    for name in ("token exchange again", "delivery record"):
        span = exported.one(name)
        assert (span.context.trace_id, span.parent.span_id) == (ROOT.trace_id, ROOT.span_id)
        assert span.attributes["session_id"] == "sess_1"


async def test_without_anybody_who_takes_spans_nothing_is_kept() -> None:
    """It costs a lesson nothing."""
    untraced = Traces()
    seen: list[str] = []

    async def attend(link: Any) -> None:
        adopt(ROW)
        take([told("turn", 1)])
        seen.append(link.job.job_id)

    await teach(untraced, attend)
    untraced.foreseeing(lambda *coming: seen.extend(coming))("room", "grammar", "maria")
    assert seen == ["job", "room", "grammar", "maria"]
    assert not untraced.on


async def test_a_long_lesson_does_not_keep_the_traces_of_those_after_it(
    under_test: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many past jobs are kept as there is room for, whichever began first."""
    monkeypatch.setattr(traces, "KEPT_JOBS", 3)
    long, over = asyncio.Event(), asyncio.Event()

    async def attend_long(_link: Any) -> None:
        long.set()
        await over.wait()

    async def attend(_link: Any) -> None:
        adopt(ROW)

    teaching = asyncio.create_task(teach(under_test, attend_long))
    await long.wait()
    for number in range(10):
        await teach(under_test, attend, JobRef(f"job{number}", "room", "grammar"))
    assert len(under_test._jobs) <= 3
    over.set()
    await teaching
