"""The test kit's tests of every tutor, with this one."""

from loqua_host.testing import TutorSuite


class TestEveryLesson(TutorSuite):
    """Lessons with and without the API and with a crash, and their logs."""

    tutor = "conversation"
    says = ("Me llamo Ana.", "Una mesa para dos.", "Un té, por favor.")
