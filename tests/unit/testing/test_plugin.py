"""The kit as a pytest plugin: fixtures without a conftest, and lessons in YAML as tests."""

import warnings

import pytest

# pytester forgets what a run in this process has imported, and numpy cannot be imported again.
import loqua_host.testing.player  # noqa: F401

pytest_plugins = ["pytester"]

FIXTURE = """
from loqua_host.testing import LessonScript, Says, TutorSays

def test_the_greeting(play_lesson):
    play_lesson(LessonScript(tutor="grammar", steps=(TutorSays(matches="^¡Hola!"),)))
"""

SUITE = """
from loqua_host.testing import TutorSuite

class TestGrammar(TutorSuite):
    tutor = "grammar"
    says = ("Yo es estudiante.", "Yo soy estudiante.")
"""

LESSON = """
tutor: grammar
steps:
  - tutor_says: {matches: "estudiante o profesor"}
  - says: Yo soy estudiante.
  - tutor_says: EXPECTED
"""

FOREIGN = """
import sys

def test_that_knows_nothing_of_tutors():
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"loqua_host", "livekit", "pydantic"}
"""


def run(pytester: pytest.Pytester, *options: str, **files: str) -> pytest.RunResult:
    """Run pytest in a directory with these files."""
    for name, text in files.items():
        path = name.replace("__", ".")
        pytester.path.joinpath(path).write_text(text, "utf-8")
    with warnings.catch_warnings():
        # argparse of Python 3.12.1 warns of pytest's own arguments.
        warnings.filterwarnings("ignore", "Do not expect", UserWarning)
        return pytester.runpytest_inprocess(
            "-p", "no:xdist", "-o", "asyncio_default_fixture_loop_scope=function", *options
        )


def test_fixtures_and_suite_load_by_themselves(pytester: pytest.Pytester) -> None:
    """Without a conftest. What the suite's other tests find, plugins/grammar/tests show."""
    ran = run(pytester, "-k", "greeting or purely", test_fixture__py=FIXTURE, test_suite__py=SUITE)
    ran.assert_outcomes(passed=2, deselected=8)


def test_a_lesson_in_yaml_is_a_test(pytester: pytest.Pytester) -> None:
    """It has the name of its file."""
    expected = LESSON.replace("EXPECTED", "{matches: película}")
    run(pytester, talk__lesson__yaml=expected).assert_outcomes(passed=1)


def test_a_lesson_that_fails_shows_what_was_said_and_no_traceback(
    pytester: pytest.Pytester,
) -> None:
    """The author's script is wrong, or the tutor; the kit's lines would hide it."""
    ran = run(pytester, talk__lesson__yaml=LESSON.replace("EXPECTED", "Adiós."))
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*did not say 'Adiós.'*", "*learner: Yo soy estudiante.*"])
    ran.stdout.no_fnmatch_line("*virtual_lesson.py*")


def test_a_script_with_a_mistake_fails_as_one_line(pytester: pytest.Pytester) -> None:
    """It says what to write."""
    ran = run(pytester, talk__lesson__yaml="steps: [leave]")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*talk.lesson.yaml: steps.0: *write leaves"])


def test_other_tests_run_as_if_the_plugin_were_not_there(pytester: pytest.Pytester) -> None:
    """The host is imported at the first use of a fixture."""
    pytester.makepyfile(FOREIGN)
    pytester.makefile(".yaml", other="steps: [")
    off = ("-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")
    pytester.runpytest_subprocess(*off).assert_outcomes(passed=1)
