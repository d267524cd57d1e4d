"""What every lesson's start needs, for the process that jobs are forked from to import.

Left to a job, each of these stops its event loop while a learner waits. None holds a secret.
"""

from contextlib import suppress
from importlib import import_module

from livekit.agents.llm import ChatMessage

from loqua_host.livekit_internals import read_certificates

AT_FIRST_REQUEST = (
    "anyio._backends._asyncio",
    "openai.resources.audio.speech",
    "openai.resources.audio.transcriptions",
    "openai.resources.audio.audio",
    "wave",
)
"""What httpx and OpenAI's SDK import as late as that."""

for name in AT_FIRST_REQUEST:
    import_module(name)
ChatMessage.model_rebuild()  # LiveKit leaves that to the first message
with suppress(OSError):  # certificates that cannot be read: who needs them says so
    read_certificates()
