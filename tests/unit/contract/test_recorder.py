"""The learner's audio that belongs to an attempt."""

from livekit import rtc

from loqua_host import Recorder

FRAME = rtc.AudioFrame(bytes(4800), 24_000, 1, 2400)
"""A tenth of a second."""


def seconds(recording: tuple[rtc.AudioFrame, ...]) -> float:
    """Return how long a recording is."""
    return round(sum(frame.duration for frame in recording), 3)


def feed(recorder: Recorder, tenths: int) -> None:
    """Feed audio."""
    for _ in range(tenths):
        recorder.add(FRAME)


def test_a_try_is_what_was_said_and_a_second_before() -> None:
    """Speech is noticed after it began."""
    recorder = Recorder()
    feed(recorder, 50)
    recorder.begin()
    feed(recorder, 20)

    assert seconds(recorder.take(continued=False)) == 3.0


def test_where_nobody_spoke_there_is_nothing() -> None:
    """No frame."""
    recorder = Recorder()
    feed(recorder, 50)

    assert recorder.take(continued=False) == ()


def test_who_goes_on_after_a_pause_has_made_one_try() -> None:
    """Both parts are in the file."""
    recorder = Recorder()
    recorder.begin()
    feed(recorder, 10)
    recorder.take(continued=False)
    recorder.begin()
    feed(recorder, 5)

    assert seconds(recorder.take(continued=True)) == 1.5


def test_the_next_try_begins_anew() -> None:
    """It contains no sound of the try before."""
    recorder = Recorder()
    recorder.begin()
    feed(recorder, 10)
    recorder.take(continued=False)
    recorder.begin()
    feed(recorder, 5)

    assert seconds(recorder.take(continued=False)) == 0.5


def test_a_long_turn_keeps_its_end() -> None:
    """Minutes of speech take no more memory than half a minute."""
    recorder = Recorder(longest=2)
    recorder.begin()
    feed(recorder, 50)

    assert 1.8 < seconds(recorder.take(continued=False)) <= 2.0


def test_a_turn_can_be_looked_at_while_it_goes_on() -> None:
    """A tutor that works ahead in a pause takes nothing from it."""
    recorder = Recorder()
    feed(recorder, 5)
    before = recorder.peek()
    recorder.begin()
    feed(recorder, 5)

    assert (before, seconds(recorder.peek())) == ((), 1.0)
    assert seconds(recorder.take(continued=False)) == 1.0
    assert recorder.peek() == ()
