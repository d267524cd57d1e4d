"""The source files of a tutor, imported again when they change."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from loqua_host.registry.loader import LoadedTutor, load_plugin
from loqua_host.registry.overrides import is_within

from .script import LessonScript

__all__ = ["TutorSource"]


class TutorSource:
    """Import a tutor again once one of its files has changed.

    Args:
        script: The script that names the tutor and its settings.
        loaded: The tutor as it was imported.
    """

    def __init__(self, script: LessonScript, loaded: LoadedTutor) -> None:
        self._script = script
        self._packages = loaded.packages
        self._saved = self._times()

    def has_changed(self) -> bool:
        """Return whether a file has been saved since the last call."""
        before, self._saved = self._saved, self._times()
        return before != self._saved

    def load(self) -> LoadedTutor:
        """Import the tutor anew. If that fails, its modules stay as they were.

        Raises:
            Exception: What the import raises, or `ValidationError` for the settings.
        """
        before = dict(self._modules())
        for name in before:
            del sys.modules[name]
        importlib.invalidate_caches()
        try:
            loaded = load_plugin(plugin=self._script.tutor or None, agent=self._script.agent)
            loaded.read_settings(self._script.settings)
        except BaseException:
            sys.modules.update(before)
            raise
        self._saved = self._times()
        return loaded

    def _modules(self) -> Iterator[tuple[str, ModuleType]]:
        for name, module in list(sys.modules.items()):
            if is_within(name, self._packages):
                yield name, module

    def _times(self) -> dict[str, int]:
        files = (getattr(module, "__file__", None) for _, module in self._modules())
        paths = (Path(file) for file in files if file)
        return {str(path): path.stat().st_mtime_ns for path in paths if path.exists()}
