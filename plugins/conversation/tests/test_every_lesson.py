"""What every tutor must do, done by this one."""

from loqua_host.testing import TutorSuite


class TestEveryLesson(TutorSuite):
    """Lessons with and without the API, with a crash, and what is logged of them."""

    tutor = "conversation"
    says = ("Me llamo Ana.", "Una mesa para dos.", "Un té, por favor.")
