"""The recognition model, loaded once, and synthesised speech to recognise."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from loqua_speech.app import create_app
from loqua_speech.audio import wav
from loqua_speech.pronunciation.queue import ScoringQueue
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recogniser import Recogniser
from loqua_speech.recognition import Whisper
from loqua_speech.rescoring import Rescorer
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights

Say = Callable[[str, str], bytes]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what loads the model, in this process or in a server, as an integration test."""
    if isinstance(item, pytest.Function) and {"whisper", "base_url"} & {*item.fixturenames}:
        item.add_marker("integration")


@pytest.fixture(scope="session")
def whisper(scorer: Scorer) -> Whisper:
    """Yield the packaged model."""
    rescorer = Rescorer(scorer.network, scorer.lexicon)
    with packaged_weights() as weights:
        return Whisper(weights, threads=2, rescorer=rescorer)


@pytest.fixture(scope="session")
def say() -> Say:
    """Return a function that speaks a text in a language; it returns a WAV file."""

    def spoken(text: str, language: str) -> bytes:
        return wav(b"".join(synthesize(text, voice=voice_for(language))), rate=SPEAKING_RATE)

    return spoken


@pytest.fixture
def recogniser(whisper: Whisper) -> Iterator[Recogniser]:
    """Yield a queue before the packaged model."""
    with Recogniser(whisper) as recogniser:
        yield recogniser


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """Yield the packaged pronunciation scorer."""
    return Scorer.packaged()


@pytest.fixture
def scoring(scorer: Scorer) -> Iterator[ScoringQueue]:
    """Yield a queue before the packaged scorer."""
    with ScoringQueue(scorer) as scoring:
        yield scoring


@pytest.fixture
async def client(recogniser: Recogniser, scoring: ScoringQueue) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application without a socket; a fault is a 500, as over one."""
    transport = httpx.ASGITransport(create_app(recogniser, scoring), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://speech") as client:
        yield client
