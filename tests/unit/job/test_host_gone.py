"""A job process whose host has died, in LiveKit's own main loop."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from livekit.agents.ipc import channel, proc_client, proto
from livekit.agents.utils.aio import ChanReceiver, duplex_unix

from loqua_host.livekit_internals import leave_before_loop_ends
from loqua_host.system.tasks import uncancelled

APOLOGY_SECONDS = 0.2


@pytest.fixture(autouse=True)
def livekit() -> Iterator[None]:
    """Put LiveKit back as it was."""
    before = proc_client._ProcClient._monitor_task
    yield
    proc_client._ProcClient._monitor_task = before  # type: ignore[method-assign]


class SlowEntrypoint:
    """A job's entry point with a slow shutdown that has started when the host is gone.

    Attributes:
        leaving: Set when the farewell begins.
        left: Whether it came to its end.
    """

    def __init__(self) -> None:
        self.leaving = threading.Event()
        self.left = False

    async def main(self, _messages: ChanReceiver[channel.Message]) -> None:
        """Run the entry point as LiveKit does: the task that awaits it is not the one it is."""
        asyncio.create_task(uncancelled(self._leave()), name="job_user_entrypoint")  # noqa: RUF006
        await asyncio.Event().wait()

    async def _leave(self) -> None:
        self.leaving.set()
        await asyncio.sleep(APOLOGY_SECONDS)
        self.left = True


def test_a_job_leaves_its_room_before_livekit_cancels_what_is_left() -> None:
    """Or its tutor would stay with the learner, and neither hear nor speak."""
    leave_before_loop_ends()
    lesson = SlowEntrypoint()
    host, job = socket.socketpair()
    client = proc_client._ProcClient(job, None, lambda *_: None, lesson.main)
    of_host = duplex_unix._Duplex.open(host)
    channel.send_message(of_host, proto.InitializeRequest(ping_timeout=1))
    client.initialize()
    channel.recv_message(of_host, proto.IPC_MESSAGES)

    def kill_host() -> None:
        lesson.leaving.wait()
        host.close()

    killer = threading.Thread(target=kill_host)
    killer.start()
    client.run()
    killer.join()
    assert lesson.left
