"""The picture of the packages in docs/."""

import tomllib
from pathlib import Path
from xml.etree.ElementTree import fromstring

from tests.pictures.architecture import PICTURE, draw

ROOT = Path(__file__).parents[3]


def test_the_picture_is_of_the_import_contract_as_it_is() -> None:
    """Or `uv run python -m tests.pictures.architecture` was not run after a change."""
    assert PICTURE.read_text("utf-8") == draw()


def test_every_package_of_the_contract_is_in_the_picture() -> None:
    """In the order of the layers."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    named = [name.strip().rpartition(".")[2] for layer in layers for name in layer.split("|")]
    texts = fromstring(draw()).iterfind(".//{*}text[@class='name']")  # noqa: S314  # ours
    assert [text.text for text in texts] == named


def test_contributors_are_shown_the_picture() -> None:
    """It is on the page about the packages."""
    assert "(host/docs/images/architecture.svg)" in (ROOT / "CONTRIBUTING.md").read_text()
