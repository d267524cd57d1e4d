"""The learner's received audio, as times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.dev.hearing import LEARNER, Hearing, LessonHeard, Spoke, TranscriptSegment


def hearing(*sounds: tuple[str, float, float]) -> Hearing:
    """Return a `Hearing` that settles after 1 s, waits for 10 s, and has received these sounds."""
    received = Hearing(on_heard=lambda _: None, settle=1.0, patience=10.0)
    for sound in sounds:
        received.sound(*sound)
    return received


def lesson(*sounds: tuple[str, float, float]) -> LessonHeard:
    """Return a lesson in which these sounds were heard."""
    return hearing(*sounds).summary("learner")


def test_sounds_without_a_word_stop_between_them_are_one_stretch_of_speech() -> None:
    """Frames of 20 ms become speech; a longer silence divides it."""
    summary = lesson(
        ("tutor", 1.0, 1.02), ("tutor", 1.02, 1.04), ("tutor", 1.2, 1.3), ("tutor", 2, 3)
    )
    assert summary.spoke == (Spoke("tutor", 1.0, 1.3), Spoke("tutor", 2, 3))


def test_two_speakers_at_once_are_kept_apart() -> None:
    """Speaking over each other does not merge the stretches."""
    summary = lesson(("tutor", 1, 2), (LEARNER, 1.5, 1.6), ("tutor", 2, 3))
    assert summary.spoke == (Spoke("tutor", 1, 3), Spoke(LEARNER, 1.5, 1.6))


def test_the_greeting_is_the_first_sound_of_a_tutor() -> None:
    """Speech of the learner before it does not count."""
    assert lesson((LEARNER, 1, 2), ("tutor", 3, 4)).join_to_greeting == 3
    assert lesson((LEARNER, 1, 2)).join_to_greeting is None


def test_each_line_has_the_latency_of_its_own_reply() -> None:
    """A line without an answer has none, even if the next one is answered."""
    summary = lesson(
        ("tutor", 0, 1), (LEARNER, 2, 3), ("tutor", 3.5, 5), (LEARNER, 6, 7), (LEARNER, 9, 10),
        ("tutor", 12, 13),
    )  # fmt: skip
    assert summary.reply_latencies == (0.5, None, 2)


def test_a_tutor_who_starts_too_early_replied_at_once() -> None:
    """Interrupting the learner counts as no latency, not as less than none."""
    assert lesson((LEARNER, 1, 3), ("tutor", 2, 5)).reply_latencies == (0.0,)


def test_the_longest_gap_is_between_sounds_of_tutors() -> None:
    """Silence in which the learner spoke is conversation; the rest is the tutor's gap."""
    summary = lesson(("tutor", 0, 1), (LEARNER, 3, 4), ("tutor", 5, 6), ("specialist", 7.5, 8))
    assert summary.longest_gap == 1.5
    assert lesson(("tutor", 0, 1)).longest_gap == 0


@given(st.lists(st.tuples(st.sampled_from(["tutor", LEARNER]), st.floats(0, 99), st.floats(0, 9))))
def test_no_order_of_sounds_yields_a_negative_time(
    sounds: list[tuple[str, float, float]],
) -> None:
    """Latencies and gaps are at least zero, with one latency a line, in any order."""
    summary = lesson(*((who, start, start + length) for who, start, length in sounds))
    assert summary.longest_gap >= 0
    assert all(latency is None or latency >= 0 for latency in summary.reply_latencies)
    lines = [spoke for spoke in summary.spoke if spoke.speaker == LEARNER]
    assert len(summary.reply_latencies) == len(lines)


@pytest.mark.parametrize(
    ("sounds", "busy", "active", "left"),
    [
        pytest.param([], False, 0.0, 8.0, id="nobody has spoken: patience since the line"),
        pytest.param([], False, 3.0, 9.0, id="a tutor came: patience since then"),
        pytest.param([("tutor", 1, 1.5)], False, 0.0, 8.0, id="what was before does not count"),
        pytest.param([("tutor", 3, 3.75)], False, 3.5, 0.75, id="it spoke: until it settles"),
        pytest.param([("tutor", 3, 3.5)], False, 3.75, 0.75, id="its sound may come later still"),
        pytest.param([("tutor", 1, 2.5)], False, 1.5, 8.5, id="the late end of what was before"),
        pytest.param([("tutor", 3, 3.75)], True, 3.5, 9.75, id="it says it is not done"),
        pytest.param([(LEARNER, 3, 3.75)], False, 0.0, 8.0, id="the learner itself is no tutor"),
    ],
)
def test_the_learner_waits_for_its_turn(
    sounds: list[tuple[str, float, float]], *, busy: bool, active: float, left: float
) -> None:
    """At second 4, having spoken until second 2, it still waits for as long as is due."""
    assert hearing(*sounds).still_to_wait(2.0, 4.0, busy=busy, active=active) == left


def test_who_came_for_a_specialist_does_not_answer_the_other_tutor() -> None:
    """The conversation tutor's greeting is heard, but it is not what the learner waits for."""
    received = hearing(("conversation", 3, 3.75))
    received.answers = "grammar"
    assert received.still_to_wait(2.0, 4.0, busy=False, active=3.0) == 9.0
    received.sound("grammar", 3.5, 4.0)
    assert received.still_to_wait(2.0, 4.0, busy=False, active=3.0) == 1.0
    assert [spoke.speaker for spoke in received.summary("learner").spoke] == [
        "conversation",
        "grammar",
    ]


def test_a_text_is_kept_and_handed_on() -> None:
    """The callback gets the very segment that the transcript keeps."""
    handed: list[TranscriptSegment] = []
    received = Hearing(on_heard=handed.append, settle=1.0, patience=10.0)
    received.text(TranscriptSegment(1.0, "tutor", "hola"))
    assert (
        tuple(handed)
        == received.summary("tutor").transcript
        == (TranscriptSegment(1.0, "tutor", "hola"),)
    )
