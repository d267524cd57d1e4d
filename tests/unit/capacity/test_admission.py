"""Admission: lessons start as long as the running ones are unaffected."""

from dataclasses import replace

import pytest

from loqua_host.capacity.admission import Cost, Headroom, Load, compute_headroom

GB = 10**9
COST = Cost(processors=0.25, memory=GB / 5)
CALM = Load(
    processors=4, busy=0.4, memory=8 * GB, memory_used=2 * GB, jobs=2, unseen=0, starting=0, late=0
)


@pytest.mark.parametrize(
    ("load", "room"),
    [
        pytest.param(CALM, Headroom(4, "starts"), id="few begin at once, however much is idle"),
        pytest.param(
            replace(CALM, starting=3, unseen=2.5), Headroom(1, "starts"), id="others begin"
        ),
        pytest.param(replace(CALM, busy=2.5), Headroom(2, "processors"), id="two more fit"),
        pytest.param(
            replace(CALM, busy=2.5, unseen=1), Headroom(1, "processors"), id="one is to come"
        ),
        pytest.param(replace(CALM, busy=2.8), Headroom(0, "processors"), id="they would wait"),
        pytest.param(
            replace(CALM, memory_used=6.9 * GB), Headroom(1, "memory"), id="little memory"
        ),
        pytest.param(replace(CALM, memory_used=7.9 * GB), Headroom(0, "memory"), id="no memory"),
        pytest.param(replace(CALM, busy=2.2, late=0.3), Headroom(0, "late"), id="lessons are late"),
        pytest.param(replace(CALM, late=9.0), Headroom(4, "starts"), id="late by their own fault"),
    ],
)
def test_room_is_what_there_is_the_least_of(load: Load, room: Headroom) -> None:
    """And none once those who are there would feel it."""
    assert compute_headroom(load, COST) == room


@pytest.mark.parametrize("load", [replace(CALM, busy=4), replace(CALM, memory_used=8 * GB)])
def test_a_host_without_lessons_takes_one_whatever_else_runs(load: Load) -> None:
    """A busy neighbour does not block the first lesson; it blocks a second one."""
    assert compute_headroom(replace(load, jobs=0), COST).lessons == 1
    assert compute_headroom(replace(load, jobs=1), COST).lessons == 0
