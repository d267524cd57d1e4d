"""`loqua-host --version`."""

from importlib import metadata

from typer.testing import CliRunner

from loqua_host.cli import app


def test_the_version_is_that_of_the_distribution() -> None:
    """With `--version`, no command runs."""
    for arguments in (["--version"], ["--version", "run"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0
        assert result.output == f"loqua-host {metadata.version('loqua-host')}\n"
