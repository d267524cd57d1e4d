"""All tutors in one worker of openrtc: `python openrtc_worker.py start`.

BENCH_TUTORS names them, BENCH_ISOLATION is openrtc's mode. It asks for two plugins, of which one
downloads its model from elsewhere than PyPI: it gets the VAD and the turn detection of all sides.
"""

import os
import sys
from functools import partial
from types import ModuleType, SimpleNamespace

from bench_agent import Greeter, Hum, OneSentence
from livekit.agents import inference


def stand_in(name: str, **names: object) -> None:
    """Install a module with these names."""
    module = ModuleType(name)
    vars(module).update(names)
    sys.modules[name] = module


stand_in("livekit.plugins")
stand_in(
    "livekit.plugins.silero",
    VAD=SimpleNamespace(load=partial(inference.VAD, model="silero")),
)
stand_in(
    "livekit.plugins.turn_detector.multilingual",
    MultilingualModel=partial(inference.TurnDetector, version="v1-mini"),
)
# Else it takes the VAD for turn detection: it looks for the other plugin's inference process.
os.environ["LIVEKIT_REMOTE_EOT_URL"] = "unused"

from openrtc import AgentPool  # noqa: E402  # finds the modules above


class Equipped(Greeter):
    """An agent with engines of its own, because openrtc sends its defaults to processes as text."""

    def __init__(self) -> None:
        super().__init__(stt=OneSentence(), tts=Hum())


if __name__ == "__main__":
    pool = AgentPool(isolation=os.environ["BENCH_ISOLATION"], agent_name="openrtc", port=0)
    for tutor in os.environ["BENCH_TUTORS"].split():
        pool.add(tutor, Equipped)
    pool.server.load_fnc = lambda: 0.0
    pool.run()
