"""The names that published tutors import, frozen for the whole of 1.x."""

import warnings

import pytest
from pluggy import HookspecMarker
from tests.unit.contract.public import SNAPSHOT, render_face

from loqua_host import Lesson, Progress, Tick
from loqua_host.contract import hookspecs
from loqua_host.registry.loader import load_plugin


def test_every_name_keeps_its_arguments_its_defaults_and_what_it_returns() -> None:
    """An addition is a minor version, a removal or change a major one.

    After a decision, `uv run python -m tests.unit.contract.public` writes the snapshot.
    """
    assert render_face().splitlines() == SNAPSHOT.read_text("utf-8").splitlines()


def test_the_snapshot_has_the_hooks_objects_down_to_their_attributes() -> None:
    """And the kit's steps, whose arguments tutors' tests write."""
    face = set(SNAPSHOT.read_text("utf-8").splitlines())
    assert {"[loqua_host]", "[loqua_host.events]", "[loqua_host.testing]"} <= face
    assert "Lesson.end(reason: str) -> None" in face
    assert "TimeRunningOut.seconds: float" in face
    assert "TutorSays.text: str = ''" in face


def test_an_author_is_warned_of_a_hook_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """By pluggy's `warn_on_impl`, where the plugin is loaded: in the author's own tests."""

    async def on_progress_tick(lesson: Lesson, tick: Tick) -> Progress | None:
        """Represent a hook that will be removed."""

    goes = HookspecMarker(hookspecs.PROJECT)(warn_on_impl=DeprecationWarning("write on_tick"))
    monkeypatch.setattr(hookspecs, "on_progress_tick", goes(on_progress_tick))
    with pytest.warns(DeprecationWarning, match="write on_tick"):
        load_plugin(plugin="grammar")


def test_nothing_goes_in_this_version() -> None:
    """The tutors of this repository load without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_plugin(plugin="grammar")
