"""The distribution of tests by conftest.py: order, and crashed processes."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.remote import Producer

FILES = ("tests/unit/test_one.py", "tests/integration/test_two.py", "tests/unit/test_three.py")
TESTS = [f"{file}::test_{name}" for file in FILES for name in ("a", "b", "c")]


class Node:
    """A worker process, from the scheduler's side."""

    shutting_down = False

    def __init__(self, name: str, tests: Sequence[str] = TESTS) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.tests = tests
        self.sent: list[str] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Take tests."""
        self.sent += [self.tests[index] for index in indices]

    def shutdown(self) -> None:
        """Take no more."""
        self.shutting_down = True


@pytest.fixture
def conftest(request: pytest.FixtureRequest) -> Any:
    """Return the conftest.py of all tests."""
    return request.config.pluginmanager.get_plugin(str(request.config.rootpath / "conftest.py"))


@pytest.fixture
def scheduler(conftest: Any) -> Any:
    """Return the scheduler of these tests, for two processes."""
    option = SimpleNamespace(markexpr="not integration", loadscopereorder=False)
    config = SimpleNamespace(option=option, getvalue=lambda _: ["popen", "popen"])
    return conftest.ByKind(config, Producer("scheduler", enabled=False))


def run(scheduler: Any, *nodes: Node) -> None:
    """Run all tests, in turns."""
    done = dict.fromkeys(nodes, 0)
    while not scheduler.tests_finished:
        for node in nodes:
            for test in node.sent[done[node] :][:1]:
                scheduler.mark_test_complete(node, node.tests.index(test))
                done[node] += 1
    for node in nodes:
        for test in node.sent[done[node] :]:
            scheduler.mark_test_complete(node, node.tests.index(test))


@pytest.mark.parametrize("done", [0, 2, 3, 5], ids=["at once", "at a file's last", "2nd", "last"])
def test_a_crash_fails_the_running_test_and_the_others_run(scheduler: Any, done: int) -> None:
    """None of them twice, also where the file of the crashed test has no other left."""
    crashing, other = Node("gw0"), Node("gw1")
    for node in (crashing, other):
        scheduler.add_node(node)
        scheduler.add_node_collection(node, TESTS)
    scheduler.schedule()
    for number in range(done):
        scheduler.mark_test_complete(crashing, TESTS.index(crashing.sent[number]))
    before, running = crashing.sent[:done], crashing.sent[done]
    assert scheduler.remove_node(crashing) == running
    replacing = Node("gw2")
    scheduler.add_node(replacing)
    scheduler.add_node_collection(replacing, TESTS)
    scheduler.schedule()
    for node in (other, replacing):
        for test in node.sent:
            scheduler.mark_test_complete(node, TESTS.index(test))
    assert sorted([*before, running, *other.sent, *replacing.sent]) == sorted(TESTS)
    assert scheduler.tests_finished


def test_a_process_runs_only_what_it_has_collected(scheduler: Any) -> None:
    """Each test runs once, and none in a process that does not know it."""
    some = [test for test in TESTS if "integration" in test]
    nodes = [Node("gw0", some), Node("gw1")]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, node.tests)
    run(scheduler, *nodes)
    assert [node.sent for node in nodes] == [some, [test for test in TESTS if test not in some]]


def test_a_process_that_has_collected_starts_and_ends_after_all_have(scheduler: Any) -> None:
    """Others may find what it helps with."""
    early, late = Node("gw0"), Node("gw1")
    for node in (early, late):
        scheduler.add_node(node)
    scheduler.add_node_collection(early, TESTS)
    for number in range(len(TESTS)):
        scheduler.mark_test_complete(early, TESTS.index(early.sent[number]))
    assert not early.shutting_down
    assert not scheduler.tests_finished
    scheduler.add_node_collection(late, TESTS)
    assert late.sent == []
    assert scheduler.tests_finished


def test_a_process_in_place_of_a_crashed_one_runs_nothing_before_it_has_collected(
    scheduler: Any,
) -> None:
    """Until then others take what is left."""
    crashing, other, replacing = Node("gw0"), Node("gw1"), Node("gw2")
    for node in (crashing, other):
        scheduler.add_node(node)
        scheduler.add_node_collection(node, TESTS)
    scheduler.schedule()
    scheduler.add_node(replacing)
    crashed = scheduler.remove_node(crashing)
    run(scheduler, other)
    assert not replacing.sent
    assert not replacing.shutting_down
    assert sorted([crashed, *other.sent]) == sorted(TESTS)


@pytest.mark.parametrize(
    ("worker", "count", "left"),
    [
        pytest.param(0, None, ["tests/unit", "plugins/grammar"], id="voice"),
        pytest.param(1, None, ["tests/unit", "plugins/grammar"], id="integration"),
        pytest.param(-1, None, [], id="unit"),
        pytest.param(0, 2, [], id="fewer processes"),
    ],
)
def test_one_process_of_all_collects_unit_tests(
    conftest: Any, monkeypatch: pytest.MonkeyPatch, worker: int, count: int | None, left: list[str]
) -> None:
    """The others leave their directories out, unless nobody else would collect them."""
    numbers = range(len(conftest.WORKERS))
    monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{numbers[worker]}")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(count or len(numbers)))
    config = SimpleNamespace(rootpath=Path("/"), option=SimpleNamespace(markexpr=""))
    places = ("tests/acceptance", "tests/integration", "tests/unit", "plugins/grammar")
    assert [it for it in places if conftest.pytest_ignore_collect(Path("/", it), config)] == left


def test_every_file_that_is_named_is_there(conftest: Any, pytestconfig: pytest.Config) -> None:
    """A file that is moved is renamed there, too."""
    named = {*conftest.LONGEST, *conftest.WITHOUT_VOICE}
    assert [name for name in named if not (pytestconfig.rootpath / name).is_file()] == []
