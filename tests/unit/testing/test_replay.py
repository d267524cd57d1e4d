"""A captured lesson: its contents, and its replay with a changed tutor."""

import stat
from pathlib import Path
from typing import Any

import pytest

from loqua_host.contract.learner import LearnerContext, PastSession, Preferences
from loqua_host.records.captures import CapturedJob, Captures
from loqua_host.records.encryption import KeyRing
from loqua_host.settings.tutors import TutorSettings
from loqua_host.testing import (
    KillJob,
    Leaves,
    LessonFailedError,
    LessonScript,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    Types,
    play_lesson,
    player,
)
from loqua_host.testing.replay import replayed

ECHO = "tests.unit.testing.lesson_tutors:Echo"
SHOUT = "tests.unit.testing.lesson_tutors:Shout"
CONSENT = LearnerContext(
    preferences=Preferences(native_language="german", replay_consent=True),
    session_history=(PastSession(session_id="sess_secret", topics_covered=("food",)),),
)
STEPS = (
    Says("Soy Maria, maria@example.com, 030 123 456."),
    StaysSilent(45),
    Says("Ayuda."),
    TutorCalls("grammar-expert", seconds=3),
    KillJob(),
    Leaves(),
    Returns(),
    Types("Adiós."),
)


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Captures:
    """Return where the kit's host captures lessons."""
    directory = tmp_path / "captures"
    kept = player.SETTINGS | {"ledger": {"captures": directory}}
    monkeypatch.setattr(player, "SETTINGS", kept)
    return Captures(directory, KeyRing())


def teach(context: LearnerContext = CONSENT, **fields: Any) -> None:
    """Teach the lesson of which there is a capture."""
    play_lesson(LessonScript(agent=ECHO, context=context, steps=STEPS, **fields))


def again(parts: list[CapturedJob], agent: str) -> LessonScript:
    """Return the lesson's script for an agent."""
    tutor = {"name": "echo", "worker_type": "automatic", "agent": agent}
    return LessonScript.model_validate(replayed(parts, TutorSettings.model_validate(tutor)))


def test_the_same_tutor_answers_as_it_did(captures: Captures) -> None:
    """After silence, a specialist, a crash and a return, too."""
    teach()
    script = again(captures.read("visit_1"), ECHO)
    kinds = {type(step) for step in script.steps}
    assert {StaysSilent, TutorCalls, KillJob, Leaves, Returns} <= kinds
    assert script.expect.reason == "said_goodbye"
    assert script.expect.progress == {"phrases_practiced": 3}
    play_lesson(script)


def test_a_changed_tutor_fails_where_it_answers_otherwise(captures: Captures) -> None:
    """The message names the step."""
    teach()
    with pytest.raises(LessonFailedError, match="HAS DICHO"):
        play_lesson(again(captures.read("visit_1"), SHOUT))


@pytest.mark.usefixtures("captures")
def test_nothing_in_a_capture_tells_who_the_learner_is(tmp_path: Path) -> None:
    """It has no names, addresses, numbers, ids or state; only its owner can read it."""
    teach()
    files = list((tmp_path / "captures").iterdir())
    text = "".join(file.read_text() for file in files)
    for personal in (
        "maria",
        "Maria",
        "example.com",
        " 030",
        " 123",
        " 456",
        "sess_secret",
        "visit_1",
    ):
        assert personal not in text
    assert "german" in text
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "captures").stat().st_mode) == 0o700


@pytest.mark.parametrize("consent", [None, False], ids=["unknown", "refused"])
def test_a_lesson_is_not_captured_without_the_learners_consent(
    captures: Captures, *, consent: bool | None
) -> None:
    """The operator's settings do not matter."""
    teach(LearnerContext(preferences=Preferences(replay_consent=consent)))
    assert captures.read("visit_1") == []


def test_captures_are_deleted_with_age_and_by_lesson(captures: Captures, tmp_path: Path) -> None:
    """The ledger's lessons are deleted in the same way."""
    part = CapturedJob(tutor="echo", messages=())
    captures.append("old", part)
    captures.append("young", part)
    latest = max(one.stat().st_mtime for one in (tmp_path / "captures").iterdir())
    assert captures.purge(before=0) == 0
    assert captures.purge(before=latest + 1) == 2
    captures.append("young", part)
    captures.delete("young")
    assert captures.read("young") == []


def test_a_capture_is_encrypted_with_the_ledgers_key(tmp_path: Path) -> None:
    """Rotated keys still open it."""
    old, new = "o" * 32, "n" * 32
    part = CapturedJob(tutor="echo", messages=())
    Captures(tmp_path, KeyRing((old,))).append("one", part)
    [file] = tmp_path.iterdir()
    assert "echo" not in file.read_text()
    assert Captures(tmp_path, KeyRing((new, old))).read("one") == [part]
