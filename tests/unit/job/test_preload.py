"""The forkserver's preloaded modules and data."""

import subprocess
import sys

from loqua_host.job import preload

FIRST_WORD = f"""
import tracemalloc
import {preload.__name__}
from livekit.agents.tokenize import basic
tracemalloc.start()
basic.hyphenate_word("conversation")
print(tracemalloc.get_traced_memory()[1])
"""


def test_a_tutors_first_word_is_divided_by_rules_that_all_lessons_share() -> None:
    """A lesson of its own would take 2.5 MB for them, and stop to build them as it greets."""
    run = subprocess.run(  # noqa: S603  # ours
        (sys.executable, "-c", FIRST_WORD), capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 100_000
