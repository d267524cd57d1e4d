"""The memory of a process per lesson, compared with the README's figures."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(300)

BENCH = ("-m", "tests.bench.memory")


def test_a_host_with_three_tutors_needs_less_than_half_of_three_hosts() -> None:
    """The bench measures both sides in one run and judges their ratio."""
    done = subprocess.run([sys.executable, *BENCH], capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout + done.stderr
