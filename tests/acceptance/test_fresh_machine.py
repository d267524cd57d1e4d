"""The README's commands in a fresh clone, on a machine that has nothing but Python."""

import re
from pathlib import Path

import pytest
from tests.acceptance.demo import ROOT, fresh_environ, run

pytestmark = pytest.mark.timeout(300, func_only=True)

README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project as it would be committed; the first command makes its environment."""
    clone = tmp_path_factory.mktemp("clone")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    archive = run("tar", "--create", "--null", "--files-from=-", cwd=ROOT, given=names)
    run("tar", "--extract", cwd=clone, given=archive)
    return clone


def readme_command(ending: str) -> str:
    """Return the command of README.md that ends so."""
    (command,) = re.findall(rf"^.+ {ending}$", README, re.MULTILINE)
    return str(command)


@pytest.mark.parametrize(
    ("command", "more", "shown"),
    [
        pytest.param("run loqua-host demo", "--help", b"--once", id="demo"),
        pytest.param(
            "run pytest",
            "--collect-only --quiet tests/acceptance/test_demo.py",
            b"test_demo.py",
            id="tests",
        ),
    ],
)
def test_the_commands_of_the_readme_start_on_a_fresh_machine(
    clone: Path, tmp_path: Path, command: str, more: str, shown: bytes
) -> None:
    """With its own Python, from a fresh clone; what they do then is for other tests."""
    assert shown in run(
        "sh", "-c", f"{readme_command(command)} {more}", cwd=clone, environ=fresh_environ(tmp_path)
    )
