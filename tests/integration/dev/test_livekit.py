"""The LiveKit dev server: started on loopback, and removed without a trace."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from aiohttp import web
from livekit import api

from loqua_host.dev.livekit import LiveKitServer, run_livekit


def servers() -> list[psutil.Process]:
    """Return the LiveKit servers that this process started."""
    return [it for it in psutil.Process().children(recursive=True) if _is_server(it)]


def _is_server(process: psutil.Process) -> bool:
    try:
        return Path(process.exe()).name.startswith("livekit-server")
    except psutil.NoSuchProcess:
        return False  # gone, or going, since it was listed


async def test_the_session_shares_a_server_that_answers_to_its_key(
    livekit_server: LiveKitServer,
) -> None:
    """A room that a test creates is there, on the server that the fixture gives."""
    name = f"room-{uuid4().hex}"
    async with api.LiveKitAPI(
        livekit_server.url, livekit_server.api_key, livekit_server.api_secret
    ) as livekit:
        await livekit.room.create_room(api.CreateRoomRequest(name=name))
        listed = await livekit.room.list_rooms(api.ListRoomsRequest(names=[name]))
    assert [room.name for room in listed.rooms] == [name]


async def test_secrets_show_neither_in_arguments_nor_in_the_repr() -> None:
    """A list of processes and a printed server contain no secret."""
    before = {process.pid for process in servers()}
    async with run_livekit() as server:
        (process,) = [each for each in servers() if each.pid not in before]
        assert server.api_secret not in " ".join(process.cmdline())
        assert server.api_secret not in repr(server)
        assert len(server.api_secret) >= 32


async def test_every_socket_of_the_server_is_on_loopback() -> None:
    """Other machines cannot reach the server, neither for signals nor for media."""
    before = {process.pid for process in servers()}
    async with run_livekit():
        (process,) = [each for each in servers() if each.pid not in before]
        addresses = {each.laddr.ip for each in process.net_connections(kind="inet")}
    assert addresses == {"127.0.0.1"}


async def test_the_server_is_gone_when_its_block_ends(tmp_path: Path) -> None:
    """Process and port are free even if the block fails; the log remains if asked for."""
    log = tmp_path / "livekit.log"
    with pytest.raises(ZeroDivisionError):
        async with run_livekit(log=log) as server:
            raise ZeroDivisionError
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert "starting LiveKit server" in log.read_text()


async def test_the_server_dies_with_a_parent_that_is_killed() -> None:
    """No server outlives a demo or test run, not even one that got SIGKILL."""
    script = (
        "import asyncio\n"
        "from loqua_host.dev.livekit import run_livekit\n"
        "async def main():\n"
        "    async with run_livekit() as server:\n"
        "        print(server.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout
    await parent.stdout.readline()
    (server,) = psutil.Process(parent.pid).children(recursive=True)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, [server], 30)
    assert (len(gone), alive) == (1, [])


async def test_the_webhook_hears_of_a_room() -> None:
    """A signed event reaches the URL that was asked for."""
    events: asyncio.Queue[str] = asyncio.Queue()
    signatures: list[str] = []

    async def take(request: web.Request) -> web.Response:
        signatures.append(request.headers["Authorization"])
        await events.put(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/webhook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    async with (
        run_livekit(webhook=f"http://{host}:{port}/webhook") as server,
        api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit,
    ):
        await livekit.room.create_room(api.CreateRoomRequest(name="webhook-room"))
        body = await asyncio.wait_for(events.get(), 30)
        verifier = api.TokenVerifier(server.api_key, server.api_secret)
        event = api.WebhookReceiver(verifier).receive(body, signatures[0])
    await runner.cleanup()
    assert (event.event, event.room.name) == ("room_started", "webhook-room")
