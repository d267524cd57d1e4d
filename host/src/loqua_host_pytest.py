"""The pytest plugin of loqua-host's test kit.

It loads in every pytest run of an environment with loqua-host. So it imports the host only when a
test uses it, and takes no files but `*.lesson.yaml`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loqua_host.testing import LessonResult, LessonScript
    from loqua_host.testing.files import LessonFile

SUFFIX = ".lesson.yaml"
"""How the names of files with a lesson's script end."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "LessonFile | None":
    """Take a lesson's script in YAML for a test."""
    if not file_path.name.endswith(SUFFIX):
        return None
    from loqua_host.testing.files import LessonFile  # noqa: PLC0415  # as said above

    return LessonFile.from_parent(parent, path=file_path)


@pytest.fixture
def play_lesson() -> "Callable[[LessonScript], LessonResult]":
    """Return `loqua_host.testing.play_lesson`, which plays a lesson's script."""
    from loqua_host.testing import play_lesson  # noqa: PLC0415  # as said above

    return play_lesson
