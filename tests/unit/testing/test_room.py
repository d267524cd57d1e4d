"""Scripts for real rooms, as far as they need no server."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from loqua_host.registry.loader import load_plugin
from loqua_host.settings.load import draft
from loqua_host.testing import (
    CallsTool,
    KillJob,
    LessonScript,
    Says,
    ScriptError,
    TutorCalls,
)
from loqua_host.testing.room_host import TUTOR, check_playable, write_room_config

ECHO = "tests.unit.testing.lesson_tutors:Echo"

REFUSED: dict[str, dict[str, Any]] = {
    "realtime": {"realtime": True, "replies": ("Hola.",)},
    "replies": {"replies": ("Hola.",), "steps": (KillJob(),)},
    "tutor_calls": {"steps": (TutorCalls("grammar-expert", outcome="absent"),)},
}


@pytest.mark.parametrize(("name", "fields"), REFUSED.items(), ids=REFUSED)
def test_what_a_real_room_cannot_play_is_refused_by_name(name: str, fields: Any) -> None:
    """Before anything is started."""
    with pytest.raises(ScriptError, match=f"^{name}:"):
        check_playable(LessonScript(agent=ECHO, **fields))


def test_the_host_of_a_real_room_has_a_sound_config(tmp_path: Path) -> None:
    """With the script's tutor, its specialists, and its replies as a language model."""
    script = LessonScript(
        agent=ECHO,
        audio_input="all",
        replies=("Hola.", CallsTool("look_up", {"word": "sol"})),
        steps=(Says("Ayuda."), TutorCalls("grammar-expert", outcome="failed", seconds=3)),
    )
    config = tmp_path / "config"
    tutor = load_plugin(agent=ECHO).tutor
    write_room_config(config, script, tutor, "http://127.0.0.1:8085")
    drafted = draft(
        config,
        {
            "LOQUA_ENVIRONMENT": "development",
            "AGENT_ID": "loqua-host",
            "API_BASE_URL": "http://127.0.0.1:8080",
            "LIVEKIT_URL": "ws://127.0.0.1:7880",
        },
    )
    assert drafted.problems == ()
    tutors = {one.name: one for one in drafted.tutors}
    assert set(tutors) == {TUTOR, "grammar-expert"}
    assert tutors[TUTOR].is_automatic
    agent = tutors["grammar-expert"].agent
    assert agent == "loqua_host.testing.room_specialist:Failed3"
    assert load_plugin(agent=agent).tutor.name == "failed3"
    written = yaml.safe_load((config / "tutors" / f"{TUTOR}.yaml").read_text("utf-8"))
    assert written["engines"]["llm"]["options"]["answers"] == [
        "Hola.",
        {"tool": "look_up", "arguments": {"word": "sol"}},
    ]
