"""One tutor on livekit-agents alone: `python bare_worker.py start`, named by BENCH_TUTORS.

It has the agent, engines, turn detection and load settings of the host's tutors.
"""

import math
import os

from bench_agent import Greeter, Hum, OneSentence
from livekit.agents import AgentServer, AgentSession, JobContext, cli, inference

server = AgentServer(
    host="127.0.0.1",
    port=0,
    num_idle_processes=1,
    load_fnc=lambda: 0.0,
    load_threshold=math.inf,
)


@server.rtc_session(agent_name=os.environ["BENCH_TUTORS"])
async def teach(ctx: JobContext) -> None:
    """Teach in one room."""
    await ctx.connect()
    session: AgentSession[None] = AgentSession(
        stt=OneSentence(),
        tts=Hum(),
        vad=inference.VAD(model="silero"),
        turn_handling={"turn_detection": inference.TurnDetector(version="v1-mini")},
    )
    await session.start(Greeter(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
