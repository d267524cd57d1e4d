"""Imports and data for the forkserver that every lesson needs at its start.

In a job, each of them would block the event loop while a learner waits. None contains a secret.
"""

from contextlib import suppress
from importlib import import_module

from livekit.agents.llm import ChatMessage
from livekit.agents.tokenize import basic, blingfire

from loqua_host.livekit_internals import preload_livekit, read_certificates, sharing_certificates

AT_FIRST_USE = (
    "anyio._backends._asyncio",
    "wave",
    "livekit.agents.llm.async_toolset",
    "livekit.agents.voice.report",
    "numpy.fft",
)
"""Modules that httpx, LiveKit and NumPy import when they first use them."""

with sharing_certificates():
    preload_livekit()
for name in AT_FIRST_USE:
    import_module(name)
ChatMessage.model_rebuild()  # otherwise done for the first message
basic.hyphenate_word("tutor")  # otherwise its rules are built as the tutor greets: 17 ms, 2.5 MB
blingfire.SentenceTokenizer().tokenize("One. Two.")  # likewise: 2 ms
with suppress(OSError):  # unreadable certificates: their first use reports them
    read_certificates()
