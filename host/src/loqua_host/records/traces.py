"""Where the trace of a lesson begins, for whoever does something for it."""

from hashlib import blake2b

from opentelemetry import context, trace

__all__ = ["root_of", "under_lesson"]


def root_of(lesson: str) -> trace.SpanContext:
    """Give the ids of a lesson's trace and its first span.

    They follow from the lesson's own, so that each host knows them at any time.
    """
    ids = blake2b(lesson.encode(), digest_size=24).digest()
    return trace.SpanContext(
        int.from_bytes(ids[:16]),
        int.from_bytes(ids[16:]),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )


def under_lesson(lesson: str) -> context.Context:
    """Give the context in which spans belong to a lesson's trace."""
    return trace.set_span_in_context(trace.NonRecordingSpan(root_of(lesson)))
