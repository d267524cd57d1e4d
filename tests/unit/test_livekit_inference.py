"""LiveKit's client for hosted models, and OpenAI's SDK, are imported at their first use."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest

IS_CLIENT: Final = "print(inference.LLM.__module__)"
USES: Final = {
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
PIECES: Final = {
    "host": "import loqua_host.job.entrypoint, loqua_host.job.preload, loqua_host.host; "
    "print('openai' in sys.modules)",
    "stand-ins": "from loqua_host.livekit_inference import _create; "
    "modules = {n: m for n, m in sys.modules.items() if n.startswith('livekit')}; "
    "print(*[n for n, m in modules.items() if _create in vars(m).values()])",
    "other names": "print(hasattr(inference, 'Unknown'), inference.AvatarSession.__name__)",
    "preloading": "import livekit.plugins.openai, loqua_host.job.preload, "
    "loqua_host.job.preload_openai; print('openai.resources' in sys.modules)",
}
"""Code by name, each for a process that has imported LiveKit and nothing else."""

IN_FORKS: Final = """
import json, os, sys, loqua_host
from livekit import agents
from livekit.agents import inference

def run(pieces):
    for name, code in pieces.items():
        if os.fork() == 0:
            print(name, end="\\t")
            exec(code, globals())
            sys.stdout.flush()
            os._exit(0)
        assert os.wait()[1] == 0, name

pieces, uses = json.load(sys.stdin)
run(pieces)
import openai.types  # not the client, which each use has yet to import
run(uses)
"""
KEY: Final = {
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret-of-thirty-two-characters-",
}


def run(code: str, given: str = "") -> str:
    """Run Python code in a process of its own, and return what it prints."""
    process = subprocess.run(  # noqa: S603  # ours
        (sys.executable, "-c", code),
        env=KEY,
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@pytest.fixture(scope="module")
def printed() -> Mapping[str, str]:
    """Return what each piece of code prints.

    LiveKit and OpenAI's SDK, which take a second each, are imported once.
    """
    uses = {use: f"{code}; {IS_CLIENT}" for use, code in USES.items()}
    lines = run(IN_FORKS, json.dumps([PIECES, uses])).splitlines()
    return {name: output for name, _, output in (line.partition("\t") for line in lines)}


def test_openais_sdk_is_imported_with_neither_livekit_nor_the_host(
    printed: Mapping[str, str],
) -> None:
    """It takes a fifth of the time that all of LiveKit takes, and many tutors never use it."""
    assert printed["host"] == "False"


@pytest.mark.parametrize("use", USES)
def test_who_uses_the_client_has_it(printed: Mapping[str, str], use: str) -> None:
    """As if LiveKit had imported it."""
    assert printed[use] == "livekit.agents.inference.llm"


def test_livekit_keeps_no_stand_in_but_the_one_it_calls(printed: Mapping[str, str]) -> None:
    """Only answering machine detection takes names of the client while it is imported."""
    assert printed["stand-ins"] == "livekit.agents.voice.amd.detector"


def test_the_package_has_no_other_names(printed: Mapping[str, str]) -> None:
    """Its own, such as avatars, are imported when they are used, or all names are."""
    assert printed["other names"] == "False AvatarSession"


def test_livekit_that_was_imported_before_is_left_alone() -> None:
    """There is nothing left to save."""
    before = "from livekit.agents import inference; import loqua_host"
    assert run(f"{before}; print(vars(inference)['LLM'].__name__)") == "LLM"


def test_what_an_engine_uses_of_openais_sdk_is_there_before_any_lesson(
    printed: Mapping[str, str],
) -> None:
    """It would stop a lesson for a third of a second."""
    assert printed["preloading"] == "True"
