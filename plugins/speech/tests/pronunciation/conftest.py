"""Recordings of learners, with the experts' scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from loqua_speech.audio import Samples, decode

_FOLDER = Path(__file__).parent / "recordings"


@pytest.fixture(scope="session")
def scored() -> list[dict[str, Any]]:
    """Return what was said and experts' scores of it; `file` is the key of `recordings`."""
    scores: list[dict[str, Any]] = json.loads((_FOLDER / "scores.json").read_text())
    return scores


@pytest.fixture(scope="session")
def recordings(scored: list[dict[str, Any]]) -> dict[str, Samples]:
    """Return the sound of each file, at 16 kHz."""
    return {one["file"]: decode((_FOLDER / one["file"]).read_bytes()) for one in scored}
