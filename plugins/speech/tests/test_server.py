"""The server's process: readiness, requests of livekit's classes, and its end."""

import asyncio
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError
from livekit.plugins import openai

from loqua_speech.server import _listener
from loqua_speech.stt import STT

pytestmark = pytest.mark.integration

_COMMAND = [sys.executable, "-m", "loqua_speech"]
_LIVEKITS_READ_TIMEOUT = 5.0  # of the clients that livekit-plugins-openai makes


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log file of the running server."""
    return tmp_path_factory.mktemp("speech") / "log"


@pytest.fixture
def transcribed(log: Path) -> Callable[[], int]:
    """Return a function that counts the turns that the running server has transcribed."""
    return lambda: log.read_text().count("speech.transcribed")


@pytest.fixture(scope="module")
def server(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for all tests."""
    with (
        log.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 our own program
            [*_COMMAND, "--parent", str(os.getpid())], stdout=subprocess.PIPE, stderr=errors
        ) as server,
    ):
        yield server
        server.terminate()


@pytest.fixture(scope="module")
def base_url(server: subprocess.Popen[bytes]) -> str:
    """Return the running server's address, as `base_url` wants it."""
    return f"{_ready(server)}/v1"


def _ready(server: subprocess.Popen[bytes]) -> str:
    assert server.stdout is not None
    url: str = json.loads(server.stdout.readline())["url"]
    return url


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFD", text.lower())
    return re.findall(r"[a-z']+", "".join(c for c in folded if not unicodedata.combining(c)))


async def _spoken(base_url: str, text: str, voice: str) -> rtc.AudioFrame:
    tts = openai.TTS(
        base_url=base_url, api_key="-", model="pico", voice=voice, response_format="pcm"
    )
    async with tts:
        return await tts.synthesize(text).collect()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("La problema es grande.", "es"),
        ("Mi amigo vive en Barcelona.", "es"),
        ("He is more taller than me.", "en"),
    ],
)
async def test_livekits_openai_classes_speak_and_hear_unchanged(
    base_url: str, text: str, language: str
) -> None:
    """Text to speech to text, through the classes that tutors are configured with."""
    stt = openai.STT(base_url=base_url, api_key="-", model="whisper-base", language=language)
    async with stt:
        event = await stt.recognize([await _spoken(base_url, text, language)])

    assert _words(event.alternatives[0].text) == _words(text)
    assert event.alternatives[0].language == language


async def test_the_recognition_of_this_server_says_how_sure_it_is(base_url: str) -> None:
    """Through the class of the development settings; without a server, an error of LiveKit's."""
    frame = await _spoken(base_url, "Mi amigo vive en Barcelona.", "es")
    async with STT(base_url=base_url, language="es") as recogniser:
        heard = (await recogniser.recognize([frame])).alternatives[0]

    assert heard.text.split() == heard.words == ["Mi", "amigo", "vive", "en", "Barcelona."]
    assert heard.confidence > 0.6
    async with STT(base_url="http://127.0.0.1:9/v1") as nowhere:
        with pytest.raises(APIConnectionError):
            await nowhere.recognize([frame], conn_options=APIConnectOptions(max_retry=0))


async def test_three_lessons_at_once_are_answered_in_time(
    base_url: str, server: subprocess.Popen[bytes]
) -> None:
    """The last in the queue still has its answer before livekit's clients give up.

    What counts is the work: how long that takes depends on what else the machine does.
    """
    frame = await _spoken(base_url, "Ayer fui al mercado con mi madre.", "es")
    stt = openai.STT(base_url=base_url, api_key="-", model="whisper-base", language="es")
    async with stt:
        before = _cpu_seconds(server)
        events = await asyncio.gather(*(stt.recognize([frame]) for _ in range(3)))
        worked = _cpu_seconds(server) - before
    assert len({event.alternatives[0].text for event in events}) == 1
    assert worked / min(2, len(os.sched_getaffinity(0))) < _LIVEKITS_READ_TIMEOUT


def _cpu_seconds(server: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system


async def test_an_unknown_voice_reaches_the_tutors_log_with_the_known_ones(base_url: str) -> None:
    """The error that livekit raises carries our message."""
    with pytest.raises(APIStatusError, match="no voice 'alloy'") as caught:
        await _spoken(base_url, "Hola.", "alloy")

    assert caught.value.status_code == 400


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_and_soon(ending: signal.Signals) -> None:
    """Exit code 0, within seconds, an idle connection notwithstanding; nothing more on stdout."""
    with (
        subprocess.Popen(_COMMAND, stdout=subprocess.PIPE) as server,  # noqa: S603 our own program
        httpx.Client(base_url=_ready(server)) as client,
    ):
        assert client.get("/health").json()["status"] == "ok"
        server.send_signal(ending)

        assert server.wait(timeout=30) == 0
        assert server.stdout is not None
        assert server.stdout.read() == b""


def test_the_server_ends_with_its_parent() -> None:
    """A killed host leaves no speech server behind."""
    parent = textwrap.dedent("""
        import os, subprocess, sys, time
        command = [sys.executable, "-m", "loqua_speech", "--parent", str(os.getpid())]
        server = subprocess.Popen(command, stdout=subprocess.PIPE)
        server.stdout.readline()
        print(server.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as host:  # noqa: S603 our own program
        assert host.stdout is not None
        ended = os.pidfd_open(int(host.stdout.readline()))  # readable once the server has ended
        host.kill()

        assert select.select([ended], [], [], 30)[0] == [ended]
    os.close(ended)


def test_numpy_has_no_threads_that_wait_for_each_other() -> None:
    """OpenBLAS starts them when it is imported: a score would take five times the work."""
    environ = {name: it for name, it in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    code = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    importing = (sys.executable, "-c", f"import loqua_speech.__main__; {code}")
    threads = subprocess.run(importing, env=environ, capture_output=True, text=True, check=True)  # noqa: S603 our own program

    assert threads.stdout == "1\n"


def test_no_sound_waits_for_an_acknowledgement() -> None:
    """Connections inherit it; without it, each piece may take 40 ms more."""
    with _listener("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_directory_without_a_model_stops_the_start(tmp_path: Path) -> None:
    """One line on standard error says what to fix."""
    environ = {**os.environ, "SPEECH_WHISPER_MODEL": str(tmp_path)}
    outcome = subprocess.run(_COMMAND, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 our own program

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"loqua-speech: no model.bin in {tmp_path}")


async def test_turns_whose_clients_went_away_are_not_transcribed(
    base_url: str, transcribed: Callable[[], int]
) -> None:
    """Of eight requests seven are dropped while they wait: the next one does not wait for them."""
    frame = await _spoken(base_url, "Ayer fui al mercado con mi madre.", "es")
    before = transcribed()

    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:

        async def transcribe() -> int:
            file = {"file": frame.to_wav_bytes()}
            form = {"model": "whisper-base", "language": "es"}
            return (await client.post("audio/transcriptions", files=file, data=form)).status_code

        posts = [asyncio.create_task(transcribe()) for _ in range(8)]
        await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        for post in posts:
            post.cancel()
        await asyncio.wait(posts)

        assert await transcribe() == 200
    assert transcribed() - before <= 4


def test_a_port_in_use_stops_the_start(base_url: str) -> None:
    """One line on standard error says which options to change."""
    port = base_url.removesuffix("/v1").rpartition(":")[2]
    outcome = subprocess.run(  # noqa: S603 our own program
        [*_COMMAND, "--port", port], capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 1
    assert outcome.stderr.startswith("loqua-speech: cannot listen: Address already in use")
    assert outcome.stderr.endswith("; change --host or --port\n")
