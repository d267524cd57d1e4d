"""The number of pods that KEDA requests."""

import shutil
import subprocess
from itertools import groupby, pairwise
from pathlib import Path
from typing import get_args

import pytest
import yaml
from tests.bench.autoscaling import (
    LAG,
    START_SECONDS,
    STEP,
    Autoscaler,
    Moment,
    Policy,
    figures,
    simulate,
    weekday,
)
from tests.unit.kubernetes.manifests import build, find

from loqua_host.settings.resources import RESOURCES, Resources

POLICY = Policy(per_pod=10, least=2, most=50, window=300, down=1, grace=3060)


@pytest.mark.parametrize("overlay", get_args(Resources), ids=str)
def test_a_pod_is_for_the_lessons_of_its_class(overlay: Resources) -> None:
    """One pod a minute goes."""
    policy = Policy.read(build(overlay))
    assert policy.per_pod == RESOURCES[overlay].lessons[1]
    assert policy.down == 1


@pytest.mark.parametrize(
    ("live", "waiting", "teaching", "replicas"),
    [
        pytest.param(0, 0, 0, 2, id="nobody learns: the least"),
        pytest.param(30, 0, 4, 4, id="a pod's lessons as buffer"),
        pytest.param(31, 0, 4, 5, id="rounded up"),
        pytest.param(30, 5, 4, 5, id="those who wait count as lessons"),
        pytest.param(100, 0, 12, 12, id="a fifth as buffer"),
        pytest.param(20, 0, 14, 14, id="no fewer than teach"),
        pytest.param(900, 0, 90, 50, id="the most"),
    ],
)
def test_the_pods_are_those_of_the_formula(
    live: int, waiting: int, teaching: int, replicas: int
) -> None:
    """Lessons, waiting learners and buffer, by the lessons of a pod."""
    assert POLICY.propose(1, live, waiting, teaching) == replicas


def test_the_buffer_is_more_than_what_the_autoscaler_ignores() -> None:
    """It leaves differences up to a tenth as they are."""
    for pods in range(2, 50):
        most_left_alone = next(
            live for live in range(10 * pods, 0, -1) if POLICY.propose(pods, live, 0, 0) == pods
        )
        assert most_left_alone < 10 * pods


def test_pods_go_one_a_minute_and_only_after_five_quiet_minutes() -> None:
    """A lull between two classes removes none."""
    scaler, replicas = Autoscaler(POLICY), [20]
    for live in [180] * 20 + [10] * 60:
        replicas.append(scaler.decide(replicas[-1], live, 0, 0))
    falls = [step for step, (before, after) in enumerate(pairwise(replicas)) if after < before]
    assert falls[0] == 20 + 300 // STEP - 1
    assert {(b - a) * STEP for a, b in pairwise(falls)} == {60}
    assert all(before - after <= 1 for before, after in pairwise(replicas))


@pytest.fixture(scope="module")
def day() -> list[Moment]:
    """Return a working day with 300 lessons in the evening."""
    return simulate(POLICY, weekday(300))


def test_a_day_s_learners_wait_no_longer_than_a_pod_takes_to_start(day: list[Moment]) -> None:
    """The metrics' delay is included; a class that enters at once fills all pods."""
    runs = [len(list(run)) for waits, run in groupby(day, lambda it: it.waiting > 0) if waits]
    assert 0 < max(runs) * STEP <= START_SECONDS + (LAG + 1) * STEP


def test_no_pod_is_removed_while_all_teach(day: list[Moment]) -> None:
    """And the night has the least."""
    for step, (before, after) in enumerate(pairwise(day)):
        assert before.replicas - after.replicas <= 1
        seen = day[max(0, step - LAG)]
        assert after.replicas >= min(before.replicas, seen.teaching)
    assert day[-1].replicas < max(moment.replicas for moment in day) / 2
    found = figures(day, POLICY)
    assert found["least_replicas"] == POLICY.least
    assert found["lessons_cut_short"] <= 5


SERIES = {
    "loqua_lessons_live": [
        ({"pod": "a", "tutor": "conversation", "mode": "full"}, 8),
        ({"pod": "a", "tutor": "grammar", "mode": "full"}, 1),
        ({"pod": "b", "tutor": "conversation", "mode": "full"}, 40),
        ({"pod": "b", "tutor": "conversation", "mode": "mock"}, 20),
        ({"pod": "idle", "tutor": "conversation", "mode": "full"}, 0),
        ({"pod": "drains", "tutor": "conversation", "mode": "full"}, 3),
    ],
    "loqua_learners_waiting": [({"pod": "a"}, 4), ({"pod": "b"}, 5), ({"pod": "drains"}, 0)],
    "loqua_ready": [
        ({"pod": "a"}, 1),
        ({"pod": "b"}, 1),
        ({"pod": "idle"}, 1),
        ({"pod": "drains"}, 0),
    ],
}
"""What four pods of a class show: 72 lessons, and five learners whom more than one of them sees."""


@pytest.mark.parametrize("overlay", get_args(Resources), ids=str)
def test_prometheus_answers_each_query_as_the_formula_has_it(
    overlay: Resources, tmp_path: Path
) -> None:
    """Without the pods of other classes."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH; Debian has it in the package prometheus")
    policy = Policy.read(build(overlay))
    triggers = find(build(overlay), "ScaledObject")["spec"]["triggers"]
    queries = {trigger["name"]: trigger["metadata"]["query"] for trigger in triggers}
    expected = {"lessons": policy.lessons(72, 5), "teaching": 2}
    classes = [overlay, "another"]
    series = [
        {
            "series": f"{name}{{{_labels({**labels, 'loqua_app_resources': one})}}}",
            "values": f"{value}x4",
        }
        for one in classes
        for name, samples in SERIES.items()
        for labels, value in samples
    ]
    checks = [
        {
            "expr": query,
            "eval_time": "1m",
            "exp_samples": [{"labels": "{}", "value": expected[name]}],
        }
        for name, query in queries.items()
    ]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": checks}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}), "utf-8")
    done = subprocess.run(  # noqa: S603  # arguments of this test
        [program, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in labels.items())
