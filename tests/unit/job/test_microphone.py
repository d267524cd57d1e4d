"""The choice of the learner's audio track, whatever its source is."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.inference.eot.base import DEFAULT_SAMPLE_RATE

from loqua_host.contract.learner import Learner
from loqua_host.link.messages import Returned

MICROPHONE = rtc.TrackSource.SOURCE_MICROPHONE
UNKNOWN = rtc.TrackSource.SOURCE_UNKNOWN
SCREEN = rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO


class MicrophoneTrack(rtc.RemoteAudioTrack):
    """A track."""

    def __init__(self) -> None:
        pass

    def __del__(self) -> None:
        """Release no handle, because there is none."""


def publish(job: Any, identity: str, sid: str, source: int) -> Any:
    """Publish a track of somebody in the room."""
    who = job.room.remote_participants[identity]
    publication = SimpleNamespace(sid=sid, track=MicrophoneTrack(), source=source)
    who.track_publications[sid] = publication
    job.room.emit("track_subscribed", publication.track, publication, who)
    return publication


async def begin(job: Any) -> "asyncio.Task[None]":
    """Begin a lesson."""
    running: asyncio.Task[None] = job.start()
    await asyncio.sleep(1)
    assert job.session.room_io.audio_input._accepted_sources == {MICROPHONE, UNKNOWN}
    return running


@pytest.mark.parametrize("source", [MICROPHONE, UNKNOWN], ids=["microphone", "unknown"])
async def test_a_learner_is_heard_who_publishes_with_a_source_or_without(
    job: Any, source: int
) -> None:
    """Before the lesson or in it."""
    running = await begin(job)
    publish(job, "maria", "TR_voice", source)
    assert job.session.room_io.audio_input.track == "TR_voice"
    job.lesson.end("done")
    await running


async def test_a_learner_is_heard_at_the_rate_of_the_detection_of_speech_and_turns(
    job: Any,
) -> None:
    """No frame is resampled, and each suits automatic gain control, which takes 10 ms at a time."""
    running = await begin(job)
    heard = job.session.started["room_options"].audio_input
    assert heard.sample_rate == DEFAULT_SAMPLE_RATE
    assert heard.frame_size_ms % 10 == 0
    job.lesson.end("done")
    await running


async def test_of_several_tracks_the_microphone_is_listened_to(job: Any) -> None:
    """Whichever came last; without it the other, and never what a screen plays."""
    publish(job, "maria", "TR_microphone", MICROPHONE)
    running = await begin(job)
    heard = job.session.room_io.audio_input
    assert heard.track == "TR_microphone"
    publish(job, "maria", "TR_screen", SCREEN)
    other = publish(job, "maria", "TR_other", UNKNOWN)
    assert heard.track == "TR_microphone"
    maria = job.room.remote_participants["maria"]
    gone = maria.track_publications["TR_microphone"]
    gone.track = None
    job.room.emit("track_unsubscribed", gone.track, gone, maria)
    assert heard.track == "TR_other"
    other.track = None
    job.room.emit("track_unsubscribed", None, other, maria)
    assert heard.track is None
    job.lesson.end("done")
    await running


async def test_a_learner_who_comes_back_as_another_participant_is_heard(job: Any) -> None:
    """By what they publish now."""
    running = await begin(job)
    publish(job, "maria", "TR_1", UNKNOWN)
    job.room.enter("maria-2")
    publish(job, "maria-2", "TR_2", UNKNOWN)
    job.link.incoming.put_nowait(Returned(learner=Learner(user_id="maria", identity="maria-2")))
    await asyncio.sleep(1)
    assert job.session.room_io.audio_input.track == "TR_2"
    job.lesson.end("done")
    await running
