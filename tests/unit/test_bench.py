"""The rules of the bench: participating systems, and storage and display of values."""

import math
from pathlib import Path

import pytest
from tests.bench import figures, report
from tests.bench.__main__ import takes_part
from tests.bench.charts import Series, draw
from tests.bench.figures import BARE, OURS, WITH_WEBHOOKS
from tests.bench.overheads import OVERHEADS
from tests.bench.scenarios import SCENARIOS

PAGE = report.PAGE.read_text()


@pytest.mark.parametrize("name", [*SCENARIOS, *OVERHEADS], ids=str)
def test_each_name_is_explained_on_the_page(name: str) -> None:
    """The page gives its purpose and its duration."""
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    ("side", "scenario", "expected"),
    [
        pytest.param(WITH_WEBHOOKS, "entering", True, id="webhooks matter to who enters"),
        pytest.param(WITH_WEBHOOKS, "rest", False, id="and not to a host at rest"),
        pytest.param(BARE, "real-time", True, id="the long one has livekit-agents"),
        pytest.param("openrtc, process", "real-time", False, id="and no other peer"),
        pytest.param(OURS, "real-time", True, id="beside the host"),
        pytest.param("openrtc, process", "more-lessons", False, id="nor has growth"),
    ],
)
def test_a_side_takes_part_where_it_makes_a_difference(
    side: str, scenario: str, expected: bool
) -> None:
    """Sides that would say the same twice are left out."""
    assert takes_part(side, scenario) is expected


def test_what_never_came_is_kept_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has no infinity."""
    monkeypatch.setattr(figures, "FILE", tmp_path / "results.json")
    kept = {"listening": {BARE: [0.25, math.inf], OURS: [0.5]}}
    figures.save(kept)
    assert figures.load() == kept


def test_tables_and_pictures_are_written_from_the_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the document remains."""
    page, readme = tmp_path / "page.md", tmp_path / "readme.md"
    marks = [
        f"<!-- bench: {name} -->\n\nold\n<!-- end -->"
        for name in ("machine", "hosts", "parts", "growth")
    ]
    page.write_text("before\n" + "\n".join(marks) + "\nafter\n")
    readme.write_text(marks[1])
    for name, value in (("PAGE", page), ("README", readme), ("IMAGES", tmp_path)):
        monkeypatch.setattr(report, name, value)
    report.write_report(
        {
            "listening": {BARE: [0.1, 0.3, 0.2], OURS: [0.3], WITH_WEBHOOKS: [0.2]},
            "job_killed_listening": {BARE: [math.inf], OURS: [0.4]},
            "carried": {BARE: [12], OURS: [15]},
            "ticking_p99": {OURS: [0.0123]},
            "hook_call": {"pluggy": [2e-6], OURS: [2e-5]},
            "talks/reply/6": {BARE: [0.7], OURS: [0.6]},
            "talks/reply/8": {BARE: [math.inf], OURS: [0.8]},
            "spoken/reply/3": {OURS: [math.inf]},
            "lessons/cores/1": {BARE: [math.inf], OURS: [0.1]},
        }
    )
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| 0.2 s (0.1 to 0.3) | 0.3 s | 0.2 s | 1.50 / 1.00 |" in written
    assert "| never | 0.4 s |" in written
    assert "12.3 ms" in written
    assert "20 µs" in written
    assert "![last word → first sound by lessons, p95](images/bench-talks-reply.svg)" in written
    assert "inf" not in (tmp_path / "bench-talks-reply.svg").read_text()
    assert BARE not in (tmp_path / "bench-lessons-cores.svg").read_text()
    assert not (tmp_path / "bench-spoken-reply.svg").exists()
    assert "| 0.2 s | 0.3 s | 0.2 s | 1.50 / 1.00 |" in readme.read_text()


def test_a_picture_shows_each_line_with_its_name() -> None:
    """Colours alone do not tell who is who."""
    picture = draw("cost", [Series("ours", [(1, [2]), (10, [4])]), Series("theirs", [(1, [3])])])
    assert ">ours<" in picture
    assert ">theirs<" in picture


def test_a_picture_shows_how_far_apart_the_values_are() -> None:
    """The line goes through the median of 1, 2 and 4, and a bar from 1 to 4."""
    picture = draw("cost", [Series("ours", [(1, [1, 2, 4])])])
    assert 'points="460.0,149.0"' in picture
    assert 'd="M460.0 206.5V34.0"' in picture
