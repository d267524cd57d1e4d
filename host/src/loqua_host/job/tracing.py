"""The spans of a job, ours, LiveKit's and a tutor's own, kept until the host can be told.

Where they are exported to, and with which secret, is the host's alone to know.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from livekit.agents import telemetry
from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from loqua_host.link.messages import Spans
from loqua_host.link.spans import MOST_SPANS, SpanTold, tell_span

__all__ = ["SpanBuffer"]

KEPT: Final = 2048
"""Spans kept at most; the oldest go first."""

JOB: Final = "job_entrypoint"
"""LiveKit's span around a job, which ends after the link has (livekit-agents 1.8.9,
ipc/job_proc_lazy_main.py)."""

DISPATCH: Final = "job_dispatch"


class SpanBuffer(SpanProcessor):
    """Keeps the spans that end, until somebody drains it."""

    def __init__(self) -> None:
        self._ended: deque[ReadableSpan] = deque(maxlen=KEPT)
        self._job: Span | None = None
        self._dispatched = False
        self._wanted = True

    def gather(self) -> None:
        """Have all spans of this process come here, without what learners and tutors say."""
        provider = TracerProvider(ALWAYS_ON, Resource.get_empty(), shutdown_on_exit=False)
        telemetry.set_tracer_provider(provider, allow_pii=False)
        provider.add_span_processor(self)
        trace.set_tracer_provider(provider)

    def forget(self) -> None:
        """Drop what there is and keep nothing more: the lesson is not sampled."""
        self._wanted = False
        self._ended.clear()
        telemetry.set_tracer_provider(trace.NoOpTracerProvider())  # LiveKit's, which are nearly all

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """See which span is the job's."""
        del parent_context
        if span.name == JOB:
            self._job = span

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span."""
        if self._wanted:
            self._ended.append(span)

    def drain(self) -> Iterator[Spans]:
        """Give what has ended since, in messages to the host."""
        told = [self._tell(self._ended.popleft()) for _ in range(len(self._ended))]
        if self._job is not None and self._wanted and not self._dispatched:
            told.append(_dispatch(self._job))
            self._dispatched = True
        for first in range(0, len(told), MOST_SPANS):
            yield Spans(spans=tuple(told[first : first + MOST_SPANS]))

    def _tell(self, span: ReadableSpan) -> SpanTold:
        told = tell_span(span)
        if self._job is not None and told.parent == self._job.get_span_context().span_id:
            return told.model_copy(update={"parent": None})
        return told


def _dispatch(job: Span) -> SpanTold:
    """Give what of the job's span is over: the way from LiveKit's offer to the entrypoint."""
    told = tell_span(job)
    ended = max((event.at for event in told.events), default=told.begun)
    return told.model_copy(update={"name": DISPATCH, "ended": max(ended, told.begun)})
