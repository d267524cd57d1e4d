"""Learners who come and go during faults, without a loss."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(420)

ROOT = Path(__file__).parents[2]
SHORT = ("--minutes", "0.5", "--every", "3", "--seed", "7")


def test_each_fault_leaves_no_learner_alone_and_loses_no_record() -> None:
    """Each fault once; `python -m tests.bench.soak` does it for half an hour before a release."""
    command = (sys.executable, "-m", "tests.bench.soak", *SHORT)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout + done.stderr[-5000:]
