"""In CI nothing is skipped; and nowhere does an example fail for being slow."""

import os
import sys
import traceback
from collections.abc import Generator, Iterator
from typing import TypeVar

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from loqua_host.dev.postgres import PostgresUnavailableError, run_postgres

# Hypothesis has a profile of its own for CI, which is patient, too, and derandomised.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("patient")

# A report parses the source. Where the collector has a traceback written meanwhile, which parses
# for its carets, both fail before Python 3.12 (gh-106905), and with the report all workers.
if sys.version_info < (3, 12):
    vars(traceback)["_extract_caret_anchors_from_line_segment"] = lambda _: None

# On real servers, in real time.
REAL = frozenset({"plugins/speech", "tests/acceptance", "tests/integration"})
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


class ByKind(LoadScopeScheduling):
    """Where tests run side by side: those that share servers in one process, file by file else.

    xdist's own groups need an attribute that pytest no longer has (xdist 3.8.0, pytest 9.2.0).
    """

    def _split_scope(self, nodeid: str) -> str:
        kind = _kind(nodeid)
        return kind if kind in REAL else nodeid.partition("::")[0]

    def mark_test_pending(self, item: str) -> None:
        """Try a test again whose process crashed, if it has a second try: it is in line already."""


def _kind(nodeid: str) -> str:
    return "/".join(nodeid.split("/")[:2])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByKind:
    """Distribute tests by what they share."""
    return ByKind(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try once more in CI what runs on real servers in real time, and print what failed at first.

    One stall of a shared machine in many minutes of sound is no defect; two in one test are.
    """
    if "CI" in os.environ:
        for item in items:
            if _kind(item.nodeid) in REAL:
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Yield the URL of a Postgres server that all tests share."""
    try:
        with run_postgres(durable=False) as url:
            yield url
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))


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
