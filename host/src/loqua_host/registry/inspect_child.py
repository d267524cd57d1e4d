"""The child process that imports one tutor and reports its findings."""

import importlib
import inspect
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Never

from livekit.agents.llm import RealtimeModel
from pydantic import ValidationError

from loqua_host.errors import Problem
from loqua_host.settings.engines import Engine
from loqua_host.settings.problems import KeyPath, model_problems, spelled
from loqua_host.system.sandbox import Sandbox, confine

from .inspection import HINT, InspectionAnswer, InspectionQuestion, TutorDeclaration
from .loader import BrokenTutorError, LoadedTutor, import_string, load_plugin
from .reaper import run_and_reap

__all__ = ["Examination", "examine"]


class Examination:
    """Inspect one tutor and its engines; an exception of theirs is a finding too."""

    def __init__(self, question: InspectionQuestion) -> None:
        self._question = question
        self._looking_at = question.file
        self._problems: list[Problem] = []

    def examine(self) -> InspectionAnswer:
        """Import everything the question names, and find what is wrong with it."""
        for location, engine in self._question.engines.items():
            self._looking_at = location
            self._problems += _engine_problems(location, engine)
        self._looking_at = self._question.file
        return self._answer(self._declaration())

    def crashed(self, error: BaseException) -> InspectionAnswer:
        """Answer with what the foreign code raised, and where."""
        frames = traceback.extract_tb(error.__traceback__)
        path = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        what = f"its import raised {type(error).__name__}: {error}{path}"
        self._problems.append(Problem(self._looking_at, what, HINT))
        return self._answer(None)

    def _declaration(self) -> TutorDeclaration | None:
        try:
            tutor = self._question.tutor
            loaded = load_plugin(plugin=tutor.plugin, agent=tutor.agent)
        except BrokenTutorError as error:
            file = self._question.file
            self._problems += [Problem(file, fault, HINT) for fault in error.faults]
            return None
        self._problems += _settings_problems(self._question, loaded)
        declared = loaded.tutor
        return TutorDeclaration(
            name=declared.name,
            agent_name=declared.agent_name,
            secrets=declared.secrets,
            video=declared.video,
        )

    def _answer(self, declaration: TutorDeclaration | None) -> InspectionAnswer:
        return InspectionAnswer(tutor=declaration, problems=tuple(self._problems))


def _settings_problems(question: InspectionQuestion, loaded: LoadedTutor) -> list[Problem]:
    try:
        loaded.read_settings(question.tutor.settings)
    except ValidationError as error:
        return model_problems(
            error,
            loaded.tutor.settings,
            lambda path: _where(question, ("settings", *path)),
        )
    return []


def _where(question: InspectionQuestion, path: KeyPath) -> str:
    found = (question.variables.get(spelled(path[:depth])) for depth in range(len(path), 1, -1))
    return next(filter(None, found), f"{question.file}: {spelled(path)}")


def _engine_problems(location: str, engine: Engine) -> Iterator[Problem]:
    try:
        target = import_string(engine.use)
    except (ImportError, AttributeError) as error:
        hint = "install its distribution, or write the import string of an engine that is there"
        yield Problem(f"{location}.use", f"{engine.use} cannot be imported: {error}", hint)
        return
    if location.endswith("]") and isinstance(target, type) and issubclass(target, RealtimeModel):
        what = f"{engine.use} is a speech-to-speech model, which no other engine can replace"
        yield Problem(f"{location}.use", what, "write it by itself, without a list")
    try:
        inspect.signature(target).bind(**engine.options, **engine.secrets)
    except TypeError as error:
        yield Problem(
            f"{location}.options", f"does not fit {engine.use}: {error}", "write its arguments"
        )
    except ValueError:
        return  # code written in C may have no signature


def examine(
    environ: Mapping[str, str], protected: Sequence[Path], asked: int, answered: int
) -> Never:
    """Answer a question, and be gone with all threads and processes.

    Args:
        environ: The environment to import in.
        protected: Files that are not to be read.
        asked: The file with the `InspectionQuestion`.
        answered: The file for the `InspectionAnswer`, as plugins may print what they like.
    """
    os.environ.clear()
    os.environ.update(environ)
    if protected:
        confine(protected)
    importlib.invalidate_caches()  # packages may have been installed since the parent's imports
    with os.fdopen(asked, "rb") as file:
        question = InspectionQuestion.model_validate_json(file.read())
    run_and_reap(partial(_examine, question, answered))


def _examine(question: InspectionQuestion, answered: int) -> Never:
    tutor = question.tutor
    Sandbox(
        memory=tutor.limits.memory,
        ports=tutor.sandbox.ports,
        processes=tutor.sandbox.processes,
        writable=tutor.sandbox.writable,
    ).enter()
    examination = Examination(question)
    try:
        answer = examination.examine()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the plugin's
        answer = examination.crashed(error)
    with os.fdopen(answered, "wb") as file:
        file.write(answer.model_dump_json().encode(errors="replace"))
    os._exit(0)
