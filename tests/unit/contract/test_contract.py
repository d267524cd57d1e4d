"""The contract with published tutors, frozen for the whole of 1.x."""

import asyncio
import inspect
from dataclasses import fields
from importlib import import_module
from pkgutil import iter_modules

import pytest
from livekit.agents import Agent, AgentSession
from pydantic import ValidationError

import loqua_host
from loqua_host import (
    Handback,
    HandoffError,
    Learner,
    LearnerContext,
    Lesson,
    Progress,
    Tutor,
    Word,
)
from loqua_host.contract import hookspecs
from loqua_host.contract.handoff import HandoffRequest
from loqua_host.contract.tutor import NoSettings
from loqua_host.link.messages import CallSpecialist
from loqua_host.settings.hooks import HookLimits

HOOKS = {
    "register_tutor": ("def", (), "Tutor"),
    "create_agent": ("async def", ("lesson",), "Agent"),
    "on_user_ready": ("async def", ("lesson",), "None"),
    "on_progress_tick": ("async def", ("lesson", "tick"), "Progress | None"),
    "on_session_end": ("async def", ("lesson", "ending"), "LessonReport | None"),
}

EVENTS = {
    "Event": (),
    "LearnerLeft": (),
    "LearnerReturned": (),
    "LearnerSilent": ("seconds",),
    "ParticipantAttributesChanged": ("identity", "changed"),
    "ParticipantConnected": ("identity", "kind", "name"),
    "ParticipantDisconnected": ("identity", "kind"),
    "Reconnected": (),
    "Reconnecting": (),
    "TimeRunningOut": ("seconds",),
    "TrackPublished": ("identity", "track", "kind", "source"),
    "TrackUnpublished": ("identity", "track"),
}

SPECS = {
    name: spec
    for name, spec in vars(hookspecs).items()
    if hasattr(spec, f"{hookspecs.PROJECT}_spec")
}


def test_tutor_authors_import_these_names_and_no_others() -> None:
    """Each is there, and sorted; public.txt has what they are."""
    assert loqua_host.__all__ == sorted(loqua_host.__all__)
    assert all(hasattr(loqua_host, name) for name in loqua_host.__all__)


def test_the_contract_is_what_tutor_authors_import() -> None:
    """An operator's settings are none of a tutor's business."""
    exported = {getattr(getattr(loqua_host, name), "__module__", "") for name in loqua_host.__all__}
    home = import_module("loqua_host.contract")
    modules = {f"{home.__name__}.{it.name}" for it in iter_modules(home.__path__)}
    assert modules - exported == {"loqua_host.contract.hookspecs"}


def test_events_can_be_imported_from_where_they_are_said_to_be() -> None:
    """`from loqua_host.events import LearnerLeft` works, too."""
    assert import_module("loqua_host.events") is loqua_host.events


def test_events_keep_their_names_and_what_they_tell() -> None:
    """A tutor's handlers go on working; a new event is a decision."""
    events = {name: fields(getattr(loqua_host.events, name)) for name in loqua_host.events.__all__}
    assert {name: tuple(it.name for it in its) for name, its in events.items()} == EVENTS


def test_the_hooks_are_the_five_of_the_contract() -> None:
    """No hook comes or goes within a major version."""
    assert set(SPECS) == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_keeps_its_colour_its_arguments_and_what_it_returns(name: str) -> None:
    """A published tutor goes on working: arguments may be added, these stay."""
    colour, arguments, returns = HOOKS[name]
    signature = inspect.signature(SPECS[name])
    returned = signature.return_annotation
    assert inspect.iscoroutinefunction(SPECS[name]) is (colour == "async def")
    assert tuple(signature.parameters) == arguments
    assert returns == _short(
        returned if isinstance(returned, str) else inspect.formatannotation(returned)
    )


def _short(annotation: str) -> str:
    return " | ".join(part.rpartition(".")[2] for part in annotation.split(" | "))


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_it_is_called_and_what_its_failure_does(name: str) -> None:
    """The docstring is the author's manual."""
    manual = inspect.getdoc(SPECS[name]) or ""
    assert "called" in manual.lower()
    assert name == "on_user_ready" or "fail" in manual.lower()


def test_every_hook_that_runs_in_a_lesson_has_a_limit() -> None:
    """A hook without a limit could hold up a learner for ever."""
    assert set(HookLimits.model_fields) == set(HOOKS) - {"register_tutor"}


@pytest.mark.parametrize(
    "name",
    ["", "Grammar", "grammar_tutor", "grammar tutor", "../x", "-a", "grammar\n", "a" * 65],
)
def test_a_tutor_with_a_name_that_no_file_could_have_is_refused_where_it_is_declared(
    name: str,
) -> None:
    """The author sees the mistake at the line that makes it."""
    with pytest.raises(ValueError, match="lower-case words"):
        Tutor(name=name)


@pytest.mark.parametrize("secret", ["my key", "MY_KEY\n"])
def test_a_secret_is_declared_by_the_name_of_an_environment_variable(secret: str) -> None:
    """Anything else would never be found."""
    with pytest.raises(ValueError, match="MY_API_KEY"):
        Tutor(name="grammar", secrets=(secret,))


def test_a_specialist_of_any_name_that_is_taken_can_be_called() -> None:
    """The declaration and the call know one form of a name."""
    name = "-".join(["specialist"] * 5 + ["longer123"])
    assert Tutor(name="grammar", agent_name=name).agent_name == name
    assert CallSpecialist(agent_name=name, request=HandoffRequest()).agent_name == name


@pytest.mark.parametrize(
    "wrong",
    [
        {"words_learned": -1},
        {"pronunciation_score": 100.5},
        {"pronunciation_score": float("nan")},
        {"grammar_points": ("",)},
        {"words": 3},
    ],
)
def test_progress_that_the_api_would_refuse_cannot_be_made(wrong: dict[str, object]) -> None:
    """The author hears of it in a test, not from an operator."""
    with pytest.raises(ValidationError):
        Progress.model_validate(wrong)


def test_a_word_names_its_language_by_code() -> None:
    """`es` is a language, `Spanish` is not."""
    assert Word(word="café", translation="coffee", language="es").language == "es"
    with pytest.raises(ValidationError):
        Word(word="café", translation="coffee", language="Spanish")


def test_a_declaration_may_name_its_settings_twice() -> None:
    """`Tutor[NoSettings](…)` works on every Python."""
    assert Tutor[NoSettings](name="grammar") == Tutor(name="grammar")


def a_lesson() -> Lesson:
    """Return a lesson."""
    return Lesson(
        id="l1",
        visit="v1",
        room="r1",
        learner=Learner(user_id="user_ana", identity="ana"),
        context=LearnerContext(),
        language="es",
        settings=NoSettings(),
        session=AgentSession(vad=None),
    )


async def test_the_first_reason_to_end_a_lesson_counts() -> None:
    """A tutor that has said goodbye is not overruled by a later cause."""
    lesson = a_lesson()
    lesson.end("goal_reached")
    lesson.end("learner_left")
    assert await lesson.ended() == "goal_reached"


async def test_a_call_that_says_too_much_is_refused_where_it_is_made() -> None:
    """The handover for a specialist fits a dispatch."""
    lesson = a_lesson()
    with pytest.raises(ValueError, match="focus"):
        await lesson.call_specialist("grammar-specialist", focus="x" * 301)
    with pytest.raises(ValueError, match="words"):
        await lesson.call_specialist("grammar-specialist", words=["word"] * 21)


async def test_a_call_is_answered_by_who_runs_the_lesson() -> None:
    """And only one is under way."""
    lesson = a_lesson()
    calling = asyncio.create_task(lesson.call_specialist("grammar-specialist", focus="articles"))
    call = await lesson.next_call()
    assert (call.agent_name, call.request.focus) == ("grammar-specialist", "articles")
    with pytest.raises(HandoffError, match="in progress"):
        await lesson.call_specialist("grammar-specialist")
    call.answer.set_result(Handback(outcome="taught"))
    assert await calling == Handback(outcome="taught")


class Shadow(Agent):
    """An agent of a tutor's own."""

    def __init__(self) -> None:
        super().__init__(instructions="")


async def test_a_tutor_gets_its_agent_as_the_class_that_it_is_of() -> None:
    """The error for a missing one, or for another class, has the name."""
    lesson = a_lesson()
    with pytest.raises(TypeError, match="there is none"):
        lesson.get_agent(Shadow)
    lesson.agent = Agent(instructions="")
    with pytest.raises(TypeError, match="there is one of class Agent"):
        lesson.get_agent(Shadow)
    lesson.agent = shadow = Shadow()
    assert lesson.get_agent(Shadow) is shadow
