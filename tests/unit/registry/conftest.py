"""Plugins of third parties, installed for the length of a test module."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[[str, str], None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that distributions are installed into."""
    directory = tmp_path_factory.mktemp("site")
    sys.path.insert(0, str(directory))
    yield directory
    sys.path.remove(str(directory))


@pytest.fixture(scope="module")
def install(site: Path) -> Install:
    """Install a distribution with one plugin, from its name and source."""

    def install_plugin(name: str, source: str) -> None:
        module = f"tutor_{name.replace('-', '_')}"
        (site / f"{module}.py").write_text(dedent(source), "utf-8")
        info = site / f"{module}-2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.3\n")
        (info / "entry_points.txt").write_text(f"[loqua_host]\n{name} = {module}\n")

    return install_plugin
