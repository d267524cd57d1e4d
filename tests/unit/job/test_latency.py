"""The latency of replies, as the job reports it to the host."""

from types import SimpleNamespace
from typing import Any

from livekit.agents.llm import ChatMessage
from livekit.agents.llm.chat_context import MetricsReport

from loqua_host.job.voice.latency import MEASURED, measured
from loqua_host.link.messages import VoiceTimed

Emission = tuple[str, object]


def item(**metrics: float) -> Emission:
    """Return something said, with what LiveKit measured."""
    said = ChatMessage(role="assistant", content=["Hola."], metrics=metrics)  # type: ignore[arg-type]  # a TypedDict
    return "conversation_item_added", SimpleNamespace(item=said)


def learner(old: str, new: str, at: float) -> Emission:
    """Return a change of the learner's state."""
    return "user_state_changed", SimpleNamespace(old_state=old, new_state=new, created_at=at)


def tutor(new: str, at: float) -> Emission:
    """Return a change of the tutor's state."""
    return "agent_state_changed", SimpleNamespace(new_state=new, created_at=at)


def received_events(job: Any, *emissions: Emission) -> list[dict[str, float]]:
    """Emit events in a session, and return what the host receives."""
    heard: list[VoiceTimed] = []
    with measured(job.session, heard.append):
        for event, value in emissions:
            job.session.emit(event, value)
    job.session.emit("agent_state_changed", SimpleNamespace(new_state="speaking", created_at=0.0))
    return [dict(message.stages) for message in heard]


def test_a_reply_takes_from_the_learner_s_last_word_to_the_tutor_s_first(job: Any) -> None:
    """Once each, however the tutor comes to what it says."""
    stages = received_events(
        job,
        tutor("speaking", 1.0),
        learner("listening", "speaking", 5.0),
        learner("speaking", "listening", 7.0),
        tutor("thinking", 8.0),
        tutor("speaking", 9.5),
        tutor("listening", 11.0),
        tutor("speaking", 12.0),
    )
    assert stages == [{"reply": 2.5}]


def test_a_learner_who_goes_on_has_not_been_replied_to(job: Any) -> None:
    """A tutor that interrupts replies to nothing yet."""
    stages = received_events(
        job,
        learner("speaking", "listening", 7.0),
        learner("listening", "speaking", 8.0),
        tutor("speaking", 9.0),
    )
    assert stages == []


def test_what_comes_a_minute_later_is_no_reply(job: Any) -> None:
    """The tutor began anew."""
    stages = received_events(job, learner("speaking", "away", 7.0), tutor("speaking", 67.5))
    assert stages == []


def test_stages_are_reported_in_our_words_without_what_was_said(job: Any) -> None:
    """They are the stages that LiveKit measured."""
    heard = item(transcription_delay=0.2, end_of_turn_delay=0.7, stopped_speaking_at=1.0)
    replied = item(llm_node_ttft=0.3, tts_node_ttfb=0.1, e2e_latency=1.4)
    stages = received_events(job, heard, replied, item())
    assert stages == [{"hearing": 0.2, "turn": 0.7}, {"thinking": 0.3, "speaking": 0.1}]


def test_a_hand_over_is_nothing_said(job: Any) -> None:
    """It has no times."""
    handed = "conversation_item_added", SimpleNamespace(item=SimpleNamespace(type="agent_handoff"))
    assert received_events(job, handed) == []


def test_a_measure_that_cannot_be_is_bounded(job: Any) -> None:
    """The clock of a machine may step."""
    odd = item(tts_node_ttfb=-0.5, llm_node_ttft=1e9)
    assert received_events(job, odd) == [{"thinking": 60, "speaking": 0}]


def test_livekit_measures_what_is_looked_for() -> None:
    """Its names are its own to change."""
    assert set(MEASURED) <= set(MetricsReport.__annotations__)
