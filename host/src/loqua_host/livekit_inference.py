"""LiveKit without OpenAI's SDK, until one of them is used.

`livekit.agents` imports its client for hosted language models, and that all types of OpenAI's SDK:
a fifth of the time that the import of LiveKit takes. This module keeps both away until somebody
asks for one of the client's names; nothing else changes for who does.

It is apart from `livekit_internals`, which imports LiveKit: this comes first (seen in
livekit-agents 1.8.9; tests/unit/test_livekit_inference.py tells when a release differs).
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

__all__ = ["CLIENT", "import_at_first_use"]

LIVEKIT = "livekit.agents"
CLIENT = "livekit.agents.inference.llm"
"""The module of LiveKit's client for hosted models, which imports OpenAI's SDK."""

NAMES = ("LLM", "LLMModels", "LLMStream", "llm_from_model_string")
"""What `livekit.agents.inference` takes from the module of its client."""


def import_at_first_use() -> None:
    """Import LiveKit's client for hosted models at its first use, unless LiveKit is imported."""
    if LIVEKIT not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds LiveKit as Python does, and has it loaded without its client."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where LiveKit is; None for any other module."""
        if name != LIVEKIT:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """Loads LiveKit without its client."""

    def exec_module(self, module: ModuleType) -> None:
        """Import LiveKit; the names of its client lead to the client from then on."""
        sys.modules[CLIENT] = _stand_in()
        try:
            super().exec_module(module)
        finally:
            del sys.modules[CLIENT]
        inference = module.inference
        for name in NAMES:
            delattr(inference, name)
        vars(inference)["__getattr__"] = _client_or(inference.__getattr__)


def _stand_in() -> ModuleType:
    """Return what stands for the client's module while LiveKit is imported.

    LiveKit's answering machine detection keeps two of its names: it annotates with one, and calls
    the other.
    """
    module = ModuleType(CLIENT)
    vars(module).update(dict.fromkeys(NAMES, str), LLM=_create)
    return module


def _create(*arguments: object, **options: object) -> object:
    return import_module(CLIENT).LLM(*arguments, **options)


def _client_or(own: Callable[[str], object]) -> Callable[[str], object]:
    """Return a `__getattr__` of the package `inference` that imports the client for its names."""

    def get(name: str) -> object:
        if name == "llm":
            return import_module(CLIENT)
        return getattr(import_module(CLIENT), name) if name in NAMES else own(name)

    return get
