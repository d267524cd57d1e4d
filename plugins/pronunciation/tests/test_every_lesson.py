"""What every tutor must do, done by this one."""

from loqua_host.testing import TutorSuite


class TestEveryLesson(TutorSuite):
    """Lessons with and without the API, with a crash, and what is logged of them."""

    tutor = "pronunciation"
    says = ("El perro corre por el parque.", "El casa es muy grande.", "La casa es muy grande.")
