"""One script with an outage, a specialist and a crash, on virtual time and in a real room."""

import time

import pytest

from loqua_host.testing import (
    FailApi,
    KillJob,
    LessonExpectations,
    LessonScript,
    Says,
    TutorCalls,
    TutorSays,
    play_lesson,
)

SCRIPT = LessonScript(
    agent="tests.acceptance.guide:Guide",
    reconnect_timeout=1,
    steps=(
        TutorSays(matches="buenos días"),
        FailApi(503, 20),
        Says("Me gusta el café con leche."),
        TutorSays(matches="[Mm]uy bien"),
        Says("Necesito ayuda por favor."),
        TutorCalls("grammar-expert", focus="articles", seconds=3),
        TutorSays(matches="de vuelta"),
        KillJob(),
        TutorSays(matches="[Ss]eguimos"),
        Says("Muchas gracias."),
        TutorSays(matches="[Mm]uy bien"),
    ),
    expect=LessonExpectations(
        reason="learner_left",
        record={"overall_performance": "fair", "new_vocabulary": []},
    ),
)


@pytest.mark.parametrize("livekit", [False, True], ids=["virtual time", "real room"])
def test_one_script_comes_to_the_same_in_both(*, livekit: bool) -> None:
    """The tutor, the steps and what is expected are the same; a second is enough for the first."""
    if not livekit:
        play_lesson(SCRIPT)  # imports what a lesson needs
    began = time.process_time()
    result = play_lesson(SCRIPT, livekit=livekit)
    assert result.hooks.count("create_agent") == 2
    assert set(result.records) == {"maria"}
    if not livekit:
        assert time.process_time() - began < 1
