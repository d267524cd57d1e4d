"""Commands that end with one line for a known error."""

import pytest

from loqua_host import cli
from loqua_host.errors import LoquaError
from loqua_host.system.tasks import background


async def fail(error: Exception) -> int:
    """Raise within two task groups, as a part of the demo does."""
    async with background(), background():
        raise error


def test_an_error_with_a_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """However many task groups it came through."""
    assert cli._run(fail(LoquaError("no tutor"))) == 1
    assert capsys.readouterr().err == "no tutor\n"


def test_any_other_error_is_a_traceback() -> None:
    """It is a mistake of ours, and its place matters."""
    with pytest.raises(ExceptionGroup):
        cli._run(fail(ZeroDivisionError()))
