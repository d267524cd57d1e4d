"""Loading of tutors: only valid plugins are loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from livekit.agents import Agent
from livekit.rtc.event_emitter import EventEmitter
from pydantic import BaseModel, ConfigDict, ValidationError

from loqua_host import Learner, LearnerContext, Lesson, Tutor, hookimpl
from loqua_host.contract.tutor import NoSettings
from loqua_host.registry.loader import BrokenTutorError, load_plugin

Install = Callable[[str, str], None]

SOUND = """
from livekit.agents import Agent
from loqua_host import Tutor, hookimpl

@hookimpl
def register_tutor():
    return Tutor(name="sound")

@hookimpl
async def create_agent(lesson):
    return Agent(instructions="teach")
"""


class UnawareAgent(Agent):
    """An agent written for LiveKit alone."""

    def __init__(self) -> None:
        super().__init__(instructions="teach")


class AgentWithArguments(Agent):
    """An agent that the host cannot create."""

    def __init__(self, subject: str) -> None:
        super().__init__(instructions=subject)


def faults_of(install: Install, name: str, source: str) -> list[str]:
    """Load a plugin that breaks the contract, and return its faults."""
    install(name, source)
    with pytest.raises(BrokenTutorError) as broken:
        load_plugin(plugin=name)
    return broken.value.faults


def test_a_sound_plugin_is_loaded_with_what_it_declares(install: Install) -> None:
    """The tutor is known, and its hooks can be called."""
    install("sound", SOUND)
    loaded = load_plugin(plugin="sound")
    assert loaded.tutor == Tutor(name="sound")
    assert loaded.manager.get_plugins() == {loaded.manager.get_plugin("sound")}


def test_a_plugin_that_is_not_installed_is_broken() -> None:
    """The message names the plugin."""
    with pytest.raises(BrokenTutorError, match="plugin 'latin': no installed distribution"):
        load_plugin(plugin="latin")


def test_every_fault_of_a_plugin_is_reported_at_once(install: Install) -> None:
    """Colours, wrappers and forgotten marks, each with what to write."""
    source = """
    from loqua_host import hookimpl

    @hookimpl
    async def register_tutor(): ...

    @hookimpl(tryfirst=True)
    def create_agent(lesson): ...

    @hookimpl(wrapper=True)
    def on_user_ready(lesson):
        yield

    async def on_progress_tick(lesson, tick): ...
    """
    assert faults_of(install, "faulty", source) == [
        "register_tutor (tutor_faulty.py:4) is async; write def",
        (
            "create_agent (tutor_faulty.py:7) sets tryfirst, which tutors may not; "
            "write a plain @hookimpl"
        ),
        "create_agent (tutor_faulty.py:7) is not async; write async def",
        (
            "on_user_ready (tutor_faulty.py:10) sets wrapper, which tutors may not; "
            "write a plain @hookimpl"
        ),
        "on_user_ready (tutor_faulty.py:10) is not async; write async def",
        "on_progress_tick (tutor_faulty.py:14) is not marked; write @hookimpl above it",
    ]


def test_a_plugin_without_hooks_is_no_tutor(install: Install) -> None:
    """Two hooks are required."""
    assert faults_of(install, "empty", "") == [
        "register_tutor is missing; every tutor has one",
        "create_agent is missing; every tutor has one",
    ]


@pytest.mark.parametrize(
    ("name", "hook", "fault"),
    [
        (
            "misspelt",
            "async def on_user_redy(lesson): ...",
            "on_user_redy (tutor_misspelt.py:13) is no hook; write on_user_ready",
        ),
        (
            "inventive",
            "async def x(lesson): ...",
            (
                "x (tutor_inventive.py:13) is no hook; write register_tutor or create_agent or "
                "on_user_ready or on_progress_tick or on_session_end"
            ),
        ),
        (
            "grasping",
            "async def on_session_end(lesson, secrets, now=0): ...",
            (
                "on_session_end (tutor_grasping.py:13) gets no 'secrets'; "
                "name only what it gets: lesson, ending"
            ),
        ),
    ],
)
def test_a_hook_the_host_does_not_know_is_reported_by_name(
    install: Install, name: str, hook: str, fault: str
) -> None:
    """A misspelt hook, or an argument that there is not, would never be called right."""
    [fault_found] = faults_of(install, name, f"{SOUND}\n@hookimpl\n{hook}\n")
    assert fault_found == fault


@pytest.mark.parametrize(
    ("name", "returned", "fault"),
    [
        ("none", "None", "register_tutor returns NoneType; return a loqua_host.Tutor"),
        ("mapping", "{}", "register_tutor returns dict; return a loqua_host.Tutor"),
        ("no-model", "Tutor(name='x', settings=dict)", "Tutor(settings=…) is no model"),
    ],
)
def test_a_declaration_is_a_tutor_with_a_model(
    install: Install, name: str, returned: str, fault: str
) -> None:
    """Other objects are refused."""
    source = SOUND.replace('Tutor(name="sound")', returned)
    [fault_found] = faults_of(install, name, source)
    assert fault_found.startswith(fault)


WRONG_OVERRIDE = """
class WrongOverride(Agent):
    async def on_user_turn_completed(self, turn_ctx, said): ...

class Derived(WrongOverride): ...
"""


def test_an_agent_that_livekit_cannot_call_is_reported_before_any_lesson(install: Install) -> None:
    """Each fault once, with the method's place and what to write."""
    [fault_found] = faults_of(install, "deaf", SOUND + WRONG_OVERRIDE)
    assert fault_found.startswith("WrongOverride.on_user_turn_completed (tutor_deaf.py:")
    assert fault_found.endswith(
        "LiveKit passes 'new_message'; "
        "write async def on_user_turn_completed(self, turn_ctx, new_message)"
    )


def test_agents_in_modules_of_the_plugin_are_looked_at(install: Install, site: Path) -> None:
    """Only imported modules count, and only the plugin's own."""
    (site / "tutor_parts").mkdir()
    (site / "tutor_parts/__init__.py").write_text("from .hooks import *", "utf-8")
    hooks = f"from .agents import WrongOverride\n{SOUND}"
    (site / "tutor_parts/hooks.py").write_text(hooks, "utf-8")
    agents = f"from livekit.agents import Agent\n{WRONG_OVERRIDE}"
    (site / "tutor_parts/agents.py").write_text(agents, "utf-8")
    source = "import sys, tutor_parts.hooks\nsys.modules[__name__] = tutor_parts.hooks"
    [fault_found] = faults_of(install, "elsewhere", source)
    assert fault_found.startswith("WrongOverride.on_user_turn_completed (agents.py:")
    install("innocent", SOUND)
    assert load_plugin(plugin="innocent").packages == {"tutor_innocent"}


def test_a_bare_agent_that_livekit_cannot_call_is_reported(site: Path) -> None:
    """It is nobody's plugin, with the same fault."""
    made = "    def __init__(self): super().__init__(instructions='')"
    source = f"from livekit.agents import Agent\n{WRONG_OVERRIDE}".replace(
        "(WrongOverride): ...", f"(WrongOverride):\n{made}"
    )
    (site / "agent_with_wrong_override.py").write_text(source, "utf-8")
    with pytest.raises(
        BrokenTutorError, match=r"WrongOverride\.on_user_turn_completed \(agent_with_wrong_override"
    ):
        load_plugin(agent="agent_with_wrong_override:Derived")


async def test_a_bare_agent_is_hosted_without_a_plugin() -> None:
    """It is created anew for each lesson, and its tutor is named after its class."""
    loaded = load_plugin(agent=f"{__name__}:UnawareAgent")
    assert loaded.tutor == Tutor(name="unaware-agent")
    lesson = Lesson(
        id="lesson",
        visit="visit",
        room="room",
        learner=Learner(user_id="user_ana", identity="ana"),
        context=LearnerContext(),
        language="es",
        settings=NoSettings(),
        session=EventEmitter(),  # type: ignore[arg-type]  # not asked
    )
    first, second = [await loaded.manager.hook.create_agent(lesson=lesson)[0] for _ in range(2)]
    assert isinstance(first, UnawareAgent)
    assert first is not second


@pytest.mark.parametrize(
    ("attribute", "fault"),
    [
        ("AgentWithArguments", "cannot be created without arguments: missing a required argument"),
        ("SOUND", "is no LiveKit agent; name a subclass"),
        ("Lesson", "is no LiveKit agent; name a subclass"),
    ],
)
def test_what_cannot_be_hosted_is_reported(attribute: str, fault: str) -> None:
    """A class with arguments, a text, a class of another kind."""
    with pytest.raises(BrokenTutorError, match=fault):
        load_plugin(agent=f"{__name__}:{attribute}")


def test_settings_are_read_by_the_tutors_model(install: Install) -> None:
    """An unknown key is a mistake even where the model would pass over it."""
    source = SOUND.replace('name="sound"', 'name="set", settings=Settings')
    model = "from pydantic import BaseModel\nclass Settings(BaseModel):\n    level: int = 1\n"
    install("set", model + source)
    loaded = load_plugin(plugin="set")
    assert loaded.read_settings({"level": 3}).model_dump() == {"level": 3}
    assert loaded.read_settings({}).model_dump() == {"level": 1}
    for wrong in ({"level": "high"}, {"levle": 3}):
        with pytest.raises(ValidationError):
            loaded.read_settings(wrong)


TYPED = """
from livekit.agents import Agent
from loqua_host import Lesson, Tutor, hookimpl
from pydantic import BaseModel

class Settings(BaseModel):
    level: int = 1

class Derived(Settings): ...

class Other(BaseModel): ...

@hookimpl
def register_tutor():
    return Tutor(name="typed", settings=Derived)

@hookimpl
async def create_agent(lesson: Lesson[Settings]):
    return Agent(instructions="teach")

@hookimpl
async def on_user_ready(lesson: ANNOTATION): ...
"""


@pytest.mark.parametrize(
    "annotation",
    ["Lesson", "Lesson[Derived]", "'Lesson[BaseModel]'", "'Lesson[Missing]'", "object"],
    ids=["any", "own", "text", "for-type-checkers-alone", "none"],
)
def test_a_hook_gets_lessons_with_the_settings_that_it_is_written_for(
    install: Install, annotation: str
) -> None:
    """A base class's settings fit; annotations that cannot be evaluated are ignored."""
    name = f"typed-{abs(hash(annotation))}"
    install(name, TYPED.replace("ANNOTATION", annotation))
    assert load_plugin(plugin=name).read_settings({"level": 2}).model_dump() == {"level": 2}


def test_a_hook_that_is_written_for_other_settings_is_reported_before_any_lesson(
    install: Install,
) -> None:
    """A type checker cannot see the host's call of the hook."""
    assert faults_of(install, "mistyped", TYPED.replace("ANNOTATION", "Lesson[Other]")) == [
        (
            "on_user_ready (tutor_mistyped.py:21) takes a Lesson[Other], and register_tutor "
            "declares settings=Derived; write one model in both"
        )
    ]


class Anything(BaseModel):
    """Settings that accept any key."""

    model_config = ConfigDict(extra="allow")


class AnyPlugin:
    """A plugin object, as an entry point may name one."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Declare it."""
        return Tutor(name="any", settings=Anything)

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:  # noqa: ARG002  # the hook's own name
        """Create it."""
        return UnawareAgent()


def test_a_model_that_allows_any_key_gets_it(install: Install) -> None:
    """The author's word counts."""
    install("any", f"import sys\nsys.modules[__name__] = sys.modules[{__name__!r}].AnyPlugin()")
    assert load_plugin(plugin="any").read_settings({"a": 1}).model_dump() == {"a": 1}
