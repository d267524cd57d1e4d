"""The cost of a learner's camera to the job: `python -m tests.bench.video`.

A learner publishes a moving picture of 640 x 480 at 15 frames a second. Prints JSON: the processor
time of the tutor's side, in percent of a core, while it receives all video as a model that watches
by itself does, while it looks once in ten seconds, and while it does not look; and how long looks
take. The camera is encoded in another process.
"""

import asyncio
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median
from uuid import uuid4

import numpy as np
from livekit import api, rtc

from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.job.room.camera import Camera

WIDTH, HEIGHT, RATE = 640, 480, 15
SECONDS = 15.0
LOOKS = 2
"""Looks in this time."""


async def main() -> None:
    """Measure and print."""
    async with run_livekit(say=_print_progress) as server:
        name = uuid4().hex
        room = await enter(server.url, _token(server, name, "tutor"))
        published = asyncio.Event()
        room.on("track_published", lambda *_: published.set())
        learner = multiprocessing.get_context("spawn").Process(
            target=publish, args=(server.url, _token(server, name, "learner"))
        )
        learner.start()
        try:
            await published.wait()
            print(json.dumps(await measure(room), indent=1))  # noqa: T201  # the result
        finally:
            await room.disconnect()
            learner.terminate()
            learner.join()


async def measure(room: rtc.Room) -> dict[str, float]:
    """Return the processor time of each way to receive, and the seconds of a look."""
    camera, looks = Camera(room, "learner"), list[float]()

    async def look() -> None:
        for _ in range(LOOKS):
            began = time.monotonic()
            await camera.look()
            looks.append(time.monotonic() - began)
            await asyncio.sleep(max(0.0, SECONDS / LOOKS - looks[-1]))

    async def watch() -> None:
        subscribed = asyncio.get_running_loop().create_future()
        room.once("track_subscribed", lambda track, *_: subscribed.set_result(track))
        camera.subscribe_all()
        stream = rtc.VideoStream.from_track(track=await subscribed)
        began = time.monotonic()
        async for _ in stream:
            if time.monotonic() - began > SECONDS:
                break
        await stream.aclose()

    costs = {
        "no_look_percent": await cost(lambda: asyncio.sleep(SECONDS)),
        "look_percent": await cost(look),
        "all_video_percent": await cost(watch),
    }
    return {**costs, "look_seconds": round(median(looks), 2)}


async def cost(receive: Callable[[], Awaitable[None]]) -> float:
    """Return the processor time during a call, in percent of a core."""
    began, before = time.monotonic(), _processor_seconds()
    await receive()
    spent = _processor_seconds() - before
    return round(100 * spent / (time.monotonic() - began), 1)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def enter(url: str, token: str) -> rtc.Room:
    """Connect to the room, without any track."""
    room = rtc.Room()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    return room


def publish(url: str, token: str) -> None:
    """Publish the moving picture until the process is terminated."""
    asyncio.run(_publish(url, token))


async def _publish(url: str, token: str) -> None:
    room, source = await enter(url, token), rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
    await room.local_participant.publish_track(track, options)
    picture = np.random.default_rng(1).integers(0, 255, (HEIGHT // 16, WIDTH // 16, 4), np.uint8)
    picture = np.kron(picture, np.ones((16, 16, 1), np.uint8))
    while True:
        picture = np.roll(picture, 8, axis=1)
        frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture.tobytes())
        source.capture_frame(frame)
        await asyncio.sleep(1 / RATE)


def _token(server: LiveKitServer, name: str, identity: str) -> str:
    grants = api.VideoGrants(room_join=True, room=name)
    made = api.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    return made.with_grants(grants).to_jwt()


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main())
