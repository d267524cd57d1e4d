"""Checks of directories before their use, the same in `check` and `run`."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.errors import Problem
from loqua_host.settings.directories import directory_problems
from loqua_host.settings.load import load_settings

Write = Callable[[str, str], Path]
Find = Callable[..., list[Problem]]


@pytest.fixture
def find(config: Path, environ: dict[str, str], write: Write) -> Find:
    """Return what finds the problems of a ledger's path and others."""

    def problems(path: Path | str, spool: Path | None = None, **given: str) -> list[Problem]:
        text = (
            f"ledger: {{path: {str(path)!r}}}"
            if spool is None
            else (f"ledger: {{path: {str(path)!r}, spool: {str(spool)!r}}}")
        )
        write("host.yaml", text)
        settings = load_settings(config, environ)
        name = lambda place: ".".join(map(str, place))  # noqa: E731  # as Sources.where
        return list(directory_problems(settings, given, name, in_file=True))

    return problems


def test_what_is_not_there_yet_can_be_made(find: Find, tmp_path: Path) -> None:
    """With all that leads to it, as the first start does."""
    assert find(tmp_path / "var" / "deeper" / "ledger.db", TMPDIR=str(tmp_path)) == []


def test_a_path_that_cannot_be_is_refused_by_the_setting_that_names_it(
    find: Find, tmp_path: Path
) -> None:
    """In one line with what is the matter."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    wrong = {
        tmp_path: "is not a file",
        tmp_path / "pipe": "is not a file",
        tmp_path / "file" / "ledger.db": "ot a directory",
        tmp_path / "loop" / "ledger.db": "symbolic links",
        tmp_path / ("x" * 250): "too long",
        tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 200): "too long",
        tmp_path / ("x" * 300) / "ledger.db": "too long",
    }
    for path, why in wrong.items():
        [problem] = find(path)
        assert problem.where == "ledger.path"
        assert why in problem.what
    [problem] = find(tmp_path / "ledger.db", spool=tmp_path / "file")
    assert (problem.where, "is not a directory" in problem.what) == ("ledger.spool", True)


def test_a_directory_that_cannot_be_written_to_is_named(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The innermost that is there."""
    closed = tmp_path / "closed"
    closed.mkdir()
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != closed and access(path, mode)
    )
    [problem] = find(closed / "var" / "ledger.db")
    assert f"{closed} cannot be written to" in problem.what
    [problem] = find(tmp_path / "ledger.db", TMPDIR=str(closed))
    assert problem.where == "TMPDIR"


def test_a_ledger_of_another_user_is_refused(
    find: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host could not keep it from others."""
    ledger = tmp_path / "ledger.db"
    ledger.touch(mode=stat.S_IRUSR)
    monkeypatch.setattr(os, "geteuid", lambda: ledger.stat().st_uid + 1)
    [problem] = find(ledger)
    assert "another user" in problem.what


def test_tmpdir_must_be_a_directory_that_is_there(find: Find, tmp_path: Path) -> None:
    """However long its name: Python would quietly take another."""
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        [problem] = find(tmp_path / "ledger.db", TMPDIR=str(tmp_path / name))
        assert problem.where == "TMPDIR"
    (tmp_path / ("x" * 200)).mkdir()
    assert find(tmp_path / "ledger.db", TMPDIR=str(tmp_path / ("x" * 200))) == []
