"""Pytest configuration: marks, distribution over worker processes, and no skips in CI."""

import asyncio
import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from loqua_host.dev.livekit_binary import LiveKitUnavailableError, livekit_binary
from loqua_host.dev.postgres import PostgresUnavailableError, run_postgres

# A third of Hypothesis' own number of examples, which took a fifth of the unit tests' time; in CI
# the same ones each time, elsewhere new ones.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=30,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")

# A report parses the source. Where the collector has a traceback written meanwhile, which parses
# for its carets, both fail before Python 3.12 (gh-106905), and with the report all workers.
if sys.version_info < (3, 12):
    vars(traceback)["_extract_caret_anchors_from_line_segment"] = lambda _: None

# Several processes import what one of them has compiled, even if Python stores no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# As the speech server and jobs have it: the scorer's matrices are small, and threads of OpenBLAS
# would spend most of the processor time waiting for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What is imported and collected stays: looking for garbage in it, again and again, takes half of
# the time that collecting tests takes. See `pytest_collection_finish`.
gc.disable()

WORKERS = ("voice", *["integration"] * 3, "unit")
"""What each process runs first: voices, one at a time, beside what waits and what computes.

Only the last imports and runs unit tests; it helps with the others when it has none left.
"""

WITHOUT_VOICE = frozenset(
    f"tests/acceptance/test_{name}.py"
    for name in (
        *("demo_stopped", "extras", "fresh_machine", "memory", "new_tutor", "ops_page"),
        *("playground", "readme", "reload", "soak", "start_refusals", "typed_tutors"),
    )
)
"""The acceptance tests in which no learner speaks, or only for a moment."""

LONGEST = (
    "tests/acceptance/test_playground.py",
    "tests/integration/host/test_handoff_between_hosts.py",
    "tests/integration/host/test_lifecycle.py",
    "tests/integration/dev/test_learner.py",
    "tests/integration/core/test_faults.py",
    "tests/acceptance/test_soak.py",
    "tests/acceptance/test_new_tutor.py",
    "tests/acceptance/test_typed_tutors.py",
)
"""Files that begin first: one that begins last is waited for by all. Those that compute all the
time begin after those that wait, as they slow down one another."""

LAST_VOICES = "tests/acceptance/test_demo.py"
"""In it three learners speak at once, and their records are exact: it waits until the suite's first
minutes are over, which are its busiest."""

NICE = 10
"""By how much the other processes stand back for voices, which are heard in real time.

It counts among processes of one session. Where `kernel.sched_autogroup_enabled` is 1, unless a
container has a CPU group of its own, hosts, which have sessions of their own, all weigh the same.
"""

AHEAD = 2
"""With how many tests left a worker is given more: it runs one only once it knows the next."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _kind(nodeid: str) -> str:
    """Return which tests a test belongs to, by its directory."""
    top, _, rest = nodeid.partition("/")
    kind = rest.partition("/")[0]
    return kind if top == "tests" else "unit"


def _needs(nodeid: str) -> str:
    """Return what kind of worker a test is for: one that speaks, one that waits, or any."""
    kind, file = _kind(nodeid), nodeid.partition("::")[0]
    if kind == "acceptance":
        return "integration" if file in WITHOUT_VOICE else "voice"
    return kind


def _rank(file: str) -> int:
    """Return which file begins before which."""
    return LONGEST.index(file) if file in LONGEST else len(LONGEST) + (file == LAST_VOICES)


class ByKind(LoadScopeScheduling):
    """A scheduler that gives each worker files of its own kind first, then files of other kinds.

    A worker is given what it has collected, and waits for no other that collects. xdist's own
    groups need an attribute that pytest no longer has (xdist 3.8.0, pytest 9.2.0).
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        """Start without workers and tests."""
        super().__init__(config, log)
        self._files: dict[WorkerController, frozenset[str]] = {}
        self._known: set[str] = set()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take note of what a worker has collected, which others may not have, and start it."""
        self.registered_collections[node] = list(collection)
        self._files[node] = frozenset(map(self._split_scope, collection))
        for nodeid in collection:
            if nodeid not in self._known:
                self.workqueue.setdefault(self._split_scope(nodeid), {})[nodeid] = False
        self._known.update(collection)
        self.schedule()

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _reschedule(self, node: WorkerController) -> None:
        if node not in self._files or self._pending_of(self.assigned_work[node]) > AHEAD:
            return
        if self._next_scope(node) is not None:
            super()._reschedule(node)
        elif self.collection_is_completed:
            node.shutdown()

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope = self._next_scope(node)
        if scope is not None:
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    def _next_scope(self, node: WorkerController) -> str | None:
        """Return what a worker runs next: voices one at a time, as they need a core."""
        kinds = {_worker_kind(one.gateway.id) for one in self.nodes}
        own = _worker_kind(node.gateway.id)
        speaks = own == "voice" or "voice" not in kinds
        order = (own, "unit", "integration", "voice")
        known = (it for it in self.workqueue if it in self._files[node])
        allowed = (it for it in known if speaks or _needs(it) != "voice")
        return min(allowed, key=lambda it: (order.index(_needs(it)), _rank(it)), default=None)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the test that crashed its process, if any, and run those after it elsewhere.

        xdist would run it again, too, and it might crash one process after another.
        """
        units = self.assigned_work[node]
        left = [(unit, it) for unit in units.values() for it, done in unit.items() if not done]
        if not left:
            return super().remove_node(node)
        unit, crashed = left[0]
        unit[crashed] = True
        self.assigned_work[node] = {
            it: unit for it, unit in units.items() if not all(unit.values())
        }
        super().remove_node(node)
        return crashed

    def schedule(self) -> None:
        """Assign two files to each process: with one, it would wait after its last test."""
        for node in [*self.nodes, *self.nodes]:
            self._reschedule(node)


def _worker_kind(worker: str) -> str:
    """Return a worker's kind; one that replaces another that has crashed takes what is left."""
    number = int(worker.removeprefix("gw"))
    return WORKERS[number] if number < len(WORKERS) else "unit"


def pytest_configure(config: pytest.Config) -> None:
    """Leave the processor to the workers with the voices first."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and not _only_units(config) and _worker_kind(worker) != "voice":
        os.nice(NICE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Have LiveKit's server built before tests that need it; unit tests run meanwhile."""
    if _waits(session.config):
        with contextlib.suppress(LiveKitUnavailableError):  # tests say so
            asyncio.run(livekit_binary(print))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByKind:
    """Distribute tests by kind."""
    return ByKind(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run what is named in this process, and all tests in more than there are cores: some wait."""
    if config.args_source is config.ArgsSource.ARGS:
        return 0
    return len(os.sched_getaffinity(0)) + 1 if _only_units(config) else len(WORKERS)


def _only_units(config: pytest.Config) -> bool:
    """Return whether no test that waits for something is wanted."""
    return "not integration" in config.option.markexpr


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what is not for this process as a whole: its imports take seconds."""
    if collection_path.parent == config.rootpath / "tests":
        kind = collection_path.name
    elif collection_path.parent == config.rootpath / "plugins":
        kind = "unit"
    else:
        return None
    return True if f"not {kind}" in config.option.markexpr or _is_left(kind, config) else None


def _is_left(kind: str, config: pytest.Config) -> bool:
    """Return whether this process leaves tests of a kind to the process of unit tests."""
    count = os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    return kind == "unit" and _waits(config) and count == str(len(WORKERS))


def _waits(config: pytest.Config) -> bool:
    """Return whether this is a process for tests that speak or wait first."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    return bool(worker) and not _only_units(config) and _worker_kind(str(worker)) != "unit"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark integration and acceptance tests by their directory."""
    kind = _kind(item.nodeid)
    if kind in ("integration", "acceptance"):
        item.add_marker(kind)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a failed test on real servers once more in CI, after its first failure is printed."""
    if "CI" in os.environ:
        for item in items:
            if {"integration", "acceptance"} & {mark.name for mark in item.iter_markers()}:
                item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but only what tests leave."""
    gc.freeze()
    gc.enable()


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
