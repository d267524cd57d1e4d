"""Sockets without a path."""

import socket
import stat
import tempfile
from pathlib import Path

import pytest

from loqua_host.errors import ConfigError
from loqua_host.system.sockets import SocketHandle, listen_unnamed


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory for temporary files, with a name too long for a socket's path."""
    directory = tmp_path / ("x" * 200)
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def reaches(handle: SocketHandle, listener: socket.socket) -> bool:
    """Return whether a client of the handle is the listener's."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(handle.path)
        client.sendall(b"?")
        accepted, _ = listener.accept()
        with accepted:
            return accepted.recv(1) == b"?"


def test_a_socket_is_reached_though_no_path_leads_to_it(temporary: Path) -> None:
    """However long the name of the directory is, which may go: nothing is left there."""
    with listen_unnamed() as (listener, handle):
        assert [*temporary.iterdir()] == []
        temporary.rmdir()
        assert reaches(handle, listener)


def test_nobody_but_its_user_may_connect() -> None:
    """Even one who got hold of a descriptor."""
    with listen_unnamed() as (_, handle):
        assert stat.S_IMODE(Path(handle.path).stat().st_mode) == 0o600


def test_without_a_directory_for_temporary_files_the_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="TMPDIR"), listen_unnamed():
        pass
