"""The speech server: OpenAI's audio endpoints, on the loopback interface, for all lessons."""

import argparse
import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import structlog
import uvicorn

from loqua_speech.app import create_app
from loqua_speech.errors import SpeechError
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper
from loqua_speech.rescoring import Rescorer
from loqua_speech.weights import Weights, directory_weights, packaged_weights

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MOST_THREADS = 4  # the model is too small for more
_KEEP_ALIVE_SECONDS = 130  # livekit's clients reuse a connection for 120 s


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; one JSON line on standard output says where."""
    options = _options(argv)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _leave)  # uvicorn raises them again once it has shut down
    if options.parent:
        _die_with(options.parent)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        with _listener(options.host, options.port) as listener:
            scorer = Scorer.packaged()
            rescorer = Rescorer(scorer.network, scorer.lexicon)
            whisper = _whisper(options.whisper_model, rescorer)
            # The head has learned from the packaged model's readings alone.
            reader = None if options.whisper_model else whisper.read
            _serve(listener, whisper, replace(scorer, reader=reader))
    except SpeechError as error:
        raise SystemExit(f"loqua-speech: {error}") from error


def _listener(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise SpeechError(f"cannot listen: {error.strerror}; change --host or --port") from error
    # asyncio sees to it on sockets alone that name their protocol, which this one does not: speech
    # would wait for the acknowledgement of what was sent before, which clients delay by 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _whisper(directory: str | None, rescorer: Rescorer) -> Whisper:
    began = time.monotonic()
    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    with _weights(directory) as weights:
        whisper = Whisper(weights, threads=threads, rescorer=rescorer)
    structlog.get_logger().info(
        "speech.ready", model=whisper.name, seconds=round(time.monotonic() - began, 2)
    )
    return whisper


def _weights(directory: str | None) -> AbstractContextManager[Weights]:
    return nullcontext(directory_weights(Path(directory))) if directory else packaged_weights()


def _serve(listener: socket.socket, whisper: Whisper, scorer: Scorer) -> None:
    with Recogniser(whisper) as recogniser, ScoringQueue(scorer) as scoring:
        config = uvicorn.Config(
            create_app(recogniser, scoring),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        # The socket listens already: who connects now is served as soon as the loop runs.
        host, port = listener.getsockname()
        print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)  # noqa: T201 the interface
        uvicorn.Server(config).run(sockets=[listener])


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loqua-speech", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 for a free one")
    parser.add_argument(
        "--whisper-model",
        metavar="DIR",
        default=os.environ.get("SPEECH_WHISPER_MODEL"),
        help="directory of another Whisper model in CTranslate2's format [SPEECH_WHISPER_MODEL]",
    )
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="end when this process, the starter, dies"
    )
    return parser.parse_args(argv)


def _leave(number: int, frame: object) -> NoReturn:
    del number, frame
    raise SystemExit(0)


def _die_with(parent: int) -> None:
    """Make the kernel send SIGTERM when the parent's thread ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        raise SystemExit(0)
