"""The page's npm packages: exact versions as published, with their licences."""

from pathlib import Path

import pytest

from loqua_host.dev.playground.vendoring import VENDORED, integrity_of, read_vendored

README = (Path(__file__).parents[4] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", read_vendored())
def test_files_have_their_pinned_integrity(name: str) -> None:
    """`python -m loqua_host.dev.playground.vendoring` writes them from the archive."""
    for file, (_, integrity) in read_vendored()[name].files.items():
        assert integrity_of((VENDORED / file).read_bytes()) == integrity


def test_no_other_file_is_vendored() -> None:
    """Nor one whose package nobody remembers."""
    pinned = {file for package in read_vendored().values() for file in package.files}
    assert {file.name for file in VENDORED.iterdir()} == pinned


@pytest.mark.parametrize("name", read_vendored())
def test_the_readme_names_package_version_and_licence(name: str) -> None:
    """In the table of third parties."""
    package = read_vendored()[name]
    (row,) = (
        line for line in README.splitlines() if line.startswith(f"| {name} {package.version}")
    )
    assert package.licence in row
