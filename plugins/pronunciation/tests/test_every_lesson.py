"""The test kit's tests of every tutor, with this one."""

from loqua_host.testing import TutorSuite


class TestEveryLesson(TutorSuite):
    """Lessons with and without the API and with a crash, and their logs."""

    tutor = "pronunciation"
    says = ("El perro corre por el parque.", "El casa es muy grande.", "La casa es muy grande.")
