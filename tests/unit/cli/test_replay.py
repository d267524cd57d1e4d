"""`loqua-host replay`: a capture as a lesson, and as a test if the tutor has changed."""

from pathlib import Path

import pytest
import yaml

from loqua_host.cli.replay import replay_lesson
from loqua_host.contract.handoff import Utterance
from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Mode
from loqua_host.errors import LoquaError
from loqua_host.link.messages import Checkpoint, Welcome
from loqua_host.records.captures import CapturedJob, CapturedMessage, Captures
from loqua_host.records.encryption import KeyRing
from loqua_host.testing import LessonFailedError, play_lesson, read_script

ENVIRON = {
    "LOQUA_ENVIRONMENT": "development",
    "AGENT_ID": "loqua-host",
    "API_BASE_URL": "http://127.0.0.1:8080",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
}
KEY = "k" * 44


def said(speaker: str, text: str) -> Checkpoint:
    """Return what a job sends after somebody has spoken."""
    turn = Utterance.model_validate({"speaker": speaker, "text": text})
    return Checkpoint(seconds=1, turns=(turn,))


def capture(directory: Path, answer: str) -> None:
    """Keep a lesson of the echo."""
    welcome = Welcome(
        lesson="",
        session_id="",
        visit="",
        room="",
        agent_id="",
        learner=Learner(user_id="learner", identity="learner"),
        context=LearnerContext(),
        language="es",
        mode=Mode.FULL,
    )
    lesson = (welcome, said("tutor", "¡Hola!"), said("learner", "Uno."), said("tutor", answer))
    messages = tuple(CapturedMessage(at=at, message=one) for at, one in enumerate(lesson))
    Captures(directory, KeyRing((KEY,))).append(
        "sess_1", CapturedJob(tutor="echo", messages=messages)
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration with the echo as a tutor."""
    config = tmp_path / "config"
    (config / "tutors").mkdir(parents=True)
    tutor = {"agent": "tests.unit.testing.lesson_tutors:Echo", "worker_type": "automatic"}
    (config / "tutors" / "echo.yaml").write_text(yaml.safe_dump(tutor))
    host = {"ledger": {"captures": str(tmp_path / "captures")}}
    (config / "host.yaml").write_text(yaml.safe_dump(host))
    return config


def replay(config: Path, session_id: str = "sess_1", output: Path | None = None) -> int:
    """Run the command."""
    return replay_lesson(session_id, config, ENVIRON | {"LEDGER_KEY": KEY}, output)


def test_a_lesson_that_goes_as_it_did_is_no_test(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command writes no file."""
    monkeypatch.chdir(tmp_path)
    capture(tmp_path / "captures", "Has dicho: Uno.")
    assert replay(config) == 0
    assert not (tmp_path / "replayed.lesson.yaml").exists()


def test_a_lesson_that_goes_otherwise_becomes_a_failing_test(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The output says where; the test fails in the same place."""
    monkeypatch.chdir(tmp_path)
    capture(tmp_path / "captures", "¡Muy bien!")
    assert replay(config) == 1
    assert "the tutor did not say '¡Muy bien!', but ['Has dicho: Uno.']" in capsys.readouterr().out
    with pytest.raises(LessonFailedError, match="¡Muy bien!"):
        play_lesson(read_script(tmp_path / "replayed.lesson.yaml"))


def test_what_was_not_captured_is_said_by_name(config: Path) -> None:
    """With what may be the reason."""
    with pytest.raises(LoquaError, match="sess_2: not captured; its learner did not allow it"):
        replay(config, "sess_2")
    (config / "host.yaml").write_text("ledger: {captures: null}")
    with pytest.raises(LoquaError, match=r"see ledger\.captures"):
        replay(config)
