"""The pytest plugin of loqua-host's test kit.

It loads in every pytest run of an environment with loqua-host. So it imports the host only when a
test uses it, and takes no files but `*.lesson.yaml`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loqua_host.testing import LessonResult
    from loqua_host.testing.files import LessonFile

SUFFIX = ".lesson.yaml"
"""How the names of files with a lesson's script end."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "LessonFile | None":
    """Take a lesson's script in YAML for a test."""
    if not file_path.name.endswith(SUFFIX):
        return None
    from loqua_host.testing.files import LessonFile  # noqa: PLC0415  # as said above

    return LessonFile.from_parent(parent, path=file_path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for real rooms."""
    parser.addoption(
        "--livekit",
        action="store_true",
        help="play lessons' scripts in real rooms: a LiveKit server, a host, and spoken words",
    )


@pytest.fixture
def play_lesson(pytestconfig: pytest.Config) -> "Callable[..., LessonResult]":
    """Return `loqua_host.testing.play_lesson`; with `--livekit`, it plays in real rooms."""
    from loqua_host.testing import play_lesson  # noqa: PLC0415  # as said above

    return partial(play_lesson, livekit=pytestconfig.getoption("livekit"))
