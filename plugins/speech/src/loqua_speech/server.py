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
from pathlib import Path
from typing import NoReturn

import structlog
import uvicorn

from loqua_speech.app import create_app
from loqua_speech.errors import WeightsError
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper
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
        _serve(options)
    except (WeightsError, OSError) as error:
        raise SystemExit(f"loqua-speech: {error}") from error


def _serve(options: argparse.Namespace) -> None:
    began = time.monotonic()
    with socket.create_server((options.host, options.port)) as listener:
        threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
        whisper = Whisper(_weights(options.whisper_model), threads=threads)
        host, port = listener.getsockname()[:2]
        with Recogniser(whisper) as recogniser:
            server = uvicorn.Server(
                uvicorn.Config(
                    create_app(recogniser),
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=2,
                    timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                )
            )
            structlog.get_logger().info(
                "speech.ready", model=whisper.name, seconds=round(time.monotonic() - began, 2)
            )
            # The socket listens already: who connects now is served as soon as the loop runs.
            print(json.dumps({"url": f"http://{host}:{port}"}), flush=True)  # noqa: T201 the interface
            server.run(sockets=[listener])


def _weights(directory: str | None) -> Weights:
    return directory_weights(Path(directory)) if directory else packaged_weights()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="loqua-speech", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 for a free one")
    parser.add_argument(
        "--whisper-model",
        metavar="DIR",
        default=os.environ.get("LOQUA_WHISPER_MODEL"),
        help="directory of another Whisper model in CTranslate2's format [LOQUA_WHISPER_MODEL]",
    )
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="end when this process, the starter, dies"
    )
    return parser.parse_args(argv)


def _leave(number: int, frame: object) -> NoReturn:
    del number, frame
    raise SystemExit(0)


def _die_with(parent: int) -> None:
    """Have the kernel send SIGTERM when the thread that started this process ends (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        raise SystemExit(0)
