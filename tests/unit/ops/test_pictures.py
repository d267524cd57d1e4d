"""The pictures of the status page."""

from tests.pictures.ops_page import DIGEST, DOCS, PICTURES, ROOT, digest

LARGEST = 150_000
"""Bytes that a picture may have: everybody who clones gets it."""


def test_the_pictures_are_of_the_page_as_it_is() -> None:
    """Or `uv run python -m tests.pictures.ops_page` was not run after a change."""
    assert DIGEST.read_text().strip() == digest()


def test_each_picture_is_there_small_and_shown_to_operators() -> None:
    """In their README."""
    readme = (ROOT / "config/README.md").read_text()
    for name in PICTURES:
        assert 1000 < (DOCS / name).stat().st_size <= LARGEST
        assert f"(../host/docs/images/{name})" in readme
