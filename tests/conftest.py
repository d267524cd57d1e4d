"""In CI nothing is skipped; and nowhere does an example fail for being slow."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

# Hypothesis has a profile of its own for CI, which is patient, too, and derandomised.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("patient")

HERE = Path(__file__).parent

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where tests run side by side, keep those that share a server in one process."""
    kind = item.path.relative_to(HERE).parts[0]
    if kind in ("acceptance", "integration"):
        item.add_marker(pytest.mark.xdist_group(kind))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge what a test skipped."""
    return _judge((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge what a whole module skipped."""
    return _judge((yield))


def _judge(report: Report) -> Report:
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
