"""`TutorSuite`: tests of every tutor's obligations, to inherit."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Final

from loqua_host.registry.inspection import TIME_LIMIT
from loqua_host.registry.loader import load_plugin
from loqua_host.settings.hooks import HookLimits
from loqua_host.system.environment import safe_environ

from .cancellation import cancelled_lessons
from .result import LessonResult
from .script import LessonScript
from .steps import FailApi, KillJob, LessonStep, Says, StaysSilent
from .virtual_lesson import play_lesson, run_script

__all__ = ["TutorSuite"]

LOAD: Final = """
import sys
from loqua_host.registry.loader import load_plugin
load_plugin(plugin=sys.argv[1])
"""

OUTAGE: Final = FailApi(503, 3600.0)

SPOKEN: Final = "xyzzy1879"
"""A word that nobody says by chance."""

WATCHED: Final = ("open", "socket.connect", "subprocess.Popen", "os.system", "os.putenv")
"""Audit events of Python with effects outside the plugin."""


class TutorSuite:
    """Tests that every tutor passes; a subclass whose name begins with `Test` inherits them.

    Attributes:
        tutor: The tutor's plugin, by its entry point's name.
        settings: Its settings, as in its file in config/tutors.
        language: The language taught, as an ISO 639-1 code.
        says: What the learner says in the lessons of these tests.
        replies: What the language model answers, in order; without any, there is none.
    """

    tutor: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    language: ClassVar[str] = "es"
    says: ClassVar[Sequence[str]] = ("Hola.", "Me llamo María.", "Muchas gracias.")
    replies: ClassVar[Sequence[str]] = ()

    def play(self, *steps: LessonStep) -> LessonResult:
        """Play a lesson with these steps and what the learner says."""
        return play_lesson(self.script(*steps))

    def script(self, *steps: LessonStep) -> LessonScript:
        """Return a lesson's script with these steps and what the learner says."""
        said = (step for text in self.says for step in (Says(text), StaysSilent(30.0)))
        return LessonScript(
            tutor=self.tutor,
            settings=dict(self.settings),
            language=self.language,
            replies=tuple(self.replies),
            steps=(*steps, *said),
            until_end=True,
        )

    def test_it_loads_alone(self) -> None:
        """The plugin needs nothing that another one has imported."""
        command = (sys.executable, "-c", LOAD, self.tutor)
        child = subprocess.run(  # noqa: S603  # Python itself
            command,
            env=safe_environ(os.environ),
            timeout=TIME_LIMIT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert child.returncode == 0, child.stderr

    def test_it_registers_purely(self) -> None:
        """`register_tutor` has no effect, and declares the same each time."""
        hooks = load_plugin(plugin=self.tutor).manager.hook
        with _effects() as effects:
            first, second = hooks.register_tutor(), hooks.register_tutor()
        assert effects == [], "register_tutor has effects; move them to create_agent"
        assert first == second

    def test_each_hook_keeps_its_limit(self) -> None:
        """Also in real time: a hook that blocks its event loop delays the learner's audio."""
        limits = HookLimits()
        for hook, seconds in self.play().hook_seconds.items():
            limit = getattr(limits, hook)
            assert seconds < limit, f"{hook} took {seconds:.1f} s; its limit is {limit:g} s"

    def test_a_lesson_without_the_api_is_taught(self) -> None:
        """The context is empty then; the record arrives after the outage."""
        result = self.play(OUTAGE)
        assert result.record is not None
        assert "on_session_end" in result.hooks

    def test_a_lesson_goes_on_after_a_crash(self) -> None:
        """Another process resumes it from `lesson.state`."""
        assert self.play(KillJob()).record is not None

    def test_it_survives_cancellation_at_each_await(self) -> None:
        """A hook that exceeds its limit is cancelled, wherever it waits; one record arrives."""
        script, loaded = self.script(), load_plugin(plugin=self.tutor)
        for lesson in cancelled_lessons(loaded, partial(run_script, script)):
            calls = lesson.result.calls
            where = f"{lesson.hook}, cancelled at its await {lesson.number},"
            assert calls.count("sessions") == 1, f"{where} leaves {calls.count('sessions')} records"
            events = {one["event"] for one in lesson.result.log}
            assert "hook.abandoned" not in events, f"{where} goes on; let CancelledError through"

    def test_progress_never_falls(self) -> None:
        """Progress rises from tick to tick, and the report is not below it."""
        result = self.play()
        for before, after in pairwise((*result.ticks, *filter(None, [result.progress]))):
            assert after.words_learned >= before.words_learned
            assert after.phrases_practiced >= before.phrases_practiced

    def test_its_record_reaches_the_api(self) -> None:
        """The report is valid on the wire."""
        assert self.play().record is not None

    def test_nothing_secret_is_logged(self, capfd: Any) -> None:
        """The log contains no secret of the tutor and no sentence of the learner."""
        result = self.play(Says(f"{SPOKEN}."))
        shown = capfd.readouterr()
        logged = [{k: it for k, it in one.items() if k != "exc_info"} for one in result.log]
        for secret in (SPOKEN, "secret of "):
            for place in (*logged, shown.out, shown.err):
                assert secret not in str(place), "log names and counts, not words or secrets"


class _Auditor:
    """Record audit events while enabled; Python has no way to remove an audit hook."""

    noting: list[str] | None = None
    installed = False

    @classmethod
    def note(cls, event: str, arguments: tuple[Any, ...]) -> None:
        """Note an event."""
        if cls.noting is not None and event in WATCHED:
            cls.noting.append(f"{event} {arguments[0]!r}")


@contextmanager
def _effects() -> Iterator[list[str]]:
    """Yield a list of what code does outside itself, for the duration of a block."""
    if not _Auditor.installed:
        _Auditor.installed = True
        sys.addaudithook(_Auditor.note)
    noted: list[str] = []
    _Auditor.noting = noted
    try:
        yield noted
    finally:
        _Auditor.noting = None
