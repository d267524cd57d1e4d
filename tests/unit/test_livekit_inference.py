"""LiveKit's client for hosted models, and OpenAI's SDK, are imported at their first use."""

import subprocess
import sys

LIVEKIT = "import sys, loqua_host; from livekit import agents; from livekit.agents import inference"
USES = {
    "a name of the package": "inference.LLM",
    "an import of a name": "from livekit.agents.inference import LLM",
    "an import of all names": "from livekit.agents.inference import *",
    "the module": "import livekit.agents.inference.llm",
    "the module as an attribute": "inference.llm.LLM",
    "the plugin": "from livekit.plugins import openai",
    "a model's name": "agents.Agent(instructions='', llm='openai/gpt-4.1')",
    "a session's model": "agents.AgentSession(llm='openai/gpt-4.1')",
    "answering machine detection": "from livekit.agents.voice.amd.detector import _InferenceLLM; "
    "assert isinstance(_InferenceLLM('openai/gpt-4.1'), inference.LLM)",
}
IN_CHILDREN = """
import os
for name, use in USES.items():
    print(name, end=" ", flush=True)
    if os.fork() == 0:
        exec(use)
        assert inference.LLM.__module__ == "livekit.agents.inference.llm"
        print("openai.types" in sys.modules, flush=True)
        os._exit(0)
    os.wait()
"""
KEY = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret-of-thirty-two-characters-"}


def run(*lines: str) -> str:
    """Run Python code in a process of its own, and return what it prints."""
    process = subprocess.run(  # noqa: S603  # ours
        (sys.executable, "-c", "\n".join(lines)),
        env=KEY,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()


def test_openais_sdk_is_imported_with_neither_livekit_nor_the_host() -> None:
    """It takes a fifth of the time that all of LiveKit takes, and many tutors never use it."""
    ours = "import loqua_host.job.entrypoint, loqua_host.job.preload, loqua_host.host"
    assert run(LIVEKIT, ours, "print('openai' in sys.modules)") == "False"


def test_who_uses_the_client_has_it() -> None:
    """As if LiveKit had imported it."""
    assert run(LIVEKIT, f"USES = {USES}", IN_CHILDREN) == "\n".join(f"{use} True" for use in USES)


def test_livekit_keeps_no_stand_in_but_the_one_it_calls() -> None:
    """Only answering machine detection takes names of the client while it is imported."""
    found = (
        "from loqua_host.livekit_inference import _create",
        "modules = {n: m for n, m in sys.modules.items() if n.startswith('livekit')}",
        "print(*[n for n, m in modules.items() if _create in vars(m).values()])",
    )
    assert run(LIVEKIT, *found) == "livekit.agents.voice.amd.detector"


def test_all_names_of_the_package_are_there_and_no_others() -> None:
    """Its avatars are still imported when they are used."""
    missing = "print([it for it in inference.__all__ if not hasattr(inference, it)])"
    unknown = "print(hasattr(inference, 'Unknown'), inference.AvatarSession.__name__)"
    assert run(LIVEKIT, missing, unknown) == "[]\nFalse AvatarSession"


def test_livekit_that_was_imported_before_is_left_alone() -> None:
    """Nothing is to be saved then."""
    before = "import sys; from livekit.agents import inference; import loqua_host"
    assert run(before, "print(vars(inference)['LLM'].__name__)") == "LLM"


def test_what_an_engine_uses_of_openais_sdk_is_there_before_any_lesson() -> None:
    """It would stop a lesson for a third of a second."""
    used = "import livekit.plugins.openai, loqua_host.job.preload, loqua_host.job.preload_openai"
    assert run(used, "import sys; print('openai.resources' in sys.modules)") == "True"
