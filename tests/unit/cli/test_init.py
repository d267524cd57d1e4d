"""`loqua-host init`: a new config/."""

from pathlib import Path

import pytest
from tests.unit.cli.test_check import ENVIRON
from typer.testing import CliRunner

from loqua_host.cli import app
from loqua_host.cli.check import check_config

CONFIG = Path(__file__).parents[3] / "config"


def init(*arguments: str | Path) -> tuple[int, str]:
    """Run the command; its exit code, and what it printed."""
    result = CliRunner().invoke(app, ["init", *map(str, arguments)])
    return result.exit_code, result.output


def contents(directory: Path) -> dict[Path, bytes]:
    """Read all files of a directory."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory): path.read_bytes() for path in files}


def test_it_writes_the_config_of_the_repository(tmp_path: Path) -> None:
    """All of it, into a directory that need not be there."""
    target = tmp_path / "new" / "config"
    status, printed = init(target)
    assert status == 0
    assert contents(target) == contents(CONFIG)
    assert f"wrote {target / 'host.yaml'}\n" in printed


def test_what_it_writes_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the variables set, `check` finds nothing."""
    init(tmp_path / "config")
    assert check_config(tmp_path / "config", ENVIRON) == 0, capsys.readouterr().err


def test_it_says_what_to_type_next(tmp_path: Path) -> None:
    """For the directory that it wrote."""
    _, printed = init(tmp_path / "my config")
    assert printed.endswith(f"then run: loqua-host check --config '{tmp_path}/my config'\n")


@pytest.mark.parametrize("command", ["run", "check", "demo", "records list"])
def test_a_command_whose_config_is_missing_says_how_to_have_one(
    command: str, tmp_path: Path
) -> None:
    """Whichever takes a --config."""
    arguments = [*command.split(), "--config", str(tmp_path / "none")]
    result = CliRunner().invoke(app, arguments, env={"TERMINAL_WIDTH": "300"})
    assert result.exit_code == 2
    assert f"`loqua-host init {tmp_path / 'none'}` writes one" in result.output


def test_without_a_directory_it_is_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other commands read the same directory by default."""
    monkeypatch.chdir(tmp_path)
    assert init()[0] == 0
    assert (tmp_path / "config/host.yaml").exists()


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Files and links, even ones that lead nowhere; the rest is written."""
    (tmp_path / "host.yaml").write_text("mine: true")
    (tmp_path / "tutors").mkdir()
    (tmp_path / "tutors/grammar.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    status, printed = init(tmp_path)
    assert status == 0
    assert (tmp_path / "host.yaml").read_text() == "mine: true"
    assert not (tmp_path / "elsewhere.yaml").exists()
    assert f"kept  {tmp_path / 'host.yaml'}\n" in printed
    assert f"kept  {tmp_path / 'tutors/grammar.yaml'}\n" in printed
    assert (tmp_path / "tutors/conversation.yaml").exists()


def test_a_place_that_takes_no_directory_is_one_line(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").touch()
    status, printed = init(tmp_path / "file" / "config")
    assert status == 1
    assert printed.count("\n") == 1
    assert "Not a directory; name another directory" in printed
