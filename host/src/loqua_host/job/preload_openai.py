"""Import the modules that OpenAI's SDK imports at its first use, if an engine has imported the SDK.

In a job, it would block the event loop for a third of a second while a learner waits.
"""

import sys
from importlib import import_module

RESOURCES = (
    "openai.resources",
    "openai.resources.audio.speech",
    "openai.resources.audio.transcriptions",
    "openai.resources.audio.audio",
)

if "openai" in sys.modules:
    for name in RESOURCES:
        import_module(name)
