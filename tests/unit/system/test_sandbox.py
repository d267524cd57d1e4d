"""Files of the host that jobs of the same user cannot read."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from loqua_host.system.sandbox import is_possible, protected_in

READ = """
    import json, os, sys
    from pathlib import Path
    import loqua_host.system.confined

    def result(path):
        try:
            return Path(path).read_text()
        except PermissionError:
            return "denied"

    found = {path: result(path) for path in sys.argv[2:]}
    made = Path(sys.argv[1]) / "new"
    made.write_text("made")
    moved = made.rename(made.parent / "deeper" / "moved")
    print(json.dumps({**found, "moved": moved.read_text(), "left": sorted(os.environ)}))
"""


def ask(protected: list[Path], work: Path, *paths: Path) -> dict[str, str]:
    """Try, in a process with these protected files, to read some, and to create and move one."""
    command = [sys.executable, "-c", textwrap.dedent(READ), str(work), *map(str, paths)]
    environ = {"PATH": os.environ["PATH"], **protected_in(protected)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with secrets, mounted as Kubernetes does it, and a file that is none."""
    for folder in ("secrets/..2026", "tls", "work/deeper"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secrets/..2026/KEY").write_text("secret")
    (tmp_path / "secrets/..data").symlink_to("..2026")
    (tmp_path / "secrets/KEY").symlink_to("..data/KEY")
    (tmp_path / "link").symlink_to("secrets")
    (tmp_path / "tls/tls.key").write_text("secret")
    (tmp_path / "tls/tls.crt").write_text("open")
    (tmp_path / "open").write_text("open")
    return tmp_path


def test_what_is_protected_cannot_be_read_by_whatever_way(place: Path) -> None:
    """And everything else is as it was: beside it, elsewhere, made, moved."""
    secret = [
        place / name for name in ("secrets/KEY", "secrets/..2026/KEY", "link/KEY", "tls/tls.key")
    ]
    free = [place / "tls/tls.crt", place / "open"]
    protected = [place / "link", place / "tls/tls.key", place / "secrets/..data", place / "nowhere"]
    found = ask(protected, place / "work", *secret, *free)
    kept = "denied" if is_possible() else "secret"
    assert [found[str(path)] for path in secret] == [kept] * 4
    assert [found[str(path)] for path in free] == ["open"] * 2
    assert found["moved"] == "made"
    assert "LOQUA_PROTECTED_PATHS" not in found["left"]


def test_without_anything_to_withhold_nothing_is(place: Path) -> None:
    """Secrets then come from the environment or a vault."""
    assert ask([], place / "work", place / "secrets/KEY")[str(place / "secrets/KEY")] == "secret"
